"""``sensitivity``: the same model at another strength."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from test_reference import MIXED_MODELS, close

import multilogit as ml


def separated() -> pd.DataFrame:
    """x separates; z does nothing."""
    rng = np.random.default_rng(1)
    x, z = rng.normal(size=(2, 60))
    return pd.DataFrame({"y": (x > 0.2).astype(float), "x": x, "z": z})


def test_it_is_a_fit_at_the_other_strength() -> None:
    formula, data = MIXED_MODELS["cbpp__herd"]
    fit = ml.fit(formula, data(), prior=ml.RelativeEntropy())
    table = ml.sensitivity(fit, 0.5)
    other = ml.fit(formula, data(), prior=ml.RelativeEntropy(0.5))
    assert list(table.index) == [*fit.coef.index, "sd_(Intercept)|herd"]
    close(table["estimate"].iloc[:4], fit.coef, 0.0)
    close(table["std_error"].iloc[:4], fit.se, 0.0)
    close(table["refit"].iloc[:4], other.coef, 1e-7)
    close(table["refit"].iloc[4:], other.variance_components["sd"], 1e-7)
    close(table["move"].iloc[:4], (other.coef - fit.coef) / fit.se, 1e-6)
    assert not table["sensitive"].any()
    assert table.attrs == {"strength": 4.0, "refit_strength": 0.5}


def test_what_the_prior_decides_is_sensitive() -> None:
    fit = ml.fit("y ~ x + z", separated(), prior=ml.RelativeEntropy(10))
    table = ml.sensitivity(fit)
    assert table["sensitive"][["x", "z"]].to_list() == [True, False]
    assert table["move"]["x"] > 1.0


def test_what_cannot_be_followed_is_sensitive() -> None:
    fit = ml.fit("y ~ x", separated(), prior=ml.ShannonEntropy(20.0, floor=0.0))
    assert fit.converged
    table = ml.sensitivity(fit, 1e-6)
    assert table["refit"].isna().all()
    assert table["sensitive"].all()


def test_the_same_strength_moves_nothing() -> None:
    fit = ml.fit("y ~ x + z", separated(), prior=ml.RelativeEntropy(2.0))
    table = ml.sensitivity(fit, 2.0)
    close(table["move"], [0.0, 0.0, 0.0], 1e-7)
    assert not table["sensitive"].any()


@pytest.mark.parametrize(
    ("prior", "strength"),
    [
        (ml.RelativeEntropy("auto"), None),
        (ml.RelativeEntropy(3.0) + ml.Wishart(), 3.0),
        (ml.ShannonEntropy(), 3.0),
    ],
    ids=["auto", "sum", "shannon"],
)
def test_every_entropy_prior_has_a_strength(prior: Any, strength: float | None) -> None:
    fit = ml.fit("y ~ x + z", separated(), prior=prior)
    table = ml.sensitivity(fit)
    assert table.attrs["refit_strength"] == 1.0
    chosen = strength if fit.evidence is None else fit.evidence.chosen
    assert table.attrs["strength"] == pytest.approx(chosen)
    assert (table["refit"]["x"] > table["estimate"]["x"]) == (chosen > 1.0)


@pytest.mark.parametrize(
    ("prior", "strength", "named"),
    [
        (None, 1.0, "RelativeEntropy"),
        (ml.Normal(), 1.0, "no strength"),
        (ml.RelativeEntropy(), 0.0, "strength=0.0"),
        (ml.RelativeEntropy(), "auto", "strength='auto'"),
    ],
    ids=["none", "normal", "zero", "auto"],
)
def test_what_has_no_strength_is_refused(prior: Any, strength: Any, named: str) -> None:
    data = separated().assign(y=np.arange(60) % 2)
    with pytest.raises(ml.OptionError, match=named):
        ml.sensitivity(ml.fit("y ~ x", data, prior=prior), strength)
