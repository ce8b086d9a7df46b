"""Nested factors with a categorical response: dense reference, finite differences, identities."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from likelihood.problems import (
    Array,
    Codes,
    Rows,
    categorical_response,
    columns,
    diagonal_blocks,
    differences,
    group_counts,
)
from likelihood.reference_multinomial import Factor, laplace
from likelihood.test_nested import agree, close, grid, tree

from multilogit.errors import OptionError, Status
from multilogit.likelihood.covariance import CovarianceStructure
from multilogit.likelihood.grouped import GroupedLikelihood
from multilogit.likelihood.nested import NestedLikelihood

Effect = tuple[int, int]  # column of Z, logit
Shape = tuple[tuple[tuple[Effect, ...], ...], ...]  # level, block, effect


def every(column: int, n_logits: int) -> tuple[Effect, ...]:
    """An effect of that column on every logit."""
    return tuple((column, logit) for logit in range(n_logits))


@dataclass(frozen=True)
class Problem(Rows):
    """Rows, a tree of groups (levels from the leaves to the roots), effects, and a point ψ."""

    x: Array
    z: Array
    shape: Shape
    counts: Array
    trials: Array
    offset: Array | None
    codes: list[Codes]
    psi: Array

    @property
    def n_logits(self) -> int:
        return self.counts.shape[1]

    @property
    def p(self) -> int:
        return self.x.shape[1] * self.n_logits

    @property
    def structure(self) -> CovarianceStructure:
        return CovarianceStructure.of_blocks(
            [len(block) for level in self.shape for block in level]
        )

    def effects(self, level: int) -> tuple[list[int], list[int]]:
        """Columns of Z and logits."""
        pairs = [pair for block in self.shape[level] for pair in block]
        return [column for column, _ in pairs], [logit for _, logit in pairs]

    def likelihood(
        self, nodes: int = 1, threads: int = 1, *, binary: bool = False
    ) -> NestedLikelihood:
        levels = range(len(self.shape))
        return NestedLikelihood(
            columns(self.x),
            [columns(self.z[:, self.effects(d)[0]]) for d in levels],
            [[len(block) for block in level] for level in self.shape],
            self.counts[:, 0].copy() if binary else np.asfortranarray(self.counts),
            self.trials,
            self.codes,
            group_counts(self.codes),
            offset=self.offset,
            logits=None if binary else [self.effects(d)[1] for d in levels],
            nodes=nodes,
            threads=threads,
        )

    def factors(self) -> list[Factor]:
        sizes = [sum(map(len, level)) for level in self.shape]
        Lambdas = diagonal_blocks(self.structure.Lambda(self.psi[self.p :]), sizes)
        return [
            Factor(self.z[:, z], logits, Lambda, codes)
            for (z, logits), Lambda, codes in zip(
                map(self.effects, range(len(sizes))), Lambdas, self.codes, strict=True
            )
        ]

    def dense_value(self) -> float:
        beta = self.psi[: self.p]
        return laplace(self.x, self.factors(), self.counts, self.trials, beta, self.offset)


def problem(
    seed: int, n_logits: int, shape: Shape, *, roots: int = 3, rows: int = 5, extras: bool = True
) -> Problem:
    """Unequal groups (some of one row), several trials, fractional weights, an offset."""
    rng = np.random.default_rng(seed)
    codes = tree(rng, len(shape), roots, 3, rows)
    n = codes[0].size
    x = np.column_stack([np.ones(n), rng.normal(size=n)])
    counts, trials, offset = categorical_response(rng, n, n_logits, extras)
    data = Problem(
        x,
        np.column_stack([x, rng.normal(size=n)]),
        shape,
        counts,
        trials,
        offset,
        codes,
        np.zeros(0),
    )
    psi = np.concatenate([rng.normal(size=data.p) / 2, 0.8 * rng.normal(size=data.structure.m)])
    return replace(data, psi=psi)


I2, I3 = (every(0, 2),), (every(0, 3),)
STRUCTURES: list[tuple[int, Shape]] = [
    (2, (I2,)),
    (2, (I2, I2)),
    (2, (((((0, 0),), ((0, 1),))), I2)),  # independent across logits
    (2, ((every(0, 2) + every(1, 2),), I2)),
    (2, (I2, (every(0, 2) + every(2, 2),))),
    (3, (I3, I3)),
    (3, ((((0, 2), (1, 0)),), (((2, 1),),))),  # logits without effects at a level
    (2, (I2, I2, I2)),
]


def check_derivatives(data: Problem, nodes: int, tolerance: float) -> None:
    likelihood = data.likelihood(nodes)
    at = likelihood.evaluate(data.psi)
    assert at.status is Status.OK
    gradient, hessian = differences(likelihood, data.psi)
    np.testing.assert_allclose(at.gradient, gradient, atol=tolerance * np.abs(gradient).max())
    np.testing.assert_allclose(at.hessian, hessian, atol=tolerance * np.abs(hessian).max())


# -- values and derivatives -------------------------------------------------------------------


@pytest.mark.parametrize(("n_logits", "shape"), STRUCTURES)
@pytest.mark.parametrize("extras", [False, True])
def test_value_is_that_of_the_dense_reference(n_logits: int, shape: Shape, extras: bool) -> None:
    data = problem(11 + extras, n_logits, shape, extras=extras)
    value = data.likelihood().evaluate(data.psi).value
    assert value == pytest.approx(data.dense_value(), rel=1e-12)


@pytest.mark.parametrize(("n_logits", "shape"), STRUCTURES)
@settings(max_examples=3)
@given(seed=st.integers(0, 10**6), extras=st.booleans(), roots=st.integers(1, 8))
def test_gradient_and_hessian_are_the_derivatives(
    n_logits: int, shape: Shape, seed: int, extras: bool, roots: int
) -> None:
    check_derivatives(problem(seed, n_logits, shape, extras=extras, roots=roots), 1, 1e-7)


@pytest.mark.parametrize(("n_logits", "shape"), [STRUCTURES[i] for i in (0, 1, 2, 3, 6)])
@settings(max_examples=2)
@given(seed=st.integers(0, 10**6), nodes=st.sampled_from([2, 3]))
def test_quadrature_has_exact_derivatives(
    n_logits: int, shape: Shape, seed: int, nodes: int
) -> None:
    check_derivatives(problem(seed, n_logits, shape, roots=2), nodes, 1e-7)


@pytest.mark.parametrize("nodes", [1, 3])
def test_large_leaves_among_small_ones(nodes: int) -> None:
    # Leaves beyond 64 rows take the other layout: rows in lanes.
    data = problem(3, 2, (I2, I2), roots=2, rows=90)
    assert np.bincount(data.codes[0]).max() > 64
    check_derivatives(data, nodes, 1e-7)
    if nodes == 1:
        value = data.likelihood().evaluate(data.psi).value
        assert value == pytest.approx(data.dense_value(), rel=1e-12)


def test_quadrature_converges_to_the_integral() -> None:
    data = problem(2, 2, (((((0, 0), (0, 1))),), (((0, 1),),)), roots=1, rows=4)
    assert data.offset is not None
    leaf, root = data.factors()
    (u, leaf_weight), (v, root_weight) = grid(2, 41), grid(1, 41)
    eta0 = data.x @ data.psi[: data.p].reshape(2, -1).T + data.offset[:, None]
    logs = np.zeros(len(v))
    for g in np.unique(leaf.codes):
        mine = leaf.codes == g
        eta = eta0[mine] + np.einsum("icq,vq->vic", root.effects(2)[mine], v)[:, None]
        eta = eta + np.einsum("icq,uq->uic", leaf.effects(2)[mine], u)  # root, leaf, rows, logits
        rows = (data.counts[mine] * eta).sum(axis=3)
        rows -= data.trials[mine] * np.log1p(np.exp(eta).sum(axis=3))
        logs += np.log(np.exp(rows.sum(axis=2)) @ leaf_weight)
    exact = float(np.log(np.exp(logs) @ root_weight))
    errors = [
        abs(data.likelihood(nodes).evaluate(data.psi).value - exact) for nodes in (1, 4, 11, 25)
    ]
    assert errors[-1] <= 1e-8
    assert errors[2] < 0.1 * errors[1] < 0.1 * errors[0]


def test_many_effects() -> None:
    slopes = (every(0, 4) + every(1, 4),)
    data = problem(1, 4, (slopes, slopes, (every(0, 4),)), roots=2, rows=12)
    likelihood = data.likelihood()
    at = likelihood.evaluate(data.psi)
    direction, h = np.random.default_rng(1).normal(size=data.psi.size), 1e-4
    there = [likelihood.evaluate(data.psi + s * h * direction) for s in (-2, -1, 1, 2)]
    weights = np.array([1.0, -8.0, 8.0, -1.0]) / (12.0 * h)
    assert at.gradient @ direction == pytest.approx(weights @ [e.value for e in there], rel=1e-7)
    curvature = weights @ np.array([e.gradient for e in there])
    tolerance = 1e-7 * np.abs(curvature).max()
    np.testing.assert_allclose(at.hessian @ direction, curvature, atol=tolerance)


def test_too_many_effects_are_refused() -> None:
    slopes = (every(0, 4) + every(1, 4) + every(2, 4),)
    with pytest.raises(OptionError, match=r"36 random effects.*at most 32"):
        problem(1, 4, (slopes, slopes, slopes)).likelihood()


# -- identities -------------------------------------------------------------------------------


@pytest.mark.parametrize("nodes", [1, 3])
@pytest.mark.parametrize("extras", [False, True])
def test_one_logit_is_the_binomial_kernel(nodes: int, extras: bool) -> None:
    shape: Shape = ((((0, 0), (1, 0)),), (((0, 0),),))
    data = problem(5, 1, shape, extras=extras, roots=6)
    agree(data.likelihood(nodes), data.likelihood(nodes, binary=True), data.psi)


@pytest.mark.parametrize("nodes", [1, 5])
@pytest.mark.parametrize("rows", [5, 150])
def test_one_level_is_the_grouped_likelihood(nodes: int, rows: int) -> None:
    data = problem(17, 3, (I3,), roots=12, rows=rows)
    z, logits = data.effects(0)
    grouped = GroupedLikelihood(
        columns(data.x),
        columns(data.z[:, z]),
        [3],
        np.asfortranarray(data.counts),
        data.trials,
        data.codes[0],
        12,
        offset=data.offset,
        logits=logits,
        nodes=nodes,
    )
    nested = data.likelihood(nodes)
    agree(nested, grouped, data.psi)
    close(nested.modes()[0], grouped.modes()[0], 1e-10)
    close(nested.mode_covariance()[0], grouped.mode_covariance()[0], 1e-10)
    beta = data.psi[: data.p]
    for one, other in zip(nested.moments(beta)[0], grouped.moments(beta)[0], strict=True):
        close(one, other, 1e-10)


def test_another_baseline_is_the_same_model() -> None:
    data = problem(8, 2, (I2, I2), roots=5, extras=True)
    assert data.offset is not None
    data = replace(data, offset=None)
    other = data.counts.copy()
    other[:, 0] = data.trials - data.counts.sum(axis=1)  # category 1 becomes the baseline
    turn = np.array([[-1.0, 0.0], [-1.0, 1.0]])  # (η₀ − η₁, η₂ − η₁)
    structure = CovarianceStructure.of_blocks([2])
    m, psi = structure.m, data.psi
    there = [(turn @ psi[: data.p].reshape(2, -1)).ravel()]
    for first in (data.p, data.p + m):
        Lambda = turn @ structure.Lambda(psi[first : first + m])
        there.append(np.linalg.cholesky(Lambda @ Lambda.T)[structure.rows, structure.columns])
    here = data.likelihood().evaluate(psi).value
    again = replace(data, counts=other).likelihood().evaluate(np.concatenate(there)).value
    assert again == pytest.approx(here, rel=1e-12)


@pytest.mark.parametrize("nodes", [1, 2])
def test_rows_in_any_order_and_any_number_of_threads(nodes: int) -> None:
    data = problem(21, 2, (I2, I2), roots=600, rows=12)
    here = data.likelihood(nodes).evaluate(data.psi)
    threaded = data.likelihood(nodes, threads=3).evaluate(data.psi)
    assert threaded.value == here.value
    np.testing.assert_array_equal(threaded.hessian, here.hessian)
    shuffled = data.take(np.random.default_rng(1).permutation(data.trials.size))
    agree(shuffled.likelihood(nodes), data.likelihood(nodes), data.psi)


def test_leaves_seen_through_several_windows() -> None:
    # More leaves in one tree than the fields of all of them may take memory for.
    n, leaves = 40_000, 25_000
    rng = np.random.default_rng(2)
    leaf = np.concatenate([np.arange(leaves), rng.integers(0, leaves, n - leaves)]).astype(np.int32)
    x = np.ones((n, 1))
    counts = np.eye(3)[rng.integers(0, 3, n)][:, 1:]
    psi = np.array([0.2, -0.1, 0.8, 0.3, 0.5, 0.4, 0.1, 0.3])
    data = Problem(x, x, (I2, I2), counts, np.ones(n), None, [leaf, np.zeros(n, np.int32)], psi)
    likelihood = data.likelihood()
    at = likelihood.evaluate(psi)
    direction, h = np.random.default_rng(1).normal(size=psi.size), 1e-4
    there = [likelihood.evaluate(psi + s * h * direction) for s in (-2, -1, 1, 2)]
    weights = np.array([1.0, -8.0, 8.0, -1.0]) / (12.0 * h)
    assert at.gradient @ direction == pytest.approx(weights @ [e.value for e in there], rel=1e-7)
    curvature = weights @ np.array([e.gradient for e in there])
    np.testing.assert_allclose(at.hessian @ direction, curvature, rtol=1e-6)


# -- protocol ---------------------------------------------------------------------------------


def test_moments_are_score_and_information_at_zero_effects() -> None:
    data = problem(9, 2, STRUCTURES[3][1], rows=90)
    assert data.offset is not None
    beta = data.psi[: data.p]
    eta = data.x @ beta.reshape(2, -1).T + data.offset[:, None]
    pi = np.exp(eta) / (1.0 + np.exp(eta).sum(axis=1, keepdims=True))
    r = data.counts - data.trials[:, None] * pi
    W = data.trials[:, None, None] * (pi[:, :, None] * np.eye(2) - pi[:, :, None] * pi[:, None, :])
    for factor, (score, information) in zip(
        data.factors(), data.likelihood().moments(beta), strict=True
    ):
        Z = replace(factor, Lambda=np.eye(factor.z.shape[1])).effects(2)
        for g in range(score.shape[0]):
            mine = factor.codes == g
            close(score[g], np.einsum("icq,ic->q", Z[mine], r[mine]), 1e-11)
            expected = np.einsum("icq,icd,ids->qs", Z[mine], W[mine], Z[mine])
            close(information[g], expected, 1e-11)


def test_effects_in_another_order_are_the_same_model() -> None:
    data = problem(14, 2, STRUCTURES[3][1])
    likelihood = data.likelihood()
    here = likelihood.evaluate(data.psi)
    structure, p = data.structure, data.p
    order = (2, 0, 3, 1, 5, 4)
    old = structure.Lambda(data.psi[p:])[list(order)]
    new = np.linalg.cholesky(old @ old.T)
    likelihood.reorder(order, np.linalg.solve(new, old))
    psi = np.concatenate([data.psi[:p], new[structure.rows, structure.columns]])
    there = likelihood.evaluate(psi)
    assert there.value == pytest.approx(here.value, rel=1e-13)
    close(there.gradient[:p], here.gradient[:p], 1e-10)
    likelihood.restart()
    assert likelihood.evaluate(data.psi).value == pytest.approx(here.value, rel=1e-13)


def test_a_new_response_replaces_the_old_one() -> None:
    data = problem(15, 2, (I2, I2))
    other = replace(data, counts=np.ascontiguousarray(data.counts[:, ::-1]))
    likelihood = data.likelihood()
    likelihood.evaluate(data.psi)
    likelihood.set_response(np.asfortranarray(other.counts), other.trials)
    agree(likelihood, other.likelihood(), data.psi)


def test_extreme_predictors_stay_finite() -> None:
    data = problem(6, 2, (I2, I2), extras=False)
    for intercept in (-600.0, 600.0):
        psi = data.psi.copy()
        psi[0] = intercept
        at = data.likelihood().evaluate(psi)
        assert at.status is Status.OK
        assert np.isfinite(at.value)
        assert np.isfinite(at.hessian).all()
