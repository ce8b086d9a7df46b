"""Several maxima of the Laplace objective are found and reported."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import multilogit as ml


def culcita(reference_data: Path) -> pd.DataFrame:
    data = pd.read_csv(reference_data / "culcita.csv")
    data["ttt"] = pd.Categorical(data["ttt"], ["none", "crabs", "shrimp", "both"])
    return data


FORMULA = "predation ~ ttt + (1 | block)"


@pytest.mark.parametrize("starts", [1, 8])
def test_both_laplace_maxima_of_culcita_are_reported(reference_data: Path, starts: int) -> None:
    # Sterzinger & Kosmidis (2023): culcita without row 20; the maxima by a polished optimiser
    data = culcita(reference_data).drop(index=19)
    fit = ml.fit(FORMULA, data, starts=starts)
    (several,) = [d for d in fit.diagnostics if d.code == "several-maxima"]
    np.testing.assert_allclose(several.facts["values"], [-19.7873, -20.0984], atol=1e-4)
    sd = [psi[-1] for psi in several.facts["psi"]]
    np.testing.assert_allclose(np.log(sd), [3.064, 2.166], atol=1e-3)
    assert fit.loglik == pytest.approx(-19.7873, abs=1e-4)
    assert several.severity == "warning"


def test_one_maximum_is_one_maximum(reference_data: Path) -> None:
    fit = ml.fit(FORMULA, culcita(reference_data), starts=8)
    assert fit.loglik == pytest.approx(-30.35292, abs=1e-5)
    assert not [d for d in fit.diagnostics if d.code == "several-maxima"]


def test_quadrature_has_one_maximum_where_laplace_has_two(reference_data: Path) -> None:
    data = culcita(reference_data).drop(index=19)
    fit = ml.fit(FORMULA, data, nodes=100, starts=8)
    # dense integration: 15.919 -12.962 -14.850 -17.745, log sd 2.315
    np.testing.assert_allclose(fit.coef, [15.919, -12.962, -14.850, -17.745], atol=1e-3)
    assert np.log(fit.theta.iloc[0]) == pytest.approx(2.315, abs=1e-3)
    assert fit.loglik == pytest.approx(-19.66813, abs=1e-5)
    assert not fit.diagnostics


def test_more_starts_never_end_lower() -> None:
    for seed in range(5):
        rng = np.random.default_rng(seed)
        g = np.repeat(np.arange(8), 5)
        eta = 2.0 * rng.normal(size=8)[g] + rng.normal(size=40)
        data = pd.DataFrame({"y": (eta > 0).astype(int), "x": rng.normal(size=40), "g": g})
        one, many = (ml.fit("y ~ x + (1 | g)", data, starts=n) for n in (1, 6))
        assert many.loglik >= one.loglik - 1e-9


def test_mirrored_maxima_of_equal_height_are_two() -> None:
    g = np.repeat(np.arange(20), 10)
    fit = ml.fit("y ~ (1 | g)", {"y": g % 2, "g": g}, starts=8)
    (several,) = [d for d in fit.diagnostics if d.code == "several-maxima"]
    one, other = several.facts["values"]
    assert one == pytest.approx(other, abs=1e-6)
    left, right = several.facts["psi"]
    np.testing.assert_allclose([-left[0], left[1]], right, rtol=1e-3)
    assert "one of the highest" in several.message


def test_starts_must_be_a_positive_number() -> None:
    data = {"y": [0, 1, 0, 1], "x": [1.0, 2.0, 3.0, 1.5], "g": [1, 1, 2, 2]}
    with pytest.raises(ml.OptionError, match="starts=0: give a whole number from 1 on"):
        ml.fit("y ~ x + (1 | g)", data, starts=0)
