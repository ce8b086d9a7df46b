"""Data on which maximum likelihood breaks: the entropy prior gives finite, unique estimates.

Covariates are standardised. Every design is a function of a seed.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

import multilogit as ml
from multilogit.data.model_frame import Grouping
from multilogit.estimate import Options
from multilogit.fitting import fit_frame
from multilogit.formula import build_frame
from multilogit.result import Fit, Spec

Problem = tuple[str, pd.DataFrame]
Design = Callable[[int], Problem]


def standard(x: Any) -> Any:
    return (x - x.mean(axis=0)) / x.std(axis=0)


def bernoulli(rng: np.random.Generator, eta: Any) -> Any:
    return (rng.uniform(size=eta.size) < 1.0 / (1.0 + np.exp(-eta))).astype(float)


def complete_separation(seed: int) -> Problem:
    """One covariate separates the responses, across 20 clusters."""
    rng = np.random.default_rng(seed)
    g = np.repeat(np.arange(20), 8)
    x, z = standard(rng.normal(size=(160, 2))).T
    return "y ~ x + z + (1 | g)", pd.DataFrame({"y": (x > 0).astype(float), "x": x, "z": z, "g": g})


def separation_by_a_level(seed: int) -> Problem:
    """All responses of one level are 1."""
    rng = np.random.default_rng(seed)
    g = np.repeat(np.arange(20), 8)
    a, z = np.tile([-1.0, 1.0], 80), standard(rng.normal(size=160))
    y = np.where(a > 0, 1.0, bernoulli(rng, -0.5 + rng.normal(size=20)[g]))
    return "y ~ a + z + (1 | g)", pd.DataFrame({"y": y, "a": a, "z": z, "g": g})


def constant_clusters(seed: int) -> Problem:
    """Every cluster is all 0 or all 1."""
    rng = np.random.default_rng(seed)
    g = np.repeat(np.arange(20), 8)
    x = standard(rng.normal(size=160))
    return "y ~ x + (1 | g)", pd.DataFrame({"y": (g % 2).astype(float), "x": x, "g": g})


def singletons(seed: int) -> Problem:
    """One row per cluster."""
    rng = np.random.default_rng(seed)
    x = standard(rng.normal(size=80))
    y = bernoulli(rng, 0.3 + 0.8 * x + rng.normal(size=80))
    return "y ~ x + (1 | g)", pd.DataFrame({"y": y, "x": x, "g": np.arange(80)})


def five_observations(seed: int) -> Problem:
    """Four coefficients."""
    rng = np.random.default_rng(seed)
    a, b, c = standard(rng.normal(size=(5, 3))).T
    y = [0.0, 1.0, 0.0, 1.0, 1.0]
    return "y ~ a + b + c", pd.DataFrame({"y": y, "a": a, "b": b, "c": c})


def zero_variance(seed: int) -> Problem:
    """30 clusters that do not differ."""
    rng = np.random.default_rng(seed)
    g = np.repeat(np.arange(30), 10)
    x = standard(rng.normal(size=300))
    y = bernoulli(rng, 0.3 + 0.8 * x)
    return "y ~ x + (1 | g)", pd.DataFrame({"y": y, "x": x, "g": g})


def rare_events(seed: int) -> Problem:
    """A prevalence of .1 %."""
    rng = np.random.default_rng(seed)
    g = np.repeat(np.arange(40), 100)
    x = standard(rng.normal(size=4000))
    y = bernoulli(rng, -7.2 + 0.7 * x + 0.5 * rng.normal(size=40)[g])
    return "y ~ x + (1 | g)", pd.DataFrame({"y": y, "x": x, "g": g})


def rare_single_level(seed: int) -> Problem:
    _, data = rare_events(seed)
    return "y ~ x", data


def separated_category(seed: int) -> Problem:
    """Three categories, one of them separated from the others."""
    rng = np.random.default_rng(seed)
    x, z = standard(rng.normal(size=(90, 2))).T
    y = np.where(x > 0.4, "c", np.where(z + rng.normal(size=90) > 0, "b", "a"))
    return "y ~ x + z", pd.DataFrame({"y": y, "x": x, "z": z})


DESIGNS: list[Design] = [
    complete_separation,
    separation_by_a_level,
    constant_clusters,
    singletons,
    five_observations,
    zero_variance,
    rare_events,
    rare_single_level,
    separated_category,
]
every_design = pytest.mark.parametrize("design", DESIGNS, ids=lambda design: design.__name__)


def fit(problem: Problem, prior: Any, **options: Any) -> Fit:
    return ml.fit(*problem, prior=prior, threads=1, **options)


def height(found: Fit) -> float:
    """Q at the estimate."""
    return found.solution.evaluation.value


def random_starts(rng: np.random.Generator, like: Fit, count: int) -> list[Any]:
    """β of any size up to some 20, standard deviations from .05 to 10."""
    p, m = len(like.coef), len(like.theta)
    return [
        np.concatenate(
            [
                rng.normal(size=p) * rng.choice([0.3, 1.0, 3.0, 8.0]),
                np.exp(rng.uniform(np.log(0.05), np.log(10.0), m)),
            ]
        )
        for _ in range(count)
    ]


@every_design
@pytest.mark.parametrize("seed", range(5))
def test_relative_entropy_is_finite(design: Design, seed: int) -> None:
    found = fit(design(seed), ml.RelativeEntropy())
    assert found.converged
    assert found.status is ml.Status.CONVERGED
    assert found.coef.abs().max() < 15.0
    assert found.se.max() < 30.0
    assert found.posterior_sd.max() < 30.0


@every_design
def test_every_start_leads_to_the_same_optimum(design: Design) -> None:
    problem = design(0)
    first = fit(problem, ml.RelativeEntropy())
    for start in random_starts(np.random.default_rng(1), first, 20):
        again = fit(problem, ml.RelativeEntropy(), start=start)
        assert again.converged
        assert height(again) == pytest.approx(height(first), abs=1e-10)
        np.testing.assert_allclose(again.solution.psi, first.solution.psi, rtol=0, atol=1e-6)


def reparametrised(problem: Problem, rng: np.random.Generator) -> tuple[Problem, Any]:
    """The model with X A for X (without its intercept), and A."""
    formula, data = problem
    frame, _ = build_frame(formula, data)
    X = np.column_stack(frame.fixed.columns)
    p = X.shape[1]
    A = rng.normal(size=(p, p))
    while np.linalg.cond(A) > 50.0:
        A = rng.normal(size=(p, p))
    names = [f"c{j}" for j in range(p)]
    bars = " + (1 | g)" if "|" in formula else ""
    return (
        f"y ~ 0 + {' + '.join(names)}{bars}",
        data.assign(**dict(zip(names, (X @ A).T, strict=True))),
    ), A


@every_design
@pytest.mark.parametrize("seed", range(3))
def test_linear_reparametrisation_changes_nothing(design: Design, seed: int) -> None:
    problem = design(seed)
    other, A = reparametrised(problem, np.random.default_rng(seed))
    first = fit(problem, ml.RelativeEntropy(), tolerance=1e-10)
    second = fit(other, ml.RelativeEntropy(), tolerance=1e-10)
    logits = np.split(second.coef.to_numpy(), len(second.coef) // len(A))
    beta = np.concatenate([A @ gamma for gamma in logits])
    np.testing.assert_allclose(beta, first.coef, rtol=0, atol=1e-8)
    np.testing.assert_allclose(second.theta, first.theta, rtol=0, atol=1e-8)
    assert second.loglik == pytest.approx(first.loglik, abs=1e-9)


# -- Shannon entropy -----------------------------------------------------------------------------

TOO_LARGE = {complete_separation}
"""Where ShannonEntropy leaves |β̂| above 15 (its documentation says so); all else holds."""


@every_design
def test_shannon_entropy_with_its_floor(design: Design) -> None:
    problem = design(0)
    found = fit(problem, ml.ShannonEntropy())
    assert found.converged
    assert found.se.max() < 30.0
    assert (found.coef.abs().max() > 15.0) == (design in TOO_LARGE)
    for start in random_starts(np.random.default_rng(2), found, 20):
        again = fit(problem, ml.ShannonEntropy(), start=start)
        assert again.converged
        assert height(again) == pytest.approx(height(found), abs=1e-10)


def test_shannon_entropy_alone_is_not_trusted_where_it_fails() -> None:
    found = fit(complete_separation(0), ml.ShannonEntropy(floor=0.0))
    assert not found.converged
    assert found.coef.abs().max() > 100.0


# -- one cluster ---------------------------------------------------------------------------------


def one_cluster(prior: Any, start: Any = None) -> Fit:
    """60 rows, all of the same group."""
    formula, data = singletons(0)
    data = data.iloc[:60].assign(g=np.arange(60) % 2)
    frame, design = build_frame(formula, data)
    everyone = Grouping("g", np.zeros(60, dtype=np.int32), np.array(["all"], dtype=object))
    frame = replace(frame, groupings={"g": everyone})
    options = Options(prior=prior, start=start)
    return fit_frame(frame, design, Spec(formula, {}), options, time.perf_counter())


def test_one_cluster() -> None:
    """The data say nothing about the variance; the prior does."""
    found = one_cluster(ml.RelativeEntropy())
    assert found.converged
    assert found.coef.abs().max() < 15.0
    assert found.se.max() < 30.0
    assert 0.1 < found.theta.iloc[0] < 5.0
    for start in random_starts(np.random.default_rng(3), found, 20):
        again = one_cluster(ml.RelativeEntropy(), start)
        assert again.converged
        np.testing.assert_allclose(again.solution.psi, found.solution.psi, rtol=0, atol=1e-6)


# -- small variances -----------------------------------------------------------------------------

BETA = np.array([1.0, -0.5, 0.5, 0.25, -1.0])
FIVE_CLUSTERS = "y ~ x2 + x3 + x4 + x5 + (1 | g)"


def five_clusters(log_sd: float, n: int, seed: int) -> pd.DataFrame:
    """The second design of Sterzinger & Kosmidis (2023, supplement S4.2): 5 clusters of n."""
    rng = np.random.default_rng(seed)
    x2, x5 = rng.normal(size=5 * n), rng.exponential(size=5 * n)
    x3, x4 = (rng.binomial(1, share, 5 * n).astype(float) for share in (0.5, 0.2))
    g = np.tile(np.arange(5), n)
    X = np.column_stack([np.ones(5 * n), x2, x3, x4, x5])
    y = bernoulli(rng, X @ BETA + np.exp(log_sd) * rng.normal(size=5)[g])
    return pd.DataFrame({"y": y, "x2": x2, "x3": x3, "x4": x4, "x5": x5, "g": g})


@pytest.mark.parametrize("log_sd", [-5, -4, -3, -2, -1, 0])
def test_no_fit_ends_on_the_saddle(log_sd: int) -> None:
    boundary = 0
    for seed in range(12):
        data = five_clusters(log_sd, (50, 100, 200)[seed % 3], seed)
        found = ml.fit(FIVE_CLUSTERS, data, threads=1)
        flat = ml.fit("y ~ x2 + x3 + x4 + x5", data, threads=1).coef
        assert found.converged
        others = [
            ml.fit(FIVE_CLUSTERS, data, threads=1, start=np.append(flat, sd))
            for sd in (0.0, 0.2, 1.0)  # the first is the saddle itself, if it is one
        ]
        assert all(other.converged for other in others)
        logliks = [other.loglik for other in others]
        np.testing.assert_allclose(logliks, found.loglik, rtol=0, atol=1e-8)
        codes = [diagnostic.code for diagnostic in found.diagnostics]
        assert ("singular" in codes) == (found.theta.iloc[0] == 0.0)
        if found.theta.iloc[0] == 0.0:
            boundary += 1
            assert found.boundary[-1]
            assert found.likelihood.hessian[-1, -1] < 0.0  # curvature along the standard deviation
    assert boundary > 0 if log_sd < -1 else boundary < 12


@pytest.mark.parametrize("prior", [ml.RelativeEntropy(), ml.SoftPenalty()], ids=["re", "soft"])
def test_penalised_variances_stay_inside(prior: Any) -> None:
    for seed in range(6):
        found = ml.fit(FIVE_CLUSTERS, five_clusters(-5, 50, seed), prior=prior, threads=1)
        assert found.converged
        assert not found.boundary.any()
        assert 0.01 < found.theta.iloc[0] < 1.0


@pytest.mark.parametrize("year", [50.0, 500.0, 2000.0])
def test_slopes_of_predictors_far_from_zero_take_no_more_steps(year: float) -> None:
    rng = np.random.default_rng(0)
    g, x = rng.integers(0, 60, 3000), rng.integers(-7, 8, 3000).astype(float)
    b = rng.normal(size=(60, 2)) * [1.0, 0.25]
    eta = 0.2 + 0.1 * x + b[g, 0] + b[g, 1] * x
    data = pd.DataFrame({"y": (rng.random(3000) < 1 / (1 + np.exp(-eta))) * 1, "x": x, "g": g})
    near = ml.fit("y ~ x + (1 + x | g)", data)
    far = ml.fit("y ~ x + (1 + x | g)", data.assign(x=data["x"] + year))
    assert far.converged
    assert far.n_iterations <= near.n_iterations + 2
    assert far.loglik == pytest.approx(near.loglik, abs=1e-7)
    assert far.coef["x"] == pytest.approx(near.coef["x"], rel=1e-5)
    assert far.se["x"] == pytest.approx(near.se["x"], rel=1e-5)
    sd = [fit.variance_components.set_index("name")["sd"]["x"] for fit in (near, far)]
    assert sd[1] == pytest.approx(sd[0], rel=1e-5)


def slopes(shift: float) -> dict[str, Any]:
    """A random slope of a predictor with sd 1, moved away from 0."""
    rng = np.random.default_rng(2)
    g, x = rng.integers(0, 50, 2000), rng.normal(size=2000)
    b = rng.normal(size=(50, 2)) * [0.8, 0.5]
    return {"y": bernoulli(rng, 0.3 + 0.7 * x + b[g, 0] + b[g, 1] * x), "x": x + shift, "g": g}


def test_noise_of_predictors_far_from_zero_is_told_from_failure() -> None:
    """At 2000 sd from 0 the maximum is reached to the noise of ℓ; at 20000 it is not."""
    centred, far, further = (
        ml.fit("y ~ x + (1 + x | g)", slopes(shift)) for shift in (0.0, 2e3, 2e4)
    )
    assert far.converged
    assert far.loglik == pytest.approx(centred.loglik, abs=1e-7)
    assert far.coef["x"] == pytest.approx(centred.coef["x"], abs=1e-3 * centred.se["x"])
    assert not further.converged
    (found,) = [d for d in further.diagnostics if d.severity == "error"]
    assert "centre" in str(found.remedy)
    assert "'x' (mean 2e+04, sd 0.99)" in str(found.remedy)
    short = ml.fit("y ~ x", slopes(2e3), max_iterations=1)
    assert "'x' (mean 2e+03, sd 0.99)" in str(short.diagnostics[0].remedy)
    assert "Far from 0" not in str(ml.fit("y ~ x", slopes(0.0), max_iterations=1).diagnostics)
    alone = ml.fit("y ~ 1 + (1 + x | g)", slopes(1e5))
    assert "'x' (mean 1e+05, sd 0.99)" in str(alone.diagnostics[0].remedy)


def test_what_overflows_is_named() -> None:
    """Some rows alone are out of range: the search says which column it is."""
    rng = np.random.default_rng(2)
    data = {
        "y": rng.integers(0, 2, 2500),
        "g": rng.integers(0, 50, 2500),
        "x": rng.normal(size=2500),
    }
    data["x"][[1, 3, 5, 7]], data["y"][[1, 3, 5, 7]] = 1e120, [0, 1, 1, 0]
    fit = ml.fit("y ~ 1 + (x | g)", data)
    assert fit.status is ml.Status.NOT_FINITE
    (found,) = fit.diagnostics
    assert "'x' (largest value 1e+120); divide by that value" in found.remedy
