"""The Laplace kernel against a dense reference, finite differences and identities."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from laplace_reference import laplace, laplace_group
from likelihood.problems import Array, assert_derivatives, binomial_response, differences
from numpy.typing import NDArray
from scipy.special import expit

from multilogit.errors import Status
from multilogit.likelihood.covariance import CovarianceStructure, cholesky
from multilogit.likelihood.grouped import GroupedLikelihood


@dataclass(frozen=True)
class Problem:
    """A grouped design, its response, and a point ψ."""

    x: Array
    z: Array
    blocks: tuple[int, ...]
    y: Array
    trials: Array
    offset: Array | None
    codes: NDArray[np.int32]
    psi: Array

    def likelihood(
        self, rows: NDArray[np.intp] | None = None, threads: int = 1
    ) -> GroupedLikelihood:
        take = slice(None) if rows is None else rows
        return GroupedLikelihood(
            [np.ascontiguousarray(column[take]) for column in self.x.T],
            [np.ascontiguousarray(column[take]) for column in self.z.T],
            self.blocks,
            np.ascontiguousarray(self.y[take]),
            np.ascontiguousarray(self.trials[take]),
            np.ascontiguousarray(self.codes[take]),
            int(self.codes.max()) + 1,
            offset=None if self.offset is None else np.ascontiguousarray(self.offset[take]),
            threads=threads,
        )

    def dense_value(self) -> float:
        p = self.x.shape[1]
        structure = CovarianceStructure.of_blocks(self.blocks)
        offset = np.zeros(self.y.size) if self.offset is None else self.offset
        beta, Lambda = self.psi[:p], structure.Lambda(self.psi[p:])
        return laplace(self.x, self.z, self.y, self.trials, offset, self.codes, beta, Lambda)


def problem(
    seed: int,
    blocks: tuple[int, ...],
    *,
    p: int = 3,
    groups: int = 6,
    largest: int = 9,
    extras: bool = True,
) -> Problem:
    """Random design: unequal groups (some of one row), trials, fractional weights, offset."""
    rng = np.random.default_rng(seed)
    q = sum(blocks)
    codes = np.repeat(np.arange(groups, dtype=np.int32), rng.integers(1, largest + 1, groups))
    rng.shuffle(codes)
    n = codes.size
    x = np.column_stack([np.ones(n), rng.normal(size=(n, p - 1))])
    z = np.column_stack([x, rng.normal(size=(n, q))])[:, :q] if q > 1 else np.ones((n, 1))
    y, trials, offset = binomial_response(rng, n, extras)
    theta = rng.normal(size=CovarianceStructure.of_blocks(blocks).m) * 0.8
    return Problem(
        x=x,
        z=z,
        blocks=blocks,
        y=y,
        trials=trials,
        offset=offset,
        codes=codes,
        psi=np.concatenate([rng.normal(size=p) / 2, theta]),
    )


STRUCTURES = [(1,), (2,), (1, 1), (3,), (2, 1), (1, 1, 1), (4,), (3, 2), (8,)]


@pytest.mark.parametrize("blocks", STRUCTURES)
@pytest.mark.parametrize("extras", [False, True])
def test_value_is_that_of_the_dense_reference(blocks: tuple[int, ...], extras: bool) -> None:
    data = problem(11 + extras, blocks, extras=extras)
    assert data.likelihood().evaluate(data.psi).value == pytest.approx(
        data.dense_value(), rel=1e-12
    )


@pytest.mark.parametrize("blocks", STRUCTURES)
@settings(max_examples=8)
@given(seed=st.integers(0, 10**6), extras=st.booleans(), groups=st.integers(2, 11))
def test_gradient_and_hessian_are_the_derivatives(
    blocks: tuple[int, ...], seed: int, extras: bool, groups: int
) -> None:
    data = problem(seed, blocks, extras=extras, groups=groups)
    likelihood = data.likelihood()
    at = likelihood.evaluate(data.psi)
    assert_derivatives(at, likelihood, data.psi)


def test_groups_of_one_row_and_large_groups_differentiate_alike() -> None:
    # Groups beyond 256 rows always take the other layout: rows in lanes.
    rng = np.random.default_rng(3)
    data = problem(5, (2,), groups=4, largest=2)
    sizes = [1, 1, 70, 300]
    codes = np.repeat(np.arange(4, dtype=np.int32), sizes)
    n = codes.size
    x = np.column_stack([np.ones(n), rng.normal(size=(n, 2))])
    y = rng.binomial(1, 0.3, n).astype(float)
    data = Problem(x, x[:, :2], (2,), y, np.ones(n), None, codes, data.psi)
    likelihood = data.likelihood()
    at = likelihood.evaluate(data.psi)
    gradient, hessian = differences(likelihood, data.psi)
    assert at.value == pytest.approx(data.dense_value(), rel=1e-12)
    np.testing.assert_allclose(at.gradient, gradient, atol=1e-7 * np.abs(gradient).max())
    np.testing.assert_allclose(at.hessian, hessian, atol=1e-7 * np.abs(hessian).max())


@settings(max_examples=10)
@given(seed=st.integers(0, 10**6))
def test_permuted_rows_and_relabelled_groups_change_nothing(seed: int) -> None:
    data = problem(seed, (2,), groups=9)
    rng = np.random.default_rng(seed)
    rows = rng.permutation(data.y.size)
    labels = rng.permutation(9).astype(np.int32)
    relabelled = Problem(**{**data.__dict__, "codes": labels[data.codes]})
    here = data.likelihood().evaluate(data.psi)
    for other in (data.likelihood(rows), relabelled.likelihood()):
        there = other.evaluate(data.psi)
        assert there.value == pytest.approx(here.value, rel=1e-12)
        np.testing.assert_allclose(there.gradient, here.gradient, rtol=1e-9, atol=1e-10)
        np.testing.assert_allclose(there.hessian, here.hessian, rtol=1e-9, atol=1e-9)


def test_weight_two_is_the_row_twice() -> None:
    data = problem(8, (2,), extras=False)
    twice = np.repeat(np.arange(data.y.size), 2)
    doubled = Problem(**{**data.__dict__, "y": 2 * data.y, "trials": 2 * data.trials})
    here, there = (
        likelihood.evaluate(data.psi)
        for likelihood in (doubled.likelihood(), data.likelihood(twice))
    )
    assert here.value == pytest.approx(there.value, rel=1e-13)
    np.testing.assert_allclose(here.hessian, there.hessian, rtol=1e-10, atol=1e-10)


def test_a_block_structure_is_the_full_one_with_zeros() -> None:
    separate = problem(21, (1, 2))
    p = separate.x.shape[1]
    together = Problem(
        **{
            **separate.__dict__,
            "blocks": (3,),
            "psi": np.concatenate(
                [
                    separate.psi[:p],
                    CovarianceStructure.of_blocks((1, 2)).Lambda(separate.psi[p:])[
                        CovarianceStructure.of_blocks((3,)).rows,
                        CovarianceStructure.of_blocks((3,)).columns,
                    ],
                ]
            ),
        }
    )
    here = separate.likelihood().evaluate(separate.psi)
    there = together.likelihood().evaluate(together.psi)
    kept = [*range(p), p, p + 3, p + 4, p + 5]
    assert here.value == pytest.approx(there.value, rel=1e-13)
    np.testing.assert_allclose(here.gradient, there.gradient[kept], rtol=1e-10, atol=1e-11)
    np.testing.assert_allclose(
        here.hessian, there.hessian[np.ix_(kept, kept)], rtol=1e-10, atol=1e-10
    )


@pytest.mark.parametrize("trials", [1, 3])
def test_bitwise_equal_for_every_number_of_threads(trials: int) -> None:
    rng = np.random.default_rng(1)
    n, groups = 150_000, 1_500  # more than one thread fills at a time
    codes = rng.integers(0, groups, n).astype(np.int32)
    codes[:groups] = np.arange(groups)
    codes[-9_000:] = 7  # one large group among small ones
    x = np.column_stack([np.ones(n), rng.normal(size=(n, 2))])
    y = rng.binomial(trials, 0.4, n).astype(float)
    psi = np.array([-0.4, 0.2, 0.1, 0.7, 0.2, 0.4])
    data = Problem(x, x[:, :2], (2,), y, np.full(n, float(trials)), None, codes, psi)
    results = []
    for threads in (1, 2, 3, 7):
        likelihood = data.likelihood(threads=threads)
        first = likelihood.evaluate(psi)
        second = likelihood.evaluate(psi + 0.01)  # from warm modes
        results.append(
            b"".join(
                part.tobytes()
                for at in (first, second)
                for part in (np.float64(at.value), at.gradient, at.hessian)
            )
        )
    assert len(set(results)) == 1


def test_warm_and_cold_modes_give_the_same_numbers() -> None:
    data = problem(4, (3,), groups=12)
    warm, cold = data.likelihood(), data.likelihood()
    for step in (0.5, 0.1, 0.0):
        near = warm.evaluate(data.psi + step)
    fresh = cold.evaluate(data.psi)
    assert near.value == pytest.approx(fresh.value, rel=1e-13)
    np.testing.assert_allclose(near.gradient, fresh.gradient, rtol=1e-10, atol=1e-11)
    np.testing.assert_allclose(warm.modes()[0], cold.modes()[0], atol=1e-12)


# -- inner iteration ------------------------------------------------------------------------


def undamped_newton(eta0: Array, sigma: float, y: Array, steps: int) -> list[float]:
    """û by full Newton steps from 0."""
    u, way = 0.0, []
    for _ in range(steps):
        pi = 1.0 / (1.0 + np.exp(-(eta0 + sigma * u)))
        u += (sigma * (y - pi).sum() - u) / (1.0 + sigma**2 * (pi * (1.0 - pi)).sum())
        way.append(u)
    return way


def test_modes_are_found_where_undamped_newton_cycles() -> None:
    # As in the toenail data: seven visits, all with the rare outcome, a large variance.
    eta0, sigma, y = np.full(7, -8.0), 6.0, np.ones(7)
    way = undamped_newton(eta0, sigma, y, 200)
    assert abs(way[-1] - way[-2]) > 1.0, "the undamped iteration should not converge here"
    n = 7
    likelihood = GroupedLikelihood(
        [np.ones(n)], [np.ones(n)], (1,), y, np.ones(n), np.zeros(n, np.int32), 1
    )
    at = likelihood.evaluate(np.array([-8.0, sigma]))
    assert at.status is Status.OK
    expected = laplace_group(eta0, np.full((n, 1), sigma), y, np.ones(n))
    assert at.value == pytest.approx(expected, rel=1e-12)


def exact_mode(eta0: Array, sigma: float, y: Array) -> float:
    """û of a random intercept by bisection: where σ Σ (y - π) - u changes its sign."""
    low, high = -100.0, 100.0
    for _ in range(200):
        u = 0.5 * (low + high)
        eta = eta0 + sigma * u
        slope = float((sigma * np.where(y > 0, expit(-eta), -expit(eta))).sum()) - u
        low, high = (u, high) if slope > 0.0 else (low, u)
    return 0.5 * (low + high)


def laplace_at(u: float, eta0: Array, sigma: float, y: Array) -> float:
    eta = eta0 + sigma * u
    H = 1.0 + sigma**2 * float((expit(eta) * expit(-eta)).sum())
    value = -float(np.logaddexp(0.0, np.where(y > 0, -eta, eta)).sum())
    return value - 0.5 * u**2 - 0.5 * np.log(H)


@pytest.mark.parametrize("sigma", [1.0, 30.0, 300.0, 1e4, 1e6])
@pytest.mark.parametrize("nodes", [1, 3])
def test_modes_are_exact_for_any_variance(sigma: float, nodes: int) -> None:
    # A group with one outcome alone: û is small, and so are the weights at it. The predictor, σ u,
    # is far from its value at the mode while all that a step changes in u looks like nothing.
    rng = np.random.default_rng(0)
    rows = [1, 2, 3, 5, 8, 40, 300]
    groups = [part for n in rows for part in (np.ones(n), np.zeros(n), 1.0 * (rng.random(n) < 0.3))]
    y = np.concatenate(groups)
    one, codes = np.ones(y.size), np.repeat(np.arange(len(groups)), [g.size for g in groups])
    likelihood = GroupedLikelihood(
        [one], [one], (1,), y, one, codes.astype(np.int32), len(groups), nodes=nodes
    )
    at = likelihood.evaluate(np.array([0.3, sigma]))
    modes = [exact_mode(np.full(g.size, 0.3), sigma, g) for g in groups]
    found = likelihood.modes()[0][:, 0]
    np.testing.assert_allclose(sigma * found, sigma * np.array(modes), rtol=1e-11, atol=1e-11)
    if nodes == 1:
        exact = [
            laplace_at(u, np.full(g.size, 0.3), sigma, g)
            for u, g in zip(modes, groups, strict=True)
        ]
        assert at.value == pytest.approx(sum(exact), rel=1e-12)


def test_modes_that_cannot_be_found_are_reported() -> None:
    data = problem(2, (2,))
    likelihood = data.likelihood()
    at = likelihood.evaluate(np.where(np.arange(6) == 0, np.inf, data.psi))
    assert at.status is Status.INNER_FAILED
    # ... and leave nothing behind
    again = likelihood.evaluate(data.psi)
    assert again.status is Status.OK
    assert again.value == pytest.approx(data.dense_value(), rel=1e-12)


def test_extreme_predictors_stay_finite() -> None:
    data = problem(6, (1,), extras=False)
    for intercept in (-600.0, 600.0):
        psi = data.psi.copy()
        psi[0] = intercept
        at = data.likelihood().evaluate(psi)
        assert np.isfinite(at.value)
        assert np.isfinite(at.gradient).all()
        assert np.isfinite(at.hessian).all()


# -- structure ------------------------------------------------------------------------------


def test_theta_is_the_lower_triangle_column_by_column() -> None:
    structure = CovarianceStructure.of_blocks((2, 1))
    Lambda = structure.Lambda(np.array([1.0, 2.0, 3.0, 4.0]))
    np.testing.assert_array_equal(Lambda, [[1, 0, 0], [2, 3, 0], [0, 0, 4]])
    assert structure.q == 3
    assert structure.m == 4
    assert structure.diagonal.tolist() == [True, False, True, True]


@given(seed=st.integers(0, 10**6), rank=st.integers(0, 4))
def test_cholesky_of_singular_matrices(seed: int, rank: int) -> None:
    root = np.random.default_rng(seed).normal(size=(4, rank))
    Sigma = root @ root.T
    Lambda = cholesky(Sigma, floor=1e-9)
    np.testing.assert_allclose(Lambda @ Lambda.T, Sigma, atol=1e-7 * max(1.0, np.trace(Sigma)))
    assert (Lambda.diagonal() >= 0).all()
    assert not np.triu(Lambda, 1).any()


def test_moments_are_score_and_information_at_zero_effects() -> None:
    data = problem(9, (2,))
    p = data.x.shape[1]
    ((score, information),) = data.likelihood().moments(data.psi[:p])
    offset = 0.0 if data.offset is None else data.offset
    pi = 1.0 / (1.0 + np.exp(-(data.x @ data.psi[:p] + offset)))
    r, w = data.y - data.trials * pi, data.trials * pi * (1.0 - pi)
    for g in range(score.shape[0]):
        mine = data.codes == g
        z = data.z[mine]
        np.testing.assert_allclose(score[g], z.T @ r[mine], atol=1e-12)
        np.testing.assert_allclose(information[g], (z.T * w[mine]) @ z, atol=1e-12)


def test_one_likelihood_serves_several_python_threads() -> None:
    data = problem(3, (2,), groups=40)
    likelihood = data.likelihood()
    expected = data.likelihood().evaluate(data.psi).value
    with ThreadPoolExecutor(8) as pool:
        values = list(pool.map(lambda _: likelihood.evaluate(data.psi).value, range(200)))
    np.testing.assert_allclose(values, expected, rtol=1e-13)
