"""Quantile residuals and their tests: is the response distributed as the model says?

Given the random effects, responses are independent with known probabilities. At a draw of the
random effects given the data (:mod:`multilogit.assess.posterior_effects`) the same is true of
the observed response: its residuals are uniform and independent, and tests for independent rows
hold (:func:`residuals_given`). Or whole data sets are simulated with new random effects, as R's
DHARMa does (:func:`simulated_residuals`); rows of a group are then dependent, and p-values
compare the data with the simulated sets, of which, under the model, they might be one.

Tests of every category:

``uniformity``
    Kolmogorov–Smirnov distance of the residuals from the uniform distribution.
``dispersion``
    Pearson's Σ(y − m)²/v, m and v being mean and variance under the model; two-sided.
``outliers``
    Rows whose residual is nearer to 0 or 1 than 0.1 %, or than one simulation in so many.
``zeros``
    Rows without a count, two-sided; only where some row has more than one trial.
``fitted``
    Counts in tenths of the fitted probability, or of another variable: Σ_bins (Σ(y − m))²/Σv.
``random effects``
    Kolmogorov–Smirnov distance of Λ⁻¹b from the normal distribution (drawn effects only).

Parameters are taken as known, which makes the p-values a little too large.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from multilogit.assess.bins import equal_parts
from multilogit.assess.model import Model, reported_categories
from multilogit.assess.p_values import (
    binomial_upper_p,
    kolmogorov_smirnov,
    monte_carlo_p,
)
from multilogit.assess.posterior_effects import standardised
from multilogit.assess.residuals import all_counts, quantile_residuals
from multilogit.data.model_frame import Response
from multilogit.predict import Matrix, Vector

TAIL = 0.001
"""Residuals given the random effects that are nearer to 0 or 1 than this are outliers."""
BINS = 10
_CHUNK = 4096

Counts = NDArray[np.integer]


@dataclass(frozen=True, slots=True)
class Tested:
    """One test.

    Attributes
    ----------
    test
        Its name: see this module's description.
    of
        Category of the response, or number of the grouping factor.
    statistic, expected
        Its value, and its mean under the model; NaN where that is not known.
    p_value
        Small where the model is wrong.
    """

    test: str
    of: str | int
    statistic: float
    expected: float
    p_value: float


@dataclass(frozen=True, slots=True)
class Residuals:
    """Quantile residuals of every category, and their tests.

    Attributes
    ----------
    u
        Shape ``(n, K)``: K = 1 for two categories (that of the successes), otherwise J.
    fitted
        Shape ``(n, K)``: mean of the share y/n under the model.
    tests
        Category by category, then factor by factor.
    """

    u: Matrix
    fitted: Matrix
    tests: tuple[Tested, ...]


def residuals_given(
    model: Model,
    pi: Matrix,
    draws: Counts,
    rng: np.random.Generator,
    effects: Sequence[Matrix] = (),
    by: Vector | None = None,
) -> Residuals:
    """Residuals of independent rows at known probabilities, and their tests.

    Parameters
    ----------
    model
        Without weights (:func:`written_out`).
    pi
        Shape ``(n, J)``.
    draws
        Responses simulated at ``pi``: see :func:`stored`.
    rng
        Random numbers.
    effects
        Random effects of each factor at which ``pi`` was computed, to be tested as well.
    by
        Shape ``(n,)``: what rows are binned by; None: the fitted probability.
    """
    trials = model.response.trials
    u = quantiles_given(model, pi, rng)
    kept = reported_categories(model.n_categories)
    tests: list[Tested] = []
    for k, (category, observed, simulated) in enumerate(_categories(model, draws)):
        p = pi[:, kept[k]]
        D, p_value = kolmogorov_smirnov(u[:, k])
        tests.append(Tested("uniformity", category, D, np.nan, p_value))
        outside = int(np.count_nonzero(np.minimum(u[:, k], 1.0 - u[:, k]) < TAIL))
        p_value = binomial_upper_p(outside, trials.size, 2.0 * TAIL)
        expected = 2.0 * TAIL * trials.size
        tests.append(Tested("outliers", category, outside, expected, p_value))
        mean, variance = trials * p, trials * p * (1.0 - p)
        bins = equal_parts(p if by is None else by, BINS)
        tests += _count_tests(category, observed, simulated, mean, variance, trials, bins)
    for k, (factor, b) in enumerate(zip(model.factors, effects, strict=False)):
        D, p_value = kolmogorov_smirnov(ndtr(standardised(factor, b).ravel()))
        tests.append(Tested("random effects", k, D, np.nan, p_value))
    return Residuals(u, pi[:, kept], tuple(tests))


def quantiles_given(model: Model, pi: Matrix, rng: np.random.Generator) -> Matrix:
    """Residuals of independent rows at probabilities, shape ``(n, K)``: see :class:`Residuals`."""
    counts, trials = all_counts(model.response), model.response.trials
    columns = [
        quantile_residuals(counts[:, j], trials, pi[:, j], rng.random(trials.size))
        for j in reported_categories(model.n_categories)
    ]
    return np.column_stack(columns)


def simulated_residuals(
    model: Model,
    draws: Counts,
    rng: np.random.Generator,
    by: Vector | None = None,
) -> Residuals:
    """Residuals by rank among simulated data sets (Hartig's DHARMa), and their tests.

    ``draws`` (:func:`stored`) are data sets simulated with new random effects; otherwise as
    :func:`residuals_given`.
    """
    trials = model.response.trials
    u, fitted = [], []
    tests: list[Tested] = []
    for category, observed, simulated in _categories(model, draws):
        pool = np.vstack([observed[None, :], simulated])
        ranks = _random_ranks(pool, rng)
        u.append((ranks[0] + rng.random(trials.size)) / len(pool))
        distances = _distances(ranks)
        p_value = monte_carlo_p(distances[0], distances[1:], upper=True)
        expected = float(distances[1:].mean())
        tests.append(Tested("uniformity", category, distances[0], expected, p_value))
        outside = ((ranks == 0) | (ranks == len(simulated))).sum(axis=1)
        p_value = monte_carlo_p(outside[0], outside[1:], upper=True)
        tests.append(Tested("outliers", category, outside[0], outside[1:].mean(), p_value))
        mean, variance = pool.mean(axis=0), pool.var(axis=0)
        share = mean / np.maximum(trials, 1.0)
        fitted.append(share)
        bins = equal_parts(share if by is None else by, BINS)
        tests += _count_tests(category, observed, simulated, mean, variance, trials, bins)
    return Residuals(np.column_stack(u), np.column_stack(fitted), tuple(tests))


def stored(model: Model, draws: Iterable[Matrix], n: int) -> Counts:
    """n simulated responses, each as ``model.response.counts``, in as few bytes as will do.

    Shape ``(K, n, n_rows)``: the counts of the reported categories.
    """
    trials, kept = model.response.trials, reported_categories(model.n_categories)
    kind = np.min_scalar_type(int(trials.max(initial=0.0)))
    out = np.empty((len(kept), n, trials.size), dtype=kind)
    for s, draw in enumerate(draws):
        for k, j in enumerate(kept):
            out[k, s] = trials - draw.sum(axis=1) if j == 0 else draw[:, j - 1]
    return out


def _categories(model: Model, draws: Counts) -> Iterator[tuple[str, Counts, Counts]]:
    """Of each reported category: name, observed ``(n,)`` and simulated ``(S, n)`` counts."""
    observed = all_counts(model.response)
    for j, simulated in zip(reported_categories(model.n_categories), draws, strict=True):
        yield model.response.categories[j], observed[:, j].astype(draws.dtype), simulated


def _count_tests(
    category: str,
    observed: Counts,
    simulated: Counts,
    mean: Vector,
    variance: Vector,
    trials: Vector,
    bins: NDArray[np.intp],
) -> Iterator[Tested]:
    """Tests of statistics of the counts, among those of simulated counts."""
    n_bins = int(bins.max(initial=0)) + 1
    by_bin = np.maximum(np.bincount(bins, variance, n_bins), 1e-300)
    precision = np.divide(1.0, variance, out=np.zeros_like(variance), where=variance > 1e-12)
    informative = max(int(np.count_nonzero(precision)), 1)

    def dispersion(y: Counts) -> float:
        difference = y - mean  # einsum: on long vectors @ wakes every thread of the BLAS
        return float(np.einsum("i,i,i->", difference, difference, precision)) / informative

    def binned(y: Counts) -> float:
        return float(np.sum(np.bincount(bins, y - mean, n_bins) ** 2 / by_bin))

    def zeros(y: Counts) -> float:
        return float(np.count_nonzero(y == 0))

    tests = [("dispersion", dispersion, False), ("fitted", binned, True)]
    if trials.max(initial=0.0) > 1.0:
        tests.insert(1, ("zeros", zeros, False))
    for name, statistic, upper in tests:
        drawn = np.array([statistic(y) for y in simulated])
        value = statistic(observed)
        p_value = monte_carlo_p(value, drawn, upper=upper)
        yield Tested(name, category, value, float(drawn.mean()), p_value)


def _random_ranks(pool: Counts, rng: np.random.Generator) -> NDArray[np.int32]:
    """Rank of every data set in each row, from 0, ties broken at random; ``(S + 1, n)``."""
    ranks = np.empty(pool.shape, dtype=np.int32)
    every = np.arange(pool.shape[0], dtype=np.int32)[:, None]
    for start in range(0, pool.shape[1], _CHUNK):
        part = slice(start, start + _CHUNK)
        order = np.argsort(pool[:, part] + rng.random(pool[:, part].shape), axis=0)
        np.put_along_axis(ranks[:, part], order, every, axis=0)
    return ranks


def _distances(ranks: NDArray[np.int32]) -> Vector:
    """Kolmogorov–Smirnov distance of the ranks of each data set, shape ``(S + 1,)``."""
    S, n = ranks.shape
    counts = np.array([np.bincount(row, minlength=S) for row in ranks])
    gap = np.cumsum(counts, axis=1) / n - np.arange(1, S + 1) / S
    return np.asarray(np.abs(gap).max(axis=1))


def written_out(response: Response) -> NDArray[np.int64] | None:
    """Row numbers, each as often as its frequency weight says, without rows of no trials.

    None if weights are not whole numbers.
    """
    n = response.trials.size
    w = np.ones(n) if response.weights is None else response.weights
    if bool((w != np.floor(w)).any()):
        return None
    return np.repeat(np.arange(n), np.where(response.trials > 0.0, w, 0.0).astype(np.int64))
