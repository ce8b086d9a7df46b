"""The same design with new responses."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
import pytest

import multilogit as ml


def herds(seed: int = 0, groups: int = 15, size: int = 4) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    g = np.repeat(np.arange(groups), size)
    x = rng.normal(size=g.size)
    trials = rng.integers(2, 12, g.size)
    eta = -0.5 + 0.6 * x + 0.8 * rng.normal(size=groups)[g]
    return pd.DataFrame(
        {"y": rng.binomial(trials, 1 / (1 + np.exp(-eta))), "n": trials, "x": x, "g": g}
    )


FORMULA = "cbind(y, n - y) ~ x + (1 | g)"


def test_the_same_response_gives_the_same_fit() -> None:
    data = herds()
    fit = ml.fit(FORMULA, data)
    again = ml.Refitter(fit)(data["y"])
    assert again.loglik == pytest.approx(fit.loglik, abs=1e-10)
    np.testing.assert_allclose(again.solution.psi, fit.solution.psi, atol=1e-8)


def test_a_new_response_gives_the_fit_of_new_data_whatever_came_before() -> None:
    data, other = herds(), herds(5)
    refit = ml.Refitter(ml.fit(FORMULA, data))
    y = np.minimum(other["y"], data["n"])
    first = refit(y)
    refit(np.zeros(len(data)))  # something extreme in between
    second = refit(y)
    fresh = ml.fit(FORMULA, data.assign(y=y))
    assert first.loglik == pytest.approx(fresh.loglik, abs=1e-9)
    np.testing.assert_array_equal(first.solution.psi, second.solution.psi)
    np.testing.assert_allclose(first.se, fresh.se, rtol=1e-6)


def test_a_refit_leaves_the_boundary_of_the_first_fit() -> None:
    g = np.repeat(np.arange(20), 6)
    data = pd.DataFrame({"y": np.tile([0, 1], 60), "g": g})
    fit = ml.fit("y ~ 1 + (1 | g)", data)
    assert fit.theta.iloc[0] == 0.0
    y = (np.random.default_rng(1).normal(size=20)[g] * 2 > 0).astype(int)
    y[::5] = 1 - y[::5]
    assert ml.Refitter(fit)(y).theta.iloc[0] > 0.5


def test_populations_are_collapsed_alike() -> None:
    rng = np.random.default_rng(2)
    data = pd.DataFrame({"x": rng.integers(0, 2, 5000), "g": rng.integers(0, 10, 5000)})
    data["y"] = rng.integers(0, 2, 5000)
    refit = ml.Refitter(ml.fit("y ~ x + (1 | g)", data))
    y = rng.integers(0, 2, 5000)
    assert refit(y).loglik == pytest.approx(
        ml.fit("y ~ x + (1 | g)", data.assign(y=y)).loglik, abs=1e-8
    )


def test_priors_and_nodes_are_kept() -> None:
    data = herds()
    fit = ml.fit(FORMULA, data, prior=ml.RelativeEntropy(), nodes=7)
    again = ml.Refitter(fit)(data["y"])
    assert again.options.nodes == 7
    np.testing.assert_allclose(again.coef, fit.coef, atol=1e-8)


def test_multinomial_and_single_level() -> None:
    rng = np.random.default_rng(3)
    data = pd.DataFrame({"y": rng.choice(list("abc"), 90), "x": rng.normal(size=90)})
    fit = ml.fit("y ~ x", data)
    again = ml.Refitter(fit)(fit.frame.response.counts)
    np.testing.assert_allclose(again.coef, fit.coef, atol=1e-8)


def test_python_threads_may_share_a_refitter() -> None:
    data = herds()
    refit = ml.Refitter(ml.fit(FORMULA, data))
    rng = np.random.default_rng(4)
    responses = [rng.binomial(data["n"], 0.4) for _ in range(24)]
    expected = [refit(y).loglik for y in responses]
    with ThreadPoolExecutor(6) as pool:
        found = [fit.loglik for fit in pool.map(refit, responses)]
    assert found == expected


def test_bad_responses_are_named() -> None:
    data = herds()
    refit = ml.Refitter(ml.fit(FORMULA, data))
    with pytest.raises(ml.DataError, match="needs 60 rows"):
        refit([1, 0])
    y = data["y"].to_numpy().astype(float)
    y[7] = -1
    with pytest.raises(ml.DataError, match="Row 7"):
        refit(y)
    with pytest.raises(ml.DataError, match="must be numbers"):
        refit(["yes"] * 60)
