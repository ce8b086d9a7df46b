"""``infinite="freeze"``: the rule, the verdict of the linear programs, the limit."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.special import expit

from multilogit.errors import Status
from multilogit.estimate.freeze import FrozenEstimate, Restricted, estimate_frozen, meets_rule
from multilogit.estimate.options import Options
from multilogit.likelihood.fixed import FixedLikelihood
from multilogit.newton import maximise

Array = NDArray[np.float64]


def likelihood_of(
    X: Array, y: Array, trials: Array | None = None, offset: Array | None = None
) -> FixedLikelihood:
    columns = [np.ascontiguousarray(x, dtype=float) for x in X.T]
    return FixedLikelihood(columns, y, np.ones(len(X)) if trials is None else trials, offset)


def freeze(X: Array, y: Array, **more: Array) -> FrozenEstimate:
    return estimate_frozen(likelihood_of(X, y, **more), Options())


def maximum(X: Array, y: Array, trials: Array | None = None) -> tuple[Array, Array, float]:
    """Ordinary maximum likelihood of data that overlap: β̂, SE, ℓ."""
    found = maximise(likelihood_of(X, y, trials), np.zeros(X.shape[1]))
    assert found.converged
    se = np.sqrt(np.diag(np.linalg.inv(-found.evaluation.hessian)))
    return found.psi, se, found.evaluation.value


def se_of(frozen: FrozenEstimate) -> Array:
    return np.sqrt(np.diag(frozen.estimate.covariance()))


def rare_level(n: int = 80, seed: int = 1) -> tuple[Array, Array]:
    """Intercept, a covariate and a level that always responds."""
    rng = np.random.default_rng(seed)
    level = np.arange(n) % 8 == 0
    X = np.column_stack([np.ones(n), rng.normal(size=n), level])
    y = (rng.random(n) < expit(X @ [-0.5, 1.0, 0.0])) * 1.0
    y[level] = 1.0
    return X, y


def test_what_is_left_is_the_fit_without_the_separated_rows() -> None:
    X, y = rare_level()
    frozen = freeze(X, y)
    left = X[:, 2] == 0
    beta, se, value = maximum(X[left][:, :2], y[left])
    solution = frozen.estimate.solution
    assert solution.status is Status.CONVERGED
    assert solution.psi[2] == np.inf
    np.testing.assert_allclose(solution.psi[:2], beta, atol=1e-8)
    np.testing.assert_allclose(se_of(frozen)[:2], se, rtol=1e-7)
    assert np.isnan(se_of(frozen)[2])
    assert solution.evaluation.value == pytest.approx(value, abs=1e-10)
    np.testing.assert_array_equal(frozen.infinite, [False, False, True])
    np.testing.assert_array_equal(frozen.suspected, [False, False, True])
    assert frozen.recession is not None
    assert frozen.recession.kind == "quasi-complete"


def test_far_reaches_the_supremum_with_finite_numbers() -> None:
    X, y = rare_level()
    frozen = freeze(X, y)
    assert np.isfinite(frozen.far).all()
    there = likelihood_of(X, y).evaluate(frozen.far)
    assert there.value == pytest.approx(frozen.estimate.solution.evaluation.value, abs=1e-10)
    np.testing.assert_allclose(there.gradient, 0.0, atol=1e-7)


def test_the_trace_tells_of_one_search() -> None:
    X, y = rare_level()
    solution = freeze(X, y).estimate.solution
    assert [row.iteration for row in solution.trace] == list(range(len(solution.trace)))
    steps = [row.step for row in solution.trace]
    assert np.isfinite(steps[:-1]).all()
    assert np.isnan(steps[-1])
    plain = maximise(likelihood_of(X, y), np.zeros(3))
    assert plain.status is Status.DIVERGING
    assert len(solution.trace) < len(plain.trace)


def test_reference_level_without_events_makes_the_intercept_infinite() -> None:
    # −inf for the intercept and +inf for both levels: only one of them was held.
    rng = np.random.default_rng(4)
    level, x = np.repeat([0, 1, 2], 30), rng.normal(size=90)
    X = np.column_stack([np.ones(90), level == 1, level == 2, x]).astype(float)
    y = (rng.random(90) < expit(0.5 * x)) * 1.0
    y[level == 0] = 0.0
    frozen = freeze(X, y)
    np.testing.assert_array_equal(frozen.estimate.solution.psi[:3], [-np.inf, np.inf, np.inf])
    left = level > 0
    beta, se, value = maximum(X[left][:, 1:], y[left])
    assert frozen.estimate.solution.psi[3] == pytest.approx(beta[2], abs=1e-8)
    assert se_of(frozen)[3] == pytest.approx(se[2], rel=1e-7)  # nuisance: two level means
    assert frozen.estimate.solution.evaluation.value == pytest.approx(value, abs=1e-9)
    # the difference of the two levels is finite, and `far` knows it
    assert frozen.far[2] - frozen.far[1] == pytest.approx(beta[1] - beta[0], abs=1e-6)


def test_complete_separation_leaves_nothing() -> None:
    x = np.array([-3.0, -2.0, -1.0, 1.0, 2.0, 3.0])
    frozen = freeze(np.column_stack([np.ones(6), x]), (x > 0) * 1.0)
    psi = frozen.estimate.solution.psi
    assert np.isnan(psi[0])  # infinite, but either sign will do
    assert psi[1] == np.inf
    assert frozen.estimate.solution.evaluation.value == pytest.approx(0.0, abs=1e-12)
    assert frozen.estimate.solution.status is Status.CONVERGED
    assert np.isnan(frozen.estimate.covariance()).all()


def test_a_finite_estimate_that_meets_the_rule_is_released() -> None:
    # Half of the trials succeed at both points: β̂ = 0. From a start that is far out, a Newton
    # step lands where the rule suspects the slope; the gradient proves overlap later.
    X = np.column_stack([np.ones(2), [0.0, 40.0]])
    likelihood = likelihood_of(X, np.array([1.0, 1.0]), np.array([2.0, 2.0]))
    frozen = estimate_frozen(likelihood, Options(start=np.array([0.0, 0.7])))
    np.testing.assert_array_equal(frozen.suspected, [False, True])
    assert frozen.estimate.solution.converged
    np.testing.assert_allclose(frozen.estimate.solution.psi, 0.0, atol=1e-8)
    assert not frozen.infinite.any()
    assert np.isfinite(se_of(frozen)).all()


def test_overlapping_data_give_the_ordinary_fit() -> None:
    rng = np.random.default_rng(0)
    X = np.column_stack([np.ones(60), rng.normal(size=60)])
    y = (rng.random(60) < expit(X @ [0.3, 1.0])) * 1.0
    frozen = freeze(X, y)
    beta, se, _ = maximum(X, y)
    np.testing.assert_array_equal(frozen.estimate.solution.psi, beta)
    np.testing.assert_allclose(se_of(frozen), se, rtol=1e-12)
    assert frozen.recession is None
    assert not frozen.suspected.any()
    np.testing.assert_array_equal(frozen.far, beta)


def test_rule_of_czepiel() -> None:
    hessian = -np.diag([1.0 / 25**2, 1.0 / 23**2, 1.0 / 100**2, 1.0])
    beta, bound = np.array([8.0, 8.0, 4.0, 8.0]), np.full(4, 5.0)
    met = meets_rule(beta, hessian, bound, np.ones(4, dtype=bool))
    np.testing.assert_array_equal(met, [True, False, False, False])  # SE ≥ 3·8 and 8 > 5/range
    np.testing.assert_array_equal(
        meets_rule(-beta, np.zeros((4, 4)), bound, np.ones(4, dtype=bool)),
        [True, True, False, True],
    )


def test_multinomial_category_that_is_impossible_at_a_level() -> None:
    rng = np.random.default_rng(5)
    n = 300
    level, x = (np.arange(n) % 5 == 0) * 1.0, rng.normal(size=n)
    X = np.column_stack([np.ones(n), x, level])
    B = np.array([[0.2, 0.5, 0.3], [-0.3, -0.4, 0.8]]).T
    eta = np.column_stack([np.zeros(n), X @ B])
    y = np.argmax(eta + rng.gumbel(size=eta.shape), axis=1)
    y[(level == 1) & (y == 2)] = 0
    counts = np.eye(3)[y][:, 1:]
    offset = rng.normal(size=n) * 0.1
    frozen = freeze(X, counts, offset=offset)
    psi = frozen.estimate.solution.psi
    np.testing.assert_array_equal(np.isinf(psi), [False] * 5 + [True])
    assert psi[5] == -np.inf
    # the limit by brute force: the same likelihood with that coefficient at −50
    free = np.array([True] * 5 + [False])
    held = Restricted(likelihood_of(X, counts, offset=offset), np.full(6, -50.0), free)
    brute = maximise(held, np.zeros(5))
    assert brute.converged
    np.testing.assert_allclose(psi[:5], brute.psi, atol=1e-8)
    se = np.sqrt(np.diag(np.linalg.inv(-brute.evaluation.hessian)))
    np.testing.assert_allclose(se_of(frozen)[:5], se, rtol=1e-6)
    assert frozen.estimate.solution.evaluation.value == pytest.approx(brute.evaluation.value)


@given(seed=st.integers(0, 10**6))
def test_the_value_is_the_supremum(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n = 25
    X = np.column_stack([np.ones(n), rng.normal(size=n), rng.random(n) < 0.3]).astype(float)
    y = (rng.random(n) < expit(X @ [0.0, 2.0, 4.0])) * 1.0
    if np.linalg.matrix_rank(X) < 3 or y.min() == y.max():
        return
    frozen, likelihood = freeze(X, y), likelihood_of(X, y)
    value = frozen.estimate.solution.evaluation.value
    climbed = maximise(likelihood, np.zeros(3)).evaluation.value
    assert frozen.estimate.solution.converged
    assert value == pytest.approx(climbed, abs=1e-6)
    assert value >= climbed - 1e-9
    assert likelihood.evaluate(frozen.far).value == pytest.approx(value, abs=1e-8)


def test_weights_and_offsets_are_those_of_the_likelihood() -> None:
    X, y = rare_level(n=120)
    weights = np.tile([1.0, 2.0, 0.0], 40)
    offset = np.linspace(-1.0, 1.0, 120)
    columns = [np.ascontiguousarray(x) for x in X.T]
    weighted = estimate_frozen(
        FixedLikelihood(columns, y, np.ones(120), offset, weights), Options()
    )
    twice = np.repeat(np.arange(120), weights.astype(int))
    plain = freeze(X[twice], y[twice], offset=offset[twice])
    np.testing.assert_allclose(
        weighted.estimate.solution.psi[:2], plain.estimate.solution.psi[:2], atol=1e-9
    )
    assert weighted.estimate.solution.psi[2] == plain.estimate.solution.psi[2] == np.inf


def test_too_few_iterations_are_reported() -> None:
    X, y = rare_level()
    frozen = estimate_frozen(likelihood_of(X, y), Options(max_iterations=2))
    assert frozen.estimate.solution.status is Status.MAX_ITERATIONS


def test_endometrial_data_as_glm_at_its_limit(reference_data: Path) -> None:
    """R: glm(HG ~ NV + PI + EH, binomial), epsilon = 1e-14; reference/fits."""
    with (reference_data / "endometrial.csv").open() as file:
        rows = list(csv.DictReader(file))
    X = np.array([[1.0, *(float(row[k]) for k in ("NV", "PI", "EH"))] for row in rows])
    y = np.array([float(row["HG"]) for row in rows])
    oracle = json.loads(
        (reference_data.parent / "fits" / "endometrial__main__glm.json").read_text()
    )
    frozen = freeze(X, y)
    psi, finite = frozen.estimate.solution.psi, [0, 2, 3]
    assert psi[1] == np.inf
    assert frozen.recession is not None
    assert frozen.recession.kind == "quasi-complete"
    np.testing.assert_allclose(
        psi[finite], [oracle["beta"][k] for k in ("(Intercept)", "PI", "EH")], atol=1e-7
    )
    np.testing.assert_allclose(
        se_of(frozen)[finite], [oracle["se"][k] for k in ("(Intercept)", "PI", "EH")], rtol=1e-6
    )
    assert frozen.estimate.solution.evaluation.value == pytest.approx(oracle["loglik"], abs=1e-9)
