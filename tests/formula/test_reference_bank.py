"""Frames against R: names of coefficients, and R's log-likelihood at R's estimates."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from multilogit.data import collapse, log_coefficient
from multilogit.data.model_frame import ModelFrame
from multilogit.formula import build_frame

SINGLE_LEVEL = [
    "birthwt__main__glm",
    "cbpp__glm__glm",
    "contraception__glm__glm",
    "insteval__glm__glm",
    "housing__main__vglm",
    "housing__inter__vglm",
    "pneumo__main__vglm",
    "verbagg__mn__vglm",
]
MULTILEVEL = [
    "cbpp__herd__glmmTMB_polished",
    "contraception__slope__glmmTMB_polished",
    "contraception__slope_uncorr__glmmTMB_polished",
    "guimmun__nested__glmmTMB_polished",
    "toenail__slope__glmmTMB_polished",
    "verbagg__id_item_slope__glmmTMB_polished",
]


def load(fit: str, directory: Path) -> tuple[dict[str, Any], pd.DataFrame]:
    """A reference fit and its data with the declared order of levels."""
    result = json.loads((directory.parent / "fits" / f"{fit}.json").read_text())
    data = pd.read_csv(directory / f"{result['dataset']}.csv", dtype={"livch": str})
    description = json.loads((directory / f"{result['dataset']}.json").read_text())
    for name, levels in description["levels"].items():
        data[name] = pd.Categorical(data[name].astype(str), categories=levels)
    return result, data


def log_likelihood(frame: ModelFrame, beta: np.ndarray) -> float:
    """Σ w [Σ_j y_j η_j − n log(1 + Σ_j exp η_j)], with beta of shape (J − 1, p)."""
    eta = frame.fixed.matrix() @ beta.T
    response = frame.response
    rows = (response.counts * eta).sum(axis=1)
    rows -= response.trials * np.log(1 + np.exp(eta).sum(axis=1))
    return float(rows.sum() if response.weights is None else rows @ response.weights)


@pytest.mark.parametrize("fit", SINGLE_LEVEL)
def test_log_likelihood_of_r(fit: str, reference_data: Path) -> None:
    result, data = load(fit, reference_data)
    weights = "Freq" if "Freq" in data else "freq" if "freq" in data else None
    frame, _ = build_frame(result["formula"], data, weights=weights)
    names = list(frame.fixed.names)
    others = frame.response.categories[1:]
    if frame.response.family == "multinomial":
        names = [f"{category}:{name}" for category in others for name in names]
    assert names == list(result["beta"])
    beta = np.array(list(result["beta"].values())).reshape(len(others), -1)
    constant = log_coefficient(frame.response)
    assert log_likelihood(frame, beta) + constant == pytest.approx(result["loglik"], rel=1e-10)
    collapsed, _ = collapse(frame)
    assert log_likelihood(collapsed, beta) + constant == pytest.approx(result["loglik"], rel=1e-10)


@pytest.mark.parametrize("fit", MULTILEVEL)
def test_names_of_multilevel_models(fit: str, reference_data: Path) -> None:
    result, data = load(fit, reference_data)
    frame, _ = build_frame(result["formula"], data)
    assert list(frame.fixed.names) == list(result["beta"])
    assert set(frame.groupings) == {name.split(".")[0] for name in result["varcomp"]}
