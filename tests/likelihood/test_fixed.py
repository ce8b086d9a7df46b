"""The single-level kernels against dense NumPy, finite differences and identities."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from multilogit.errors import OptionError, Status
from multilogit.evaluation import Evaluation
from multilogit.likelihood.fixed import FixedLikelihood, start_ols
from multilogit.newton import maximise

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Problem:
    """A design, a response in every form, and a point."""

    x: Array
    counts: Array
    trials: Array
    offset: Array | None
    weights: Array | None
    beta: Array

    def likelihood(self, threads: int = 1) -> FixedLikelihood:
        columns = [np.ascontiguousarray(column) for column in self.x.T]
        return FixedLikelihood(
            columns, self.counts, self.trials, self.offset, self.weights, threads
        )

    def evaluate(self, beta: Array | None = None) -> Evaluation:
        return self.likelihood().evaluate(self.beta if beta is None else beta)


def problem(
    seed: int, n: int = 37, p: int = 4, logits: int = 1, *, extras: bool = True, scale: float = 1.0
) -> Problem:
    rng = np.random.default_rng(seed)
    x = np.column_stack([np.ones(n), rng.normal(size=(n, p - 1))])
    trials = rng.integers(0, 6, size=n) if extras else np.ones(n, dtype=int)
    shares = rng.dirichlet(np.ones(logits + 1), size=n)
    counts = np.array([rng.multinomial(m, share) for m, share in zip(trials, shares, strict=True)])
    return Problem(
        x,
        np.asfortranarray(counts[:, 1:], dtype=float),
        trials.astype(float),
        rng.normal(size=n) if extras else None,
        rng.uniform(0.1, 3, size=n) if extras else None,
        rng.normal(size=p * logits) * scale,
    )


def dense(data: Problem, beta: Array) -> Evaluation:
    """Czepiel eqs 31, 32, 37 in extended precision, with 1 − π_j summed from the others."""
    long = np.longdouble
    n, p = data.x.shape
    logits = data.counts.shape[1]
    x, trials, counts = (a.astype(long) for a in (data.x, data.trials[:, None], data.counts))
    w = np.ones((n, 1), long) if data.weights is None else data.weights[:, None].astype(long)
    o = np.zeros((n, 1)) if data.offset is None else data.offset.reshape(n, -1)
    eta = x @ beta.reshape(logits, p).T.astype(long) + o
    top = np.maximum(eta.max(axis=1, keepdims=True), 0)
    every = np.exp(np.hstack([np.zeros((n, 1)), eta]) - top)
    pi_every = every / every.sum(axis=1, keepdims=True)
    pi = pi_every[:, 1:]
    rest = pi_every @ (1 - np.eye(logits + 1, dtype=long))[:, 1:]
    log_total = top + np.log(every.sum(axis=1, keepdims=True))
    value = (w * (counts * eta)).sum() - (w * trials * log_total).sum()
    gradient = (w * (counts * rest - (trials - counts) * pi)).T @ x
    cross = -np.einsum("ij,il->ijl", pi, pi)
    cross[:, np.arange(logits), np.arange(logits)] = pi * rest
    blocks = -np.einsum("i,ijl,ia,ib->jalb", (w * trials)[:, 0], cross, x, x)
    d = logits * p
    return Evaluation(
        float(value), gradient.ravel().astype(float), blocks.reshape(d, d).astype(float)
    )


def assert_same(a: Evaluation, b: Evaluation, rtol: float = 1e-11) -> None:
    assert a.value == pytest.approx(b.value, rel=rtol, abs=rtol)
    scale = np.abs(b.gradient).max() + 1e-300
    np.testing.assert_allclose(a.gradient, b.gradient, rtol=rtol, atol=rtol * scale)
    scale = np.abs(b.hessian).max() + 1e-300
    np.testing.assert_allclose(a.hessian, b.hessian, rtol=rtol, atol=rtol * scale)


# -- against independent formulas -------------------------------------------------------------


@given(
    seed=st.integers(0, 2**32 - 1),
    n=st.integers(1, 70),
    p=st.integers(1, 9),
    logits=st.integers(1, 5),
    extras=st.booleans(),
    power=st.floats(-3, 2),
)
@settings(max_examples=60, deadline=None)
def test_dense_formulas(seed: int, n: int, p: int, logits: int, extras: bool, power: float) -> None:
    data = problem(seed, n, p, logits, extras=extras, scale=10.0**power)
    assert_same(data.evaluate(), dense(data, data.beta))


@pytest.mark.parametrize("n", [1, 7, 8, 511, 512, 513, 4097, 9000])
def test_dense_formulas_whatever_the_number_of_rows(n: int) -> None:
    for logits in (1, 3):
        data = problem(n, n, 5, logits)
        assert_same(data.evaluate(), dense(data, data.beta))


@given(st.integers(0, 2**32 - 1), st.integers(1, 4))
@settings(max_examples=25, deadline=None)
def test_finite_differences(seed: int, logits: int) -> None:
    data = problem(seed, 30, 3, logits)
    here = data.evaluate()
    step = 1e-4
    for k in range(len(data.beta)):
        at = []
        for m in (-2, -1, 1, 2):
            beta = data.beta.copy()
            beta[k] += m * step
            at.append(data.evaluate(beta))
        far_down, down, up, far_up = at
        slope = (8 * (up.value - down.value) - (far_up.value - far_down.value)) / (12 * step)
        rows = 8 * (up.gradient - down.gradient) - (far_up.gradient - far_down.gradient)
        size = np.abs(here.gradient).max() + 1
        assert slope == pytest.approx(here.gradient[k], rel=1e-6, abs=1e-6 * size)
        np.testing.assert_allclose(
            rows / (12 * step), here.hessian[k], atol=1e-6 * np.abs(here.hessian).max()
        )


# -- identities -------------------------------------------------------------------------------


@given(st.integers(0, 2**32 - 1), st.integers(1, 4))
@settings(max_examples=25, deadline=None)
def test_weight_two_is_the_row_twice(seed: int, logits: int) -> None:
    data = replace(problem(seed, logits=logits), weights=None)
    times = np.random.default_rng(seed).integers(1, 4, size=len(data.x))
    offset = data.offset
    assert offset is not None
    repeated = Problem(
        np.repeat(data.x, times, axis=0),
        np.asfortranarray(np.repeat(data.counts, times, axis=0)),
        np.repeat(data.trials, times),
        np.repeat(offset, times),
        None,
        data.beta,
    )
    assert_same(replace(data, weights=times.astype(float)).evaluate(), repeated.evaluate())


@given(st.integers(0, 2**32 - 1), st.integers(1, 4))
@settings(max_examples=25, deadline=None)
def test_aggregated_is_expanded(seed: int, logits: int) -> None:
    data = problem(seed, logits=logits)
    baseline = (data.trials - data.counts.sum(axis=1))[:, None]
    every = np.hstack([baseline, data.counts]).astype(int)
    rows, kinds = (np.repeat(index.ravel(), every.ravel()) for index in np.indices(every.shape))
    assert data.offset is not None
    assert data.weights is not None
    expanded = Problem(
        data.x[rows],
        np.asfortranarray(np.eye(logits + 1)[kinds][:, 1:]),
        np.ones(len(rows)),
        data.offset[rows],
        data.weights[rows],
        data.beta,
    )
    assert_same(data.evaluate(), expanded.evaluate())


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=25, deadline=None)
def test_two_categories_are_a_special_case_of_three(seed: int) -> None:
    """A third category that nobody chooses and that is all but impossible: 2 categories."""
    data = problem(seed, p=3)
    never = np.zeros((len(data.x), 1))
    beta = np.concatenate([data.beta, [-500.0, 0, 0]])
    three = replace(data, counts=np.asfortranarray(np.hstack([data.counts, never])), beta=beta)
    two, wide = data.evaluate(), three.evaluate()
    assert wide.value == pytest.approx(two.value, rel=1e-14)
    np.testing.assert_allclose(wide.gradient[:3], two.gradient, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(wide.hessian[:3, :3], two.hessian, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("logits", [1, 2, 3])
def test_any_baseline_gives_the_same_maximum(logits: int) -> None:
    data = problem(4, 200, 3, logits)
    data = replace(data, offset=None)
    every = np.hstack([(data.trials - data.counts.sum(axis=1))[:, None], data.counts])
    fits = []
    for order in (
        np.arange(logits + 1),
        np.arange(logits + 1)[::-1],
        np.roll(range(logits + 1), 1),
    ):
        relabelled = replace(data, counts=np.asfortranarray(every[:, order[1:]]))
        fits.append(maximise(relabelled.likelihood(), np.zeros(3 * logits)))
    assert all(fit.converged for fit in fits)
    for fit in fits:
        assert fit.evaluation.value == pytest.approx(fits[0].evaluation.value, rel=1e-13)
    np.testing.assert_allclose(fits[1].psi[-3:], -fits[0].psi[-3:], atol=1e-8)


def test_offset_per_logit_and_common() -> None:
    data = problem(11, logits=3)
    assert data.offset is not None
    same = replace(data, offset=np.repeat(data.offset[:, None], 3, axis=1))
    assert_same(same.evaluate(), data.evaluate(), rtol=0)
    different = np.asfortranarray(np.random.default_rng(0).normal(size=(len(data.x), 3)))
    columns = replace(
        data, x=np.column_stack([different.T[0], data.x]), offset=None, beta=np.zeros(15)
    )
    shifted = columns.evaluate(np.array([1.0, 0, 0, 0, 0] + [0.0] * 10)).value
    only_first = np.zeros((len(data.x), 3))
    only_first[:, 0] = different[:, 0]
    plain = replace(data, offset=only_first, beta=np.zeros(12))
    assert plain.evaluate().value == pytest.approx(shifted, rel=1e-13)


@pytest.mark.parametrize("logits", [1, 3])
def test_threads_change_no_bit(logits: int) -> None:
    data = problem(12, 60_000, 6, logits)
    reference = data.likelihood(1).evaluate(data.beta)
    for threads in (2, 3, 4, 7):
        other = data.likelihood(threads).evaluate(data.beta)
        assert other.value == reference.value
        np.testing.assert_array_equal(other.gradient, reference.gradient)
        np.testing.assert_array_equal(other.hessian, reference.hessian)


def test_hessian_is_symmetric_to_the_bit() -> None:
    hessian = problem(13, 300, 7, 3).evaluate().hessian
    np.testing.assert_array_equal(hessian, hessian.T)


# -- extremes -----------------------------------------------------------------------------------


@pytest.mark.parametrize("logits", [1, 2, 4])
@pytest.mark.parametrize("size", [40.0, 800.0, 1e5])
def test_extreme_predictors_stay_finite(logits: int, size: float) -> None:
    rng = np.random.default_rng(logits)
    x = size * np.where(rng.random((50, 1)) < 0.5, -1, 1)
    counts = np.eye(logits + 1)[rng.integers(0, logits + 1, 50)][:, 1:]
    data = Problem(x, np.asfortranarray(counts), np.ones(50), None, None, np.ones(logits))
    here = data.evaluate(np.linspace(0.5, 1, logits))
    assert here.status is Status.OK
    assert here.value < 0
    assert np.linalg.eigvalsh(-here.hessian).min() > -1e-9 * np.abs(here.hessian).max()
    assert (here.hessian.diagonal() < 0).all()


def test_no_digit_is_lost_where_the_data_are_separated() -> None:
    """At η = ±30 the residual is e^−30 and the value −e^−30, to full relative precision."""
    data = Problem(
        np.array([[1.0], [-1.0]]),
        np.array([[1.0], [0.0]]),
        np.ones(2),
        None,
        None,
        np.array([30.0]),
    )
    tail = np.exp(-30.0)
    for logits in (1, 3):
        counts = np.asfortranarray(np.hstack([data.counts, np.zeros((2, logits - 1))]))
        offset = np.zeros((2, logits))
        offset[:, 1:] = -600.0
        beta = np.zeros(logits)
        beta[0] = 30.0
        here = replace(data, counts=counts, offset=offset, beta=beta).evaluate()
        assert here.value == pytest.approx(-2 * np.log1p(tail), rel=1e-14)
        assert here.gradient[0] == pytest.approx(2 * tail / (1 + tail), rel=1e-14)
        assert here.hessian[0, 0] == pytest.approx(-2 * tail / (1 + tail) ** 2, rel=1e-14)


@pytest.mark.parametrize("logits", [1, 2])
@pytest.mark.parametrize("number", [np.nan, np.inf])
def test_parameters_that_are_not_finite(logits: int, number: float) -> None:
    data = problem(14, logits=logits)
    data.beta[0] = number
    assert data.evaluate().status is Status.NOT_FINITE


def test_no_columns() -> None:
    n = 5
    here = FixedLikelihood([], np.ones(n), np.full(n, 2.0), np.full(n, 0.3)).evaluate(np.zeros(0))
    assert here.value == pytest.approx(n * (0.3 - 2 * np.log1p(np.exp(0.3))))
    assert here.gradient.shape == (0,)
    assert here.hessian.shape == (0, 0)


# -- memory and input ---------------------------------------------------------------------------


def test_columns_are_read_in_place() -> None:
    column = np.linspace(-1, 1, 9)
    likelihood = FixedLikelihood([column], np.ones(9), np.full(9, 2.0))
    before = likelihood.evaluate(np.ones(1))
    column *= 3
    after = likelihood.evaluate(np.ones(1))
    assert after.hessian[0, 0] != before.hessian[0, 0]
    assert (
        after.value
        == likelihood.with_response(np.ones(9), np.full(9, 2.0)).evaluate(np.ones(1)).value
    )


def test_arrays_outlive_their_names() -> None:
    likelihood = FixedLikelihood([np.full(1000, 0.5)], np.ones(1000), np.full(1000, 2.0))
    junk = [np.full(1000, 1e300) for _ in range(50)]
    assert likelihood.evaluate(np.zeros(1)).value == pytest.approx(-2000 * np.log(2))
    assert len(junk) == 50


def test_read_only_columns() -> None:
    column = np.ones(4)
    column.flags.writeable = False
    assert FixedLikelihood([column], np.ones(4), np.ones(4)).n_parameters == 1


def test_lengths_must_agree() -> None:
    with pytest.raises(OptionError, match="column"):
        FixedLikelihood([np.ones(3)], np.ones(4), np.ones(4))
    with pytest.raises(OptionError, match="counts"):
        FixedLikelihood([np.ones(4)], np.ones(3), np.ones(4))
    with pytest.raises(OptionError, match="weights"):
        FixedLikelihood([np.ones(4)], np.ones(4), np.ones(4), weights=np.ones(5))
    with pytest.raises(OptionError, match="offset"):
        FixedLikelihood([np.ones(4)], np.ones(4), np.ones(4), offset=np.ones(5))
    with pytest.raises(ValueError, match="beta"):
        FixedLikelihood([np.ones(4)], np.ones(4), np.ones(4)).evaluate(np.zeros(2))


# -- start values -------------------------------------------------------------------------------


def test_ols_start_of_a_binary_response_is_the_linear_regression() -> None:
    data = problem(15, 80, 3, extras=False)
    expected = np.linalg.lstsq(data.x, data.counts[:, 0], rcond=None)[0]
    np.testing.assert_allclose(start_ols(data.likelihood()), expected, atol=1e-12)


def test_ols_start_weights_by_trials() -> None:
    data = replace(problem(16, 80, 3), trials=np.full(80, 7.0))
    assert data.weights is not None
    root = np.sqrt(data.weights)
    expected = np.linalg.lstsq(data.x * root[:, None], data.counts[:, 0] / 7 * root, rcond=None)[0]
    np.testing.assert_allclose(start_ols(data.likelihood()), expected, atol=1e-12)


def test_ols_start_of_a_multinomial_response_uses_empirical_logits() -> None:
    rng = np.random.default_rng(17)
    x = np.column_stack([np.ones(40), rng.normal(size=40)])
    counts = rng.integers(0, 9, size=(40, 3)).astype(float)
    trials = np.full(40, 24.0)
    offset = rng.normal(size=40)
    start = start_ols(FixedLikelihood(list(x.T.copy()), counts, trials, offset))
    z = np.log((counts + 0.5) / (24.5 - counts.sum(axis=1))[:, None]) - offset[:, None]
    expected = np.linalg.lstsq(x, z, rcond=None)[0]
    np.testing.assert_allclose(start, expected.T.ravel(), atol=1e-12)


def test_ols_start_with_columns_of_very_different_size_and_an_empty_one() -> None:
    rng = np.random.default_rng(18)
    x = np.column_stack([np.ones(50), 1e8 * rng.normal(size=50), np.zeros(50)])
    y = (rng.random(50) < 0.5).astype(float)
    start = start_ols(FixedLikelihood(list(x.T.copy()), y, np.ones(50)))
    expected = np.linalg.lstsq(x[:, :2] / [1, 1e8], y, rcond=None)[0]
    np.testing.assert_allclose(start * [1, 1e8, 1], [*expected, 0.0], atol=1e-12)


def test_starting_from_ols_or_zero_ends_at_the_same_maximum() -> None:
    for logits in (1, 3):
        likelihood = problem(19, 150, 3, logits).likelihood()
        zero = maximise(likelihood, np.zeros(3 * logits))
        ols = maximise(likelihood, start_ols(likelihood))
        assert zero.converged
        assert ols.converged
        np.testing.assert_allclose(ols.psi, zero.psi, atol=1e-7)
