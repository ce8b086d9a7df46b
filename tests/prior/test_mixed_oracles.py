"""Posterior modes of mixed models with blme's priors, against TMB."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from prior.models import context_of, frame_of, mixed_maximum
from test_reference import MIXED_MODELS

from multilogit.likelihood.covariance import CovarianceStructure
from multilogit.prior import Normal, Specification, Wishart

ORACLES: dict[str, Any] = json.loads((Path(__file__).parent / "oracles" / "map.json").read_text())
PRIORS: dict[str, Specification] = {
    "wishart": Wishart(),  # blme's default: ¾ log|Σ| for every term
    "fixef_only": Normal(2.5),
    "wishart_fixef": Wishart() + Normal(2.5, intercept=10),  # blme's normal()
}


@pytest.mark.parametrize("name", ORACLES)
def test_posterior_mode(name: str) -> None:
    model_name, _, prior_name = name.partition("__TMB_MAP_")
    formula, data = MIXED_MODELS[model_name]
    frame = frame_of(formula, data())
    mode = mixed_maximum(frame, PRIORS[prior_name])
    assert mode.converged
    model = context_of(frame)
    Lambda = CovarianceStructure.of_blocks(model.blocks).Lambda(mode.psi[model.n_beta :])
    expected = ORACLES[name]
    np.testing.assert_allclose(mode.psi[: model.n_beta], expected["beta"], rtol=0, atol=1e-8)
    np.testing.assert_allclose(Lambda @ Lambda.T, expected["covariance"], rtol=0, atol=1e-8)
