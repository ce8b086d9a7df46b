"""Simulated responses follow the model."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.polynomial.hermite_e import hermegauss
from scipy.special import expit

import multilogit as ml
from multilogit.assess.simulation import multinomial_counts, whole_trials
from multilogit.result import Fit


@pytest.fixture(scope="module")
def slopes() -> Fit:
    rng = np.random.default_rng(1)
    g = np.repeat(np.arange(40), 10)
    x = rng.standard_normal(g.size)
    b = rng.standard_normal((40, 2)) @ np.array([[1.0, 0.5], [0.0, 0.6]])
    eta = -0.3 + 0.8 * x + b[g, 0] + b[g, 1] * x
    trials = 1 + np.arange(g.size) % 3
    y = rng.binomial(trials, expit(eta))
    data = pd.DataFrame({"y": y, "x": x, "g": g, "n": trials})
    return ml.fit("y ~ x + (1 + x | g)", data, trials="n")


def test_mean_and_variance_of_marginal_draws(slopes: Fit) -> None:
    drawn = slopes.simulate(4000, seed=3).to_numpy()
    node, weight = hermegauss(60)
    weight = weight / weight.sum()
    (effects,) = slopes.random
    x, n = slopes.frame.fixed.columns[1], slopes.frame.response.trials
    z = np.column_stack([np.ones(x.size), x])
    sd = np.sqrt(np.einsum("ni,ij,nj->n", z, effects.Lambda @ effects.Lambda.T, z))
    eta = slopes.predict(kind="link", level="population").to_numpy()
    pi = expit(eta[:, None] + sd[:, None] * node)
    mean, second = pi @ weight, pi**2 @ weight
    variance = n * mean + n * (n - 1) * second - (n * mean) ** 2
    z_mean = (drawn.mean(axis=1) - n * mean) / np.sqrt(variance / 4000)
    assert np.mean(z_mean**2) == pytest.approx(1.0, abs=0.35)
    assert drawn.var(axis=1).mean() == pytest.approx(variance.mean(), rel=0.02)


def test_rows_of_a_group_share_their_random_effects(slopes: Fit) -> None:
    marginal = slopes.simulate(400, seed=1)
    conditional = slopes.simulate(400, seed=1, level="conditional")
    g = slopes.frame.groupings["g"].codes  # type: ignore[index]
    totals = {name: s.groupby(g).sum().var(axis=1).mean()
              for name, s in {"m": marginal, "c": conditional}.items()}  # fmt: skip
    assert totals["m"] > 2 * totals["c"]
    pi = slopes.predict().to_numpy() * slopes.frame.response.trials
    assert np.abs(conditional.mean(axis=1) - pi).max() < 0.2


def test_a_draw_depends_on_seed_and_number_alone(slopes: Fit) -> None:
    many = slopes.simulate(5, seed=7)
    pd.testing.assert_frame_equal(slopes.simulate(2, seed=7), many.iloc[:, :2])
    assert not many["sim_1"].equals(many["sim_2"])
    assert not many["sim_1"].equals(slopes.simulate(1, seed=8)["sim_1"])


def test_draws_can_be_fitted(slopes: Fit) -> None:
    refit = ml.Refitter(slopes)
    assert refit(slopes.simulate(1)["sim_1"]).converged


def test_new_groups_get_effects_of_their_own(slopes: Fit) -> None:
    new = {"x": np.zeros(4000), "g": np.repeat(["new1", "new2"], 2000)}
    drawn = slopes.simulate(300, new=new, trials=1)
    share = drawn.groupby(new["g"]).mean()
    sd = slopes.variance_components["sd"].iloc[0]
    spread = np.log(share / (1 - share)).to_numpy().std()
    assert spread == pytest.approx(sd, rel=0.1)
    with pytest.raises(ml.DataError, match=r"level='marginal'"):
        slopes.simulate(1, new=new, level="conditional")


def test_trials_of_new_data(slopes: Fit) -> None:
    new = pd.DataFrame({"x": [0.0, np.nan, 9.0], "g": [1, 1, 2], "n": [5, 6, 7]}, index=list("abc"))
    assert list(slopes.simulate(1, new=new).index) == ["a", "c"]
    drawn = slopes.simulate(200, new=new)  # by the column that the fit was told
    assert drawn.max(axis=1).tolist() == [5, 7]
    assert slopes.simulate(200, new=new, trials=1).max(axis=1).tolist() == [1, 1]
    with pytest.raises(ml.DataError, match="whole"):
        slopes.simulate(1, new=new, trials=[1, 2, 0.5])


def test_multinomial_weights_and_categories() -> None:
    rng = np.random.default_rng(2)
    data = {"y": rng.choice(["a", "b", "c"], 300, p=[0.5, 0.3, 0.2]), "w": rng.integers(1, 4, 300)}
    fit = ml.fit("y ~ 1", data, weights="w")
    drawn = fit.simulate(200)
    assert drawn.shape == (300, 600)
    first: Any = drawn["sim_1"]
    assert (first.sum(axis=1) == data["w"]).all()
    share = drawn.T.groupby(level=1).sum().sum(axis=1)
    share /= share.sum()
    assert np.allclose(share, fit.predict().iloc[0], atol=0.004)
    with pytest.raises(ml.OptionError, match="not whole"):
        ml.fit("y ~ 1", data, weights=np.full(300, 1.5)).simulate(1)


def test_multinomial_counts_against_their_covariance() -> None:
    rng = np.random.default_rng(4)
    pi = np.array([0.1, 0.2, 0.3, 0.4])
    counts = multinomial_counts(np.tile(pi, (200_000, 1)), np.full(200_000, 6.0), rng)
    assert np.allclose(counts.mean(axis=0), 6 * pi[1:], atol=0.02)
    expected = 6 * (np.diag(pi) - np.outer(pi, pi))[1:, 1:]
    assert np.allclose(np.cov(counts.T), expected, atol=0.03)


def test_whole_trials() -> None:
    trials = np.array([1.0, 2.0])
    assert whole_trials(trials, None) is trials
    assert whole_trials(trials, np.array([3.0, 0.5])).tolist() == [3.0, 1.0]  # type: ignore[union-attr]
    assert whole_trials(trials, np.array([0.5, 1.0])) is None


def test_options_are_checked(slopes: Fit) -> None:
    with pytest.raises(ml.OptionError, match="level"):
        slopes.simulate(1, level="population")  # type: ignore[arg-type]
    with pytest.raises(ml.OptionError, match="n=0"):
        slopes.simulate(0)
    with pytest.raises(ml.OptionError, match="new"):
        slopes.simulate(1, trials=3)


@pytest.mark.parametrize("seed", ["a", -1, 1.5, True])
def test_seeds_are_whole_numbers(seed: Any) -> None:
    fit = ml.fit("y ~ x", {"y": [0, 1, 0, 1, 1, 0], "x": [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]})
    for method in (fit.simulate, fit.residual_tests, fit.posterior_sample, fit.bootstrap):
        with pytest.raises(ml.OptionError, match="seed="):
            method(seed=seed)
    with pytest.raises(ml.OptionError, match="seed="):
        fit.residuals("quantile", seed=seed)
