"""Random effects without a variance of their own: dropped, named, left out of predictions."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit

import multilogit as ml
from multilogit.prior import Prior


@pytest.fixture(scope="module")
def data() -> pd.DataFrame:
    rng = np.random.default_rng(1)
    g = np.repeat(np.arange(30), 12)
    x = rng.normal(size=g.size)
    b, c = rng.normal(size=(2, 30))
    y = (rng.random(g.size) < expit(x + b[g] + 0.7 * c[g] * x)).astype(int)
    f = np.where(rng.random(g.size) < 0.5, "a", "b")
    zero, k = np.zeros(g.size), np.full(g.size, 3.0)
    return pd.DataFrame({"y": y, "x": x, "x2": 2 * x, "zero": zero, "k": k, "f": f, "g": g})


def dropped(fit: ml.Fit) -> list[str]:
    codes = "aliased-random-effect"
    return [d.facts["column"] for d in fit.diagnostics if d.code == codes]


@pytest.mark.parametrize(
    ("random", "equivalent", "columns"),
    [
        ("(1 + zero | g)", "(1 | g)", ["zero"]),
        ("(1 + zero || g)", "(1 | g)", ["zero"]),
        ("(1 + k | g)", "(1 | g)", ["k"]),
        ("(1 + k || g)", "(1 | g)", ["k"]),
        ("(1 + x + x2 | g)", "(1 + x | g)", ["x2"]),
        ("(1 + zero + x | g)", "(1 + x | g)", ["zero"]),
        ("(1 + x + x2 || g)", "(1 + x || g)", ["x2"]),
        ("(1 | g) + (0 + f | g)", "(0 + f | g)", ["(Intercept)"]),
    ],
)
@pytest.mark.parametrize("prior", [None, ml.RelativeEntropy()])
def test_the_fit_is_that_of_the_identified_model(
    data: pd.DataFrame, random: str, equivalent: str, columns: list[str], prior: Prior | None
) -> None:
    fit, same = (ml.fit(f"y ~ x + {r}", data, prior=prior) for r in (random, equivalent))
    assert fit.converged
    assert dropped(fit) == columns
    assert dropped(same) == []
    np.testing.assert_array_equal(fit.solution.psi, same.solution.psi)
    assert list(fit.theta.index) == list(same.theta.index)
    new = data.sample(50, random_state=0).reset_index(drop=True)
    new[["zero", "k"]] = [1e3, -1e3]  # what was dropped makes no difference
    pd.testing.assert_series_equal(fit.predict(new), same.predict(new))


def test_the_diagnostic_names_term_column_and_group(data: pd.DataFrame) -> None:
    fit = ml.fit("y ~ x + (1 + x + x2 | g)", data)
    (found,) = [d for d in fit.diagnostics if d.code == "aliased-random-effect"]
    assert "'x2' of the random effects (1 + x + x2 | g) depends on earlier" in found.message
    assert found.severity == "warning"
    assert found.facts == {"group": "g", "column": "x2"}


def test_a_factor_without_effects_is_left_out(data: pd.DataFrame) -> None:
    fit = ml.fit("y ~ x + (0 + zero | g)", data)
    assert fit.random == ()
    assert dropped(fit) == ["zero"]
    same = ml.fit("y ~ x", data)
    np.testing.assert_allclose(fit.coef, same.coef, rtol=1e-12)
    pd.testing.assert_series_equal(fit.predict(data), same.predict(data))


def test_effects_that_only_look_alike_stay(data: pd.DataFrame) -> None:
    # 1, fa, fb are dependent columns, but three variances of uncorrelated effects are not
    fit = ml.fit("y ~ x + (1 | g) + (0 + f || g)", data)
    assert len(fit.theta) == 3
    assert dropped(fit) == []
    near = data.assign(x2=data["x"] * (1 + 1e-4 * np.cos(np.arange(len(data)))))
    fit = ml.fit("y ~ x + (0 + x + x2 || g)", near, max_iterations=1)
    assert dropped(fit) == []
