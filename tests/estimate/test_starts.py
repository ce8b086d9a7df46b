"""Start values of models with random effects: near the maximum, so that few steps are left."""

import numpy as np
import pytest
from numpy.polynomial.hermite_e import hermegauss
from scipy.special import expit

import multilogit as ml
from multilogit.estimate.starts import growth


def averaged(eta: float, sigma: float) -> tuple[float, float, float]:
    """w, V and kappa of a random intercept, by quadrature."""
    nodes, weights = hermegauss(201)
    weights = weights / weights.sum()
    pi = expit(eta + sigma * nodes)
    mean = weights @ pi
    w = mean * (1.0 - mean)
    V = (weights @ pi**2 - mean**2) / w**2
    return w, V, w / (weights @ (pi * (1.0 - pi)))


@pytest.mark.parametrize("eta", [0.0, 1.0, 2.0, 3.0, 4.0])
@pytest.mark.parametrize("sigma", [0.3, 0.6, 1.0, 1.5, 2.0])
def test_growth_undoes_averaging_over_the_population(eta: float, sigma: float) -> None:
    w, V, kappa = averaged(eta, sigma)
    of_beta, of_Sigma = growth(V, w)
    assert of_beta == pytest.approx(kappa, rel=0.013)
    assert np.sqrt(of_Sigma * V) == pytest.approx(sigma, rel=0.03)


def test_growth_is_bounded() -> None:
    """A marginal variance beyond belief does not grow beyond all measure."""
    of_beta, of_Sigma = growth(9.0, 0.25)
    assert of_beta == pytest.approx(2.0)
    assert of_Sigma == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("size", "sigma", "intercept"),
    [(2, 1.0, 0.0), (20, 1.0, -0.5), (20, 2.0, -0.5), (40, 1.0, -3.0), (40, 0.5, -3.0)],
)
def test_searches_start_within_a_few_standard_errors(
    size: int, sigma: float, intercept: float
) -> None:
    """Rare events and large variances included."""
    rng = np.random.default_rng(3)
    g = np.repeat(np.arange(10_000 // size), size)
    x = rng.normal(size=g.size)
    eta = intercept + 0.7 * x + sigma * rng.normal(size=g[-1] + 1)[g]
    y = (rng.random(g.size) < expit(eta)).astype(float)
    fit = ml.fit("y ~ x + (1 | g)", {"y": y, "x": x, "g": g}, threads=1)
    assert fit.converged
    assert fit.trace["decrement"].iloc[0] < 4.0
    assert len(fit.trace) <= 5


def test_a_nested_factor_starts_from_its_own_variance() -> None:
    rng = np.random.default_rng(4)
    inner = np.repeat(np.arange(800), 10)
    outer = inner // 10
    eta = rng.normal(size=800)[inner] + 1.5 * rng.normal(size=80)[outer]
    y = (rng.random(inner.size) < expit(eta)).astype(float)
    data = {"y": y, "inner": inner, "outer": outer}
    fit = ml.fit("y ~ 1 + (1 | outer) + (1 | inner)", data, threads=1)
    assert fit.converged
    assert fit.trace["decrement"].iloc[0] < 4.0


def test_large_columns_in_rows_of_many_trials_lead_nowhere_else() -> None:
    """Z'wZ per trial, in units of the rows' mean square of Z, is then no π(1 − π)."""
    rng = np.random.default_rng(1)
    g = np.repeat(np.arange(40), 10)
    many = rng.random(400) < 0.1
    z = np.where(many, 3.0, 0.1) * rng.choice([-1.0, 1.0], 400)
    n = np.where(many, 1000, 1)
    y = rng.binomial(n, expit(0.2 + (0.3 + 0.7 * rng.normal(size=40)[g]) * z))
    fit = ml.fit("y ~ z + (z | g)", {"y": y, "z": z, "g": g, "n": n}, trials="n", threads=1)
    assert fit.converged
    assert fit.trace["decrement"].iloc[0] < 10.0
    assert fit.solution.n_evaluations <= 20
