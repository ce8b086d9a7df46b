"""The categorical units: dense reference, finite differences, identities."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from likelihood.problems import Array, categorical_response, differences
from likelihood.reference_multinomial import Factor, grouped
from numpy.typing import NDArray

from multilogit.errors import Status
from multilogit.likelihood.covariance import CovarianceStructure
from multilogit.likelihood.grouped import GroupedLikelihood, product_rule


@dataclass(frozen=True)
class Problem:
    """Rows, effects and a point ψ."""

    x: Array
    z: Array
    logits: tuple[int, ...]
    blocks: tuple[int, ...]
    counts: Array
    trials: Array
    offset: Array | None
    codes: NDArray[np.int32]
    psi: Array

    def likelihood(
        self, nodes: int = 1, threads: int = 1, *, binary: bool = False
    ) -> GroupedLikelihood:
        return GroupedLikelihood(
            [np.ascontiguousarray(column) for column in self.x.T],
            [np.ascontiguousarray(column) for column in self.z.T],
            self.blocks,
            self.counts[:, 0].copy() if binary else np.asfortranarray(self.counts),
            self.trials,
            self.codes,
            int(self.codes.max()) + 1,
            offset=self.offset,
            logits=None if binary else self.logits,
            nodes=nodes,
            threads=threads,
        )

    def factor(self) -> Factor:
        Lambda = CovarianceStructure.of_blocks(self.blocks).Lambda(self.psi[self.p :])
        return Factor(self.z, self.logits, Lambda, self.codes)

    @property
    def p(self) -> int:
        return self.x.shape[1] * self.counts.shape[1]

    def dense_value(self, nodes: int = 1) -> float:
        beta = self.psi[: self.p]
        return grouped(
            self.x, self.factor(), self.counts, self.trials, beta, self.offset, nodes=nodes
        )


def problem(
    seed: int,
    n_logits: int,
    columns: int = 1,
    *,
    blocks: tuple[int, ...] | None = None,
    sizes: tuple[int, ...] = (1, 7, 3, 9, 1, 5),
    extras: bool = True,
) -> Problem:
    """``columns`` effects on every logit; several trials, fractional weights, an offset."""
    rng = np.random.default_rng(seed)
    codes = np.repeat(np.arange(len(sizes), dtype=np.int32), sizes)
    rng.shuffle(codes)
    n = codes.size
    x = np.column_stack([np.ones(n), rng.normal(size=n)])
    z = np.tile(np.column_stack([x, rng.normal(size=n)])[:, [0, 2]][:, :columns], n_logits)
    blocks = (n_logits * columns,) if blocks is None else blocks
    counts, trials, offset = categorical_response(rng, n, n_logits, extras)
    theta = rng.normal(size=CovarianceStructure.of_blocks(blocks).m) * 0.6
    return Problem(
        x=x,
        z=z,
        logits=tuple(np.repeat(np.arange(n_logits), columns).tolist()),
        blocks=blocks,
        counts=counts,
        trials=trials,
        offset=offset,
        codes=codes,
        psi=np.concatenate([rng.normal(size=2 * n_logits) / 2, theta]),
    )


def assert_derivatives(likelihood: GroupedLikelihood, psi: Array, tolerance: float) -> None:
    at = likelihood.evaluate(psi)
    assert at.status is Status.OK
    gradient, hessian = differences(likelihood, psi)
    assert np.abs(at.gradient - gradient).max() <= tolerance * np.abs(gradient).max()
    assert np.abs(at.hessian - hessian).max() <= tolerance * np.abs(hessian).max()
    np.testing.assert_array_equal(at.hessian, at.hessian.T)


CASES = [
    (2, 1, None, 1),
    (2, 1, (1, 1), 1),
    (2, 2, None, 1),
    (2, 2, (2, 1, 1), 1),
    (3, 1, None, 1),
    (3, 2, None, 1),
    (2, 1, None, 3),
    (2, 1, None, 7),
    (2, 1, (1, 1), 4),
    (2, 2, None, 2),
    (3, 1, None, 3),
]


@pytest.mark.parametrize(("n_logits", "columns", "blocks", "nodes"), CASES)
def test_value_is_that_of_the_dense_reference(
    n_logits: int, columns: int, blocks: tuple[int, ...] | None, nodes: int
) -> None:
    data = problem(5, n_logits, columns, blocks=blocks)
    value = data.likelihood(nodes).evaluate(data.psi).value
    assert value == pytest.approx(data.dense_value(nodes), rel=1e-12)


@pytest.mark.parametrize(("n_logits", "columns", "blocks", "nodes"), CASES)
@settings(max_examples=3)
@given(seed=st.integers(0, 10**6), extras=st.booleans())
def test_gradient_and_hessian_are_the_derivatives(
    n_logits: int,
    columns: int,
    blocks: tuple[int, ...] | None,
    nodes: int,
    seed: int,
    extras: bool,
) -> None:
    data = problem(seed, n_logits, columns, blocks=blocks, extras=extras)
    assert_derivatives(data.likelihood(nodes), data.psi, 1e-7)


@pytest.mark.parametrize("nodes", [1, 3])
@pytest.mark.parametrize("n_logits", [2, 3])
@pytest.mark.parametrize("sizes", [(1, 70, 2, 270), (70, 81, 66, 72, 75, 90, 80, 77, 3)])
def test_large_groups_differentiate_alike(
    sizes: tuple[int, ...], n_logits: int, nodes: int
) -> None:
    # Beyond 256 rows, or 64 where no groups of that size are there to share tiles with, the rows
    # of a group fill the lanes.
    data = problem(6, n_logits, sizes=sizes)
    likelihood = data.likelihood(nodes)
    assert likelihood.evaluate(data.psi).value == pytest.approx(data.dense_value(nodes), rel=1e-12)
    assert_derivatives(likelihood, data.psi, 1e-7)


@pytest.mark.parametrize("nodes", [1, 3])
def test_effects_may_belong_to_some_logits_only(nodes: int) -> None:
    data = problem(8, 3)
    data = replace(
        data,
        z=np.column_stack([data.x[:, 1], data.x[:, 0], data.x[:, 1]]),
        logits=(2, 0, 0),
        blocks=(1, 2),
        psi=data.psi[: data.p + 4],
    )
    likelihood = data.likelihood(nodes)
    assert likelihood.evaluate(data.psi).value == pytest.approx(data.dense_value(nodes), rel=1e-12)
    assert_derivatives(likelihood, data.psi, 1e-7)


@pytest.mark.parametrize(("columns", "nodes"), [(1, 1), (2, 1), (1, 7), (2, 3)])
@settings(max_examples=10)
@given(seed=st.integers(0, 10**6))
def test_one_logit_is_the_binomial_unit(columns: int, nodes: int, seed: int) -> None:
    data = problem(seed, 1, columns, sizes=(1, 9, 4, 70))
    one, other = data.likelihood(nodes), data.likelihood(nodes, binary=True)
    here, there = one.evaluate(data.psi), other.evaluate(data.psi)
    assert here.value == pytest.approx(there.value, rel=1e-10)
    for a, b in ((here.gradient, there.gradient), (here.hessian, there.hessian)):
        np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-10 * np.abs(b).max())
    for a, b in zip(
        (*one.modes(), *one.mode_covariance()),
        (*other.modes(), *other.mode_covariance()),
        strict=True,
    ):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("n_logits", [2, 3])
def test_one_node_is_laplace(n_logits: int) -> None:
    data = problem(3, n_logits)
    likelihood = data.likelihood()
    laplace = likelihood.evaluate(data.psi)
    likelihood._data.set_nodes(*product_rule(1, n_logits))  # the general code, with one node
    node = likelihood.evaluate(data.psi)
    assert node.value == pytest.approx(laplace.value, rel=1e-14)
    np.testing.assert_allclose(node.gradient, laplace.gradient, rtol=1e-11, atol=1e-12)
    np.testing.assert_allclose(node.hessian, laplace.hessian, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("nodes", [1, 5])
@pytest.mark.parametrize("baseline", [1, 2])
def test_another_baseline_is_the_same_likelihood(baseline: int, nodes: int) -> None:
    """η relative to another category: β and the effects b are transformed linearly, b = Tb̃."""
    data = problem(9, 2)
    everything = np.column_stack([data.trials - data.counts.sum(axis=1), data.counts])
    order = [baseline, *(j for j in range(3) if j != baseline)]
    T = np.eye(3)[order[1:]] - np.eye(3)[order[0]]
    T = T[:, 1:]  # η of category 0 is 0
    Sigma = T @ data.factor().Lambda @ data.factor().Lambda.T @ T.T
    Lambda = np.linalg.cholesky(Sigma)
    structure = CovarianceStructure.of_blocks((2,))
    # an offset on every logit is one relative to the baseline: leave it out
    data = replace(data, offset=None)
    beta = T @ data.psi[:4].reshape(2, 2)
    other = replace(
        data,
        counts=everything[:, order[1:]],
        psi=np.concatenate([beta.ravel(), Lambda[structure.rows, structure.columns]]),
    )
    here = data.likelihood(nodes).evaluate(data.psi).value
    there = other.likelihood(nodes).evaluate(other.psi).value
    if nodes == 1:
        assert there == pytest.approx(here, rel=1e-12)
    else:  # the nodes of the product rule turn with Λ
        assert there == pytest.approx(here, rel=1e-4)


@pytest.mark.parametrize("nodes", [1, 3])
def test_every_number_of_threads_gives_the_same_bits(nodes: int) -> None:
    rng = np.random.default_rng(4)
    data = problem(4, 3, sizes=tuple(rng.integers(1, 90, 300).tolist()), extras=False)
    one = data.likelihood(nodes, threads=1).evaluate(data.psi)
    for threads in (2, 3):
        other = data.likelihood(nodes, threads=threads).evaluate(data.psi)
        assert other.value == one.value
        np.testing.assert_array_equal(other.gradient, one.gradient)
        np.testing.assert_array_equal(other.hessian, one.hessian)


def test_moments_are_score_and_information_of_the_effects() -> None:
    data = problem(12, 3, 2, sizes=(2, 9, 70))
    rng = np.random.default_rng(0)
    beta = rng.normal(size=data.p)
    ((score, information),) = data.likelihood().moments(beta)
    eta = data.x @ beta.reshape(3, 2).T + data.offset[:, None]
    e = np.exp(eta)
    pi = e / (1.0 + e.sum(axis=1, keepdims=True))
    A = Factor(data.z, data.logits, np.eye(6), data.codes).effects(3)
    W = np.einsum("ic,cd->icd", pi, np.eye(3)) - pi[:, :, None] * pi[:, None, :]
    for g in range(3):
        rows = data.codes == g
        r = data.counts[rows] - data.trials[rows, None] * pi[rows]
        np.testing.assert_allclose(score[g], np.einsum("icq,ic->q", A[rows], r), atol=1e-12)
        expected = np.einsum("icq,i,icd,idr->qr", A[rows], data.trials[rows], W[rows], A[rows])
        np.testing.assert_allclose(information[g], expected, atol=1e-12)


def test_modes_turn_with_the_effects_and_a_new_response_is_used() -> None:
    data = problem(13, 2, 2)
    likelihood = data.likelihood()
    value = likelihood.evaluate(data.psi).value
    order = (3, 1, 0, 2)
    turn = np.eye(4)[list(order)]
    likelihood.reorder(order, turn)
    Sigma = data.factor().Lambda @ data.factor().Lambda.T
    Lambda = np.linalg.cholesky(Sigma[np.ix_(order, order)])
    structure = likelihood.structure
    psi = np.concatenate([data.psi[: data.p], Lambda[structure.rows, structure.columns]])
    assert likelihood.evaluate(psi).value == pytest.approx(value, rel=1e-12)
    b = likelihood.modes()[0] @ Lambda.T
    likelihood.restart()
    likelihood.evaluate(data.psi)
    np.testing.assert_allclose(
        b, (likelihood.modes()[0] @ data.factor().Lambda.T)[:, list(order)], atol=1e-9
    )
    other = problem(14, 2, 2)
    likelihood.set_response(np.asfortranarray(other.counts[: len(data.trials)]), data.trials + 9.0)
    changed = replace(data, counts=other.counts, trials=data.trials + 9.0)
    assert likelihood.evaluate(data.psi).value == pytest.approx(changed.dense_value(), rel=1e-12)


def test_huge_predictors_stay_finite() -> None:
    data = problem(2, 2)
    psi = data.psi.copy()
    psi[:4] *= 300.0
    at = data.likelihood().evaluate(psi)
    assert at.status is Status.OK
    assert np.isfinite(at.value)
    assert np.isfinite(at.hessian).all()
