"""Estimation: optima, boundary, saddles, coordinates, aliased columns."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import multilogit as ml
from multilogit.data.model_frame import (
    FixedColumns,
    Grouping,
    ModelFrame,
    RandomBlock,
    Response,
)
from multilogit.errors import OptionError, Status
from multilogit.estimate import (
    Estimate,
    Options,
    boundary,
    estimate_mixed,
    estimate_single,
    fixed_likelihood,
    information_inverse,
    split_aliased,
)
from multilogit.estimate.mixed import mixed_likelihood
from multilogit.estimate.search import permute, pivot_order

Array = NDArray[np.float64]


def make_frame(
    x: Array, y: Array, codes: NDArray[np.int32], blocks: tuple[int, ...], z: Array | None = None
) -> ModelFrame:
    columns = tuple(np.ascontiguousarray(column) for column in x.T)
    effects = columns if z is None else tuple(np.ascontiguousarray(column) for column in z.T)
    random, first = [], 0
    for size in blocks:
        names = tuple(f"z{k}" for k in range(first, first + size))
        random.append(RandomBlock("g", effects[first : first + size], names))
        first += size
    n = y.size
    return ModelFrame(
        response=Response("binomial", "y", ("0", "1"), np.asfortranarray(y[:, None]), np.ones(n)),
        fixed=FixedColumns(columns, *(tuple(f"x{k}" for k in range(x.shape[1])) for _ in "nt")),
        random=tuple(random),
        groupings={"g": Grouping("g", codes, np.unique(codes).astype(object))},
        n_input_rows=n,
    )


def simulate(
    seed: int, sd: tuple[float, ...], groups: int = 60, size: int = 12, rho: float = 0.0
) -> ModelFrame:
    rng = np.random.default_rng(seed)
    q = len(sd)
    codes = np.repeat(np.arange(groups, dtype=np.int32), size)
    x = np.column_stack([np.ones(codes.size), rng.normal(size=(codes.size, 2))])
    correlation = rho + (1 - rho) * np.eye(q)
    b = rng.multivariate_normal(np.zeros(q), np.outer(sd, sd) * correlation, groups)
    eta = x @ [-0.5, 0.7, -0.3] + (x[:, :q] * b[codes]).sum(axis=1)
    y = (rng.random(codes.size) < 1 / (1 + np.exp(-eta))).astype(float)
    return make_frame(x, y, codes, (q,))


def estimate(frame: ModelFrame, start: Array | None = None) -> Estimate:
    return estimate_mixed(frame, fixed_likelihood(frame, 1), Options(start=start))


def covariance_of(found: Estimate) -> Array:
    """As a fit has it: parameters on the boundary have none."""
    return information_inverse(found.solution.evaluation.hessian, ~found.boundary)


def split_evenly(groups: int, size: int) -> ModelFrame:
    """Every group has exactly half successes: less variation than chance, σ̂ = 0."""
    codes = np.repeat(np.arange(groups, dtype=np.int32), size)
    y = np.tile(np.arange(size) % 2, groups).astype(float)
    return make_frame(np.ones((codes.size, 1)), y, codes, (1,))


@settings(max_examples=10)
@given(seed=st.integers(0, 10**6))
def test_the_optimum_does_not_depend_on_the_start(seed: int) -> None:
    frame = simulate(seed, (0.9, 0.6), rho=0.4)
    best = estimate(frame)
    rng = np.random.default_rng(seed)
    again = estimate(frame, start=best.solution.psi + rng.normal(size=6))
    assert best.solution.converged
    assert again.solution.converged
    assert again.solution.evaluation.value == pytest.approx(
        best.solution.evaluation.value, abs=1e-8
    )
    np.testing.assert_allclose(again.solution.psi, best.solution.psi, atol=1e-5)


def test_few_evaluations() -> None:
    spent = [
        estimate(simulate(seed, sd, rho=0.3)).solution.n_evaluations
        for seed in range(6)
        for sd in ((0.3,), (2.0,), (0.8, 0.5), (0.1, 1.5), (2.0, 2.0))
    ]
    assert np.mean(spent) < 7
    assert max(spent) <= 12


def test_gradient_vanishes_at_the_optimum_of_the_reported_order() -> None:
    frame = simulate(5, (0.2, 1.5), rho=0.5)  # reordered during the search
    found = estimate(frame)
    fresh = mixed_likelihood(frame, Options())
    at = fresh.evaluate(found.solution.psi)
    assert at.value == pytest.approx(found.solution.evaluation.value, abs=1e-10)
    assert np.abs(at.gradient).max() < 1e-6
    np.testing.assert_allclose(at.hessian, found.solution.evaluation.hessian, rtol=1e-6, atol=1e-6)
    assert found.Lambda is not None
    assert (found.Lambda.diagonal() >= 0).all()


def test_gradient_vanishes_in_the_reported_order_with_few_nodes() -> None:
    frame = simulate(5, (0.2, 1.5), rho=0.5)  # a product rule depends on the order
    options = Options(nodes=3)
    found = estimate_mixed(frame, fixed_likelihood(frame, 1), options)
    at = mixed_likelihood(frame, options).evaluate(found.solution.psi)
    assert found.solution.converged
    assert at.value == pytest.approx(found.solution.evaluation.value, abs=1e-10)
    assert np.abs(at.gradient).max() < 1e-6


@pytest.mark.parametrize("unit", [0.01, 100.0])
def test_units_of_a_slope_change_nothing(unit: float) -> None:
    # Reordered during the search: the caps on its steps move with the effects.
    frame = simulate(6, (0.2, 2.5), rho=-0.3)
    columns = (frame.fixed.columns[0], frame.fixed.columns[1] * unit, frame.fixed.columns[2])
    scaled = replace(
        frame,
        fixed=replace(frame.fixed, columns=columns),
        random=(replace(frame.random[0], columns=columns[:2]),),
    )
    one, other = estimate(frame), estimate(scaled)
    assert other.solution.n_evaluations == one.solution.n_evaluations
    assert other.solution.evaluation.value == pytest.approx(one.solution.evaluation.value, abs=1e-9)


def test_large_pivots_come_first() -> None:
    # The third variance is the largest, but the second effect explains it.
    Lambda = np.array([[0.1, 0.0, 0.0], [0.3, 1.0, 0.0], [0.0, 2.0, 0.2]])
    order = pivot_order(Lambda)
    assert order.tolist() == [2, 1, 0]
    Sigma = (Lambda @ Lambda.T)[np.ix_(order, order)]
    pivots = np.linalg.cholesky(Sigma).diagonal() ** 2
    assert (pivots[1:] <= 5.0 * pivots[:-1]).all()
    alike = np.array([[1.0, 0.0], [0.5, 1.2]])
    assert pivot_order(alike).tolist() == [0, 1]
    assert pivot_order(np.zeros((2, 2))).tolist() == [0, 1]


def test_permuting_the_effects_keeps_value_and_effects() -> None:
    likelihood = mixed_likelihood(simulate(2, (0.5, 1.0)), Options())
    psi = np.array([-0.5, 0.7, -0.3, 0.4, 0.2, 0.9])
    here = likelihood.evaluate(psi).value
    b = likelihood.modes()[0] @ likelihood.structure.Lambda(psi[3:]).T
    turned = permute(likelihood, psi, np.array([1, 0]))
    u = likelihood.modes()[0]
    there = likelihood.evaluate(turned).value
    assert there == pytest.approx(here, rel=1e-13)
    np.testing.assert_allclose(
        u @ likelihood.structure.Lambda(turned[3:]).T, b[:, [1, 0]], atol=1e-12
    )


# -- boundary -------------------------------------------------------------------------------


def test_a_variance_that_is_zero_is_reported_as_zero() -> None:
    found = estimate(split_evenly(20, 6))
    assert found.solution.status is Status.CONVERGED
    assert found.solution.psi[1] == 0.0
    assert found.boundary.tolist() == [False, True]
    assert [d.code for d in found.diagnostics] == ["singular"]
    covariance = covariance_of(found)
    assert covariance[0, 0] == pytest.approx(4 / 120)  # 1 / (n π (1 − π))
    assert np.isnan(covariance[1]).all()
    assert not found.factors[0].modes.any()


@pytest.mark.parametrize("sd", [0.3, 1.0, 3.0])
def test_a_start_on_the_saddle_is_left(sd: float) -> None:
    frame = simulate(7, (sd,))
    best = estimate(frame)
    stuck = best.solution.psi.copy()
    stuck[-1] = 0.0  # every gradient in θ vanishes here
    again = estimate(frame, start=stuck)
    assert again.solution.evaluation.value == pytest.approx(
        best.solution.evaluation.value, abs=1e-8
    )
    assert again.solution.psi[-1] == pytest.approx(best.solution.psi[-1], abs=1e-6)


@settings(max_examples=15)
@given(seed=st.integers(0, 10**6), rank=st.integers(0, 1))
def test_small_variances_end_at_the_better_of_boundary_and_inside(seed: int, rank: int) -> None:
    """Second start elsewhere: no fit ends lower than another one (no saddles)."""
    frame = simulate(seed, (0.8 * rank, 0.05), groups=25, size=8)
    first = estimate(frame)
    start = np.concatenate([first.solution.psi[:3], [1.5, -0.5, 1.0]])
    second = estimate(frame, start=start)
    assert first.solution.converged
    assert second.solution.converged
    assert first.solution.evaluation.value == pytest.approx(
        second.solution.evaluation.value, abs=1e-7
    )


def test_rank_one_covariance_has_standard_errors_of_what_is_left() -> None:
    for seed in range(40):
        found = estimate(simulate(seed, (1.0, 0.4), groups=15, size=10, rho=0.99))
        if found.boundary.tolist() == [False] * 5 + [True]:
            break
    else:
        raise AssertionError("no design with a singular covariance")
    covariance = covariance_of(found)
    assert np.isfinite(covariance[:5, :5]).all()
    assert np.isnan(covariance[5]).all()


def test_snapping_keeps_visible_variances() -> None:
    likelihood = mixed_likelihood(simulate(1, (1.0, 1.0)), Options())
    psi = np.array([0, 0, 0, 1.0, 0.5, 0.01])
    assert boundary.snap(likelihood, psi) is psi
    snapped = boundary.snap(likelihood, np.array([0, 0, 0, 1.0, 0.5, 1e-6]))
    assert snapped[5] == 0.0
    np.testing.assert_allclose(snapped[3:5], [1.0, 0.5], atol=1e-10)


# -- single level, rank, covariance ---------------------------------------------------------


def test_aliased_columns_are_found_in_order() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 50))
    x = np.column_stack([np.ones(50), a, 2 * a - 1, b, a + b, 1e-8 * b, rng.normal(size=50)])
    frame = make_frame(x, rng.binomial(1, 0.5, 50).astype(float), np.zeros(50, np.int32), ())
    keep, aliased = split_aliased(fixed_likelihood(frame, 1), frame.fixed)
    assert keep == [0, 1, 3, 6]
    assert aliased == [2, 4, 5]


@pytest.mark.parametrize("size", [1e160, 1e-170])
@pytest.mark.parametrize("formula", ["y ~ x", "y ~ 1 + (0 + x | g)"])
def test_columns_whose_squares_are_no_numbers_are_refused(formula: str, size: float) -> None:
    rng = np.random.default_rng(0)
    data = {"y": rng.integers(0, 2, 60), "g": np.arange(60) % 9, "x": size * rng.normal(size=60)}
    with pytest.raises(ml.DataError, match=r"largest value of column 'x' .* Divide the column by"):
        ml.fit(formula, data)


@pytest.mark.parametrize("size", [1e110, 1e-110])
@pytest.mark.parametrize("formula", ["y ~ x + (x | g)", "y ~ 1 + (0 + x | g)"])
def test_slopes_of_columns_whose_powers_are_no_numbers_are_refused(
    formula: str, size: float
) -> None:
    rng = np.random.default_rng(0)
    data = {"y": rng.integers(0, 2, 60), "g": np.arange(60) % 9, "x": rng.normal(size=60)}
    with pytest.raises(ml.DataError, match=r"largest value of column 'x' .* Divide the column by"):
        ml.fit(formula, {**data, "x": size * data["x"]})
    assert ml.fit("y ~ x", {**data, "x": size * data["x"]}).converged
    near = ml.fit(formula, {**data, "x": size ** (90 / 110) * data["x"]})
    assert near.converged
    assert near.loglik == pytest.approx(ml.fit(formula, data).loglik, abs=1e-8)


def test_badly_scaled_columns_are_not_aliased() -> None:
    rng = np.random.default_rng(0)
    year = 2000.0 + rng.integers(0, 20, 200)
    x = np.column_stack([np.ones(200), year, year**2, 1e9 * rng.normal(size=200)])
    frame = make_frame(x, rng.binomial(1, 0.5, 200).astype(float), np.zeros(200, np.int32), ())
    assert split_aliased(fixed_likelihood(frame, 1), frame.fixed) == ([0, 1, 2, 3], [])


def test_separation_is_not_convergence() -> None:
    x = np.column_stack([np.ones(20), np.arange(20.0)])
    frame = make_frame(x, (np.arange(20) >= 10).astype(float), np.zeros(20, np.int32), ())
    found = estimate_single(frame, fixed_likelihood(frame, 1), Options())
    assert found.solution.status is Status.DIVERGING


def test_information_inverse_of_what_is_no_maximum_is_nan() -> None:
    free = np.ones(2, dtype=bool)
    assert np.isnan(information_inverse(np.diag([-1.0, 1.0]), free)).all()
    np.testing.assert_allclose(
        information_inverse(-np.array([[4.0, 1.0], [1.0, 3.0]]), free),
        np.linalg.inv([[4.0, 1.0], [1.0, 3.0]]),
    )


def test_wrong_number_of_start_values() -> None:
    frame = simulate(1, (1.0,))
    with pytest.raises(OptionError, match="7 values; give 3 fixed effects, or 4 values"):
        estimate(frame, start=np.zeros(7))
    with pytest.raises(OptionError, match="has 3 parameters"):
        estimate_single(frame, fixed_likelihood(frame, 1), Options(start=np.zeros(2)))
