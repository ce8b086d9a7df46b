"""Sums over parts of whole groups: the same numbers as all rows together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pytest
from numpy.typing import NDArray

from multilogit.errors import OptionError, Status
from multilogit.estimate.estimate import Estimate
from multilogit.estimate.mixed import mixed_maximum
from multilogit.estimate.options import Options
from multilogit.evaluation import Evaluation
from multilogit.likelihood.columns import root_mean_square
from multilogit.likelihood.fixed import FixedLikelihood, SingleLevel, start_ols
from multilogit.likelihood.grouped import GroupedLikelihood
from multilogit.likelihood.mixed import MixedLikelihood
from multilogit.likelihood.nested import NestedLikelihood
from multilogit.likelihood.summed import (
    LocalParts,
    MixedShape,
    SummedFixed,
    SummedMixed,
    WithoutEffects,
    pooled_scale,
)
from multilogit.newton import maximise
from multilogit.prior import BoundPrior, CovarianceRelativeEntropy, Normal, PriorContext

Array = NDArray[np.float64]
Codes = NDArray[np.int32]


@dataclass(frozen=True)
class Data:
    """Leaves in roots; X with an intercept, y with one column per logit."""

    x: Array
    y: Array
    trials: Array
    codes: tuple[Codes, ...]

    @classmethod
    def simulated(cls, factors: int, categories: int, groups: int = 90) -> Data:
        rng = np.random.default_rng(7)
        leaf = rng.permutation(np.repeat(np.arange(groups), 9)).astype(np.int32)
        root = (leaf // 3).astype(np.int32)
        x = np.column_stack([np.ones(leaf.size), rng.normal(size=(leaf.size, 2))])
        effect = rng.normal(size=(groups, 2))
        eta = np.zeros((leaf.size, categories))
        for c in range(1, categories):
            eta[:, c] = 0.3 * c - 0.5 * x[:, 1] + effect[leaf, 0] + 0.6 * effect[root, 1] * x[:, 2]
        share = np.exp(eta) / np.exp(eta).sum(axis=1, keepdims=True)
        trials = rng.integers(1, 5, leaf.size)
        counts = rng.multinomial(trials, share)[:, 1:].astype(np.float64)
        codes = (leaf, root)[2 - factors :]
        return cls(x, np.asfortranarray(counts), trials.astype(np.float64), codes)

    @property
    def n_groups(self) -> tuple[int, ...]:
        return tuple(int(codes.max()) + 1 for codes in self.codes)

    def take(self, rows: NDArray[np.intp]) -> tuple[Data, list[NDArray[np.intp]]]:
        """Some of the rows, and the groups that they are of."""
        kept = [np.unique(codes[rows], return_inverse=True) for codes in self.codes]
        codes = tuple(inverse.astype(np.int32) for _, inverse in kept)
        x, y = self.x[rows], np.asfortranarray(self.y[rows])
        return Data(x, y, self.trials[rows], codes), [levels for levels, _ in kept]

    def fixed(self) -> FixedLikelihood:
        return FixedLikelihood(columns(self.x), self.y, self.trials)

    def mixed(self, nodes: int = 1) -> MixedLikelihood:
        """An intercept and a correlated slope in the last factor, an intercept in the others."""
        one, _, slope = columns(self.x)
        C = self.y.shape[1]
        logits = [[c for c in range(C) for _ in range(k)] for k in self.slopes]
        z = [[one, slope][:k] * C for k in self.slopes]
        blocks = [[k] * C for k in self.slopes]
        y = self.y if C > 1 else self.y[:, 0].copy()
        if len(self.codes) == 1:
            return GroupedLikelihood(
                columns(self.x), z[0], blocks[0], y, self.trials, self.codes[0], self.n_groups[0],
                logits=logits[0] if C > 1 else None, nodes=nodes,
            )  # fmt: skip
        return NestedLikelihood(
            columns(self.x), z, blocks, y, self.trials, self.codes, self.n_groups,
            logits=logits if C > 1 else None, nodes=nodes,
        )  # fmt: skip

    @property
    def slopes(self) -> list[int]:
        return [1] * (len(self.codes) - 1) + [2]

    def parts(self, count: int = 4) -> list[tuple[Data, list[NDArray[np.intp]]]]:
        """Whole groups of the last factor, dealt out at random."""
        part = np.random.default_rng(1).integers(0, count, self.n_groups[-1])[self.codes[-1]]
        return [self.take(np.flatnonzero(part == k)) for k in range(count)]

    def summed(self, nodes: int = 1) -> SummedMixed:
        parts = self.parts()
        whole = self.mixed()
        C = self.y.shape[1]
        z = [column for k in self.slopes for column in [self.x[:, 0], self.x[:, 2]][:k] * C]
        shape = MixedShape(
            p=whole.p,
            blocks=whole.structure.blocks,
            effects=tuple(k * C for k in self.slopes),
            levels=self.n_groups,
            z_scale=pooled_scale(np.array([column @ column for column in z]), len(self.x)),
        )
        likelihoods = [part.mixed(nodes) for part, _ in parts]
        return SummedMixed(LocalParts(likelihoods), shape, [levels for _, levels in parts])


def columns(matrix: Array) -> list[Array]:
    return [np.ascontiguousarray(column) for column in matrix.T]


def assert_equal(a: Evaluation, b: Evaluation) -> None:
    assert a.status is b.status is Status.OK
    np.testing.assert_allclose(a.value, b.value, rtol=1e-12)
    np.testing.assert_allclose(a.gradient, b.gradient, rtol=1e-8, atol=1e-8)
    np.testing.assert_allclose(a.hessian, b.hessian, rtol=1e-9, atol=1e-7)


def assert_same_maximum(a: Estimate, b: Estimate) -> None:
    assert a.solution.converged
    assert b.solution.converged
    assert a.likelihood.value == pytest.approx(b.likelihood.value, rel=1e-11, abs=1e-9)
    np.testing.assert_allclose(a.solution.psi, b.solution.psi, atol=1e-9)
    np.testing.assert_allclose(a.covariance(), b.covariance(), rtol=1e-6, atol=1e-9)
    for one, other in zip(a.factors, b.factors, strict=True):
        np.testing.assert_allclose(one.modes, other.modes, atol=1e-8)
        np.testing.assert_allclose(one.covariance, other.covariance, atol=1e-8)


KINDS = [(1, 2), (2, 2), (1, 3), (2, 3)]


@pytest.mark.parametrize(("factors", "categories"), KINDS)
def test_the_maximum_is_that_of_all_rows(factors: int, categories: int) -> None:
    data = Data.simulated(factors, categories)
    one, many = data.mixed(), data.summed()
    np.testing.assert_allclose(many.z_scale, one.z_scale, rtol=1e-14)
    options, rows = Options(tolerance=1e-10), data.trials.size
    total = data.fixed().total_trials
    without = WithoutEffects(many, categories - 1, total)
    assert_same_maximum(
        mixed_maximum(one, data.fixed(), None, options, rows),
        mixed_maximum(many, without, None, options, rows),
    )


@pytest.mark.parametrize("factors", [1, 2])
def test_with_quadrature(factors: int) -> None:
    data = Data.simulated(factors, 2)
    options, rows = Options(tolerance=1e-10, nodes=3), data.trials.size
    one, many = data.mixed(nodes=3), data.summed(nodes=3)
    many.set_nodes(3)
    assert many.depends_on_order
    a = mixed_maximum(one, data.fixed(), None, options, rows)
    b = mixed_maximum(many, data.fixed(), None, options, rows)
    assert_same_maximum(a, b)
    assert a.nodes == b.nodes == 3


def test_with_a_prior() -> None:
    data = Data.simulated(1, 2)
    options, rows = Options(tolerance=1e-10), data.trials.size
    found = []
    for likelihood in (data.mixed(), data.summed()):
        prior = _prior(data, likelihood)
        found.append(mixed_maximum(likelihood, data.fixed(), prior, options, rows))
    assert_same_maximum(*found)


def _prior(data: Data, likelihood: MixedLikelihood) -> BoundPrior:
    specification = Normal(1.0) + CovarianceRelativeEntropy()
    structure = likelihood.structure
    return specification.bind(
        PriorContext(
            columns=tuple(columns(data.x)),
            names=("(Intercept)", "a", "b"),
            trials=data.trials,
            offset=None,
            mean=data.y.sum(axis=0) / data.trials.sum(),
            theta_rows=structure.rows,
            theta_columns=structure.columns,
            blocks=structure.blocks,
            order=lambda: likelihood.order,
        )
    )


@pytest.mark.parametrize(("factors", "categories"), KINDS)
def test_every_answer_at_one_point(factors: int, categories: int) -> None:
    data = Data.simulated(factors, categories)
    one, many = data.mixed(), data.summed()
    psi = np.linspace(0.2, 0.6, one.p + one.structure.m)
    assert_equal(one.evaluate(psi), many.evaluate(psi))
    assert one.factors() == many.factors()
    for a, b in zip(one.moments(psi[: one.p]), many.moments(psi[: one.p]), strict=True):
        np.testing.assert_allclose(a[0], b[0], atol=1e-10)
        np.testing.assert_allclose(a[1], b[1], atol=1e-10)
    order = (*range(one.structure.q - 2), one.structure.q - 1, one.structure.q - 2)
    turn = np.eye(one.structure.q)[list(order)]
    for likelihood in (one, many):
        likelihood.reorder(order, turn)
    np.testing.assert_allclose(many.scale, one.scale, rtol=1e-14)
    for a, b in zip(one.modes(), many.modes(), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-8)
    assert_equal(one.evaluate(psi), many.evaluate(psi))
    many.restart()
    assert many.order == tuple(range(one.structure.q))
    assert not np.concatenate(many.modes(), axis=None).any()


@pytest.mark.parametrize("categories", [2, 3])
def test_single_level(categories: int) -> None:
    data = Data.simulated(1, categories)
    likelihoods = [part.fixed() for part, _ in data.parts()]
    one = data.fixed()
    many = SummedFixed(LocalParts(likelihoods), 3, categories - 1, one.total_trials)
    assert one.total_trials == pytest.approx(sum(part.total_trials for part in likelihoods))
    a, b = (maximise(each, np.zeros(each.n_parameters)) for each in (one, many))
    assert a.evaluation.value == pytest.approx(b.evaluation.value, rel=1e-12)
    np.testing.assert_allclose(a.psi, b.psi, atol=1e-10)
    np.testing.assert_allclose(start_ols(many), start_ols(one), rtol=1e-10)
    assert_equal(one.at_zero, many.at_zero)


@pytest.mark.parametrize(("factors", "categories"), KINDS)
def test_without_effects_the_single_level_likelihood_is_left(factors: int, categories: int) -> None:
    data = Data.simulated(factors, categories)
    one = data.fixed()
    without: SingleLevel = WithoutEffects(data.summed(), categories - 1, one.total_trials)
    beta = np.linspace(-0.5, 0.5, one.n_parameters)
    assert_equal(one.evaluate(beta), without.evaluate(beta))
    assert_equal(one.at_zero, without.at_zero)
    assert (without.p, without.n_parameters) == (one.p, one.n_parameters)
    with pytest.raises(OptionError, match="start='ols' needs the data in memory"):
        start_ols(without)


class _Failing(FixedLikelihood):
    def evaluate(self, psi: Array, /) -> Evaluation:
        return Evaluation(0.0, 0.0 * psi, np.zeros((psi.size, psi.size)), Status.INNER_FAILED)


def test_a_part_that_fails_makes_the_sum_fail() -> None:
    data = Data.simulated(1, 2)
    failing = _Failing(columns(data.x), data.y, data.trials)
    both: Sequence[FixedLikelihood] = [data.fixed(), failing]
    for parts in (both, both[::-1]):
        assert SummedFixed(LocalParts(parts), 3, 1, 1.0).at_zero.status is Status.INNER_FAILED


def test_a_column_of_zeros_has_scale_one() -> None:
    z = np.zeros(4), np.array([1.0, 2.0, 2.0, 1.0])
    squares = np.array([column @ column for column in z])
    np.testing.assert_array_equal(pooled_scale(squares, 4), [root_mean_square(c) for c in z])


def test_a_new_response_is_refused() -> None:
    data = Data.simulated(1, 2)
    with pytest.raises(OptionError, match="takes no new response"):
        data.summed().set_response(data.y[:, 0], data.trials)
