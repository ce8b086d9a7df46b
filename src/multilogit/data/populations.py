"""Populations: rows that the model cannot tell apart, counted together.

Rows of equal covariates (fixed and random columns, groups, offset) form a population
(Czepiel, "Maximum likelihood estimation of logistic regression models", section 2.1). Their
counts and trials add up, and the likelihood changes by its constant alone, which
:func:`log_coefficient` evaluates on the original rows (eq. 39).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from multilogit.data.model_frame import FixedColumns, ModelFrame, Response
from multilogit.lazy import pd, special

Index = NDArray[np.int64]

MIN_ROWS = 1_000
"""Fewer rows than this are fitted faster than they are collapsed."""
FEW = 5_000
"""As many values of log Γ are computed in half a millisecond, one after the other."""
SAMPLE = 4_096
WORTHWHILE = 0.5
"""Collapse where it leaves at most this share of the rows."""

_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)  # 2^64 / golden ratio
_SHIFT = np.uint64(29)


def log_coefficient(response: Response) -> float:
    """Log of the binomial or multinomial coefficients, Σᵢ wᵢ[log Γ(nᵢ+1) − Σⱼ log Γ(yᵢⱼ+1)].

    Evaluate it on the original rows, before :func:`collapse`: it is the part of the
    log-likelihood that populations do not keep. Source: Czepiel, eq. 39.

    Parameters
    ----------
    response
        Counts of shape ``(n, J - 1)`` out of ``trials``, shape ``(n,)``.
    """
    trials = response.trials
    if trials.size == 0 or float(trials.max()) <= 1.0:
        return 0.0  # log Γ(1) = log Γ(2) = 0
    terms = _log_gamma(trials + 1.0)
    baseline = trials.copy()
    for k in range(response.counts.shape[1]):
        column = response.counts[:, k]
        terms -= _log_gamma(column + 1.0)
        baseline -= column
    terms -= _log_gamma(baseline + 1.0)
    return float(terms.sum() if response.weights is None else terms @ response.weights)


def _log_gamma(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """log Γ(x): of few values without SciPy, whose import takes longer than their fit."""
    if x.size > FEW:
        return np.asarray(special.gammaln(x))
    return np.fromiter(map(math.lgamma, x.tolist()), np.float64, x.size)


def collapse_pays(frame: ModelFrame) -> bool:
    """Whether :func:`collapse` leaves at most half of the rows, judged from a sample.

    Among m sampled rows of a frame with K populations about m²/2K pairs coincide; continuous
    covariates therefore show themselves at once.
    """
    n = frame.response.trials.shape[0]
    if n < MIN_ROWS:
        return False
    if n <= SAMPLE:
        return bool(_n_distinct(_hash(frame, None)) <= WORTHWHILE * n)
    sample = np.random.default_rng(0).integers(0, n, SAMPLE)
    return all(
        _populations(_n_distinct(some), SAMPLE) <= WORTHWHILE * n for some in _hashes(frame, sample)
    )


def collapse(frame: ModelFrame) -> tuple[ModelFrame, Index]:
    """Merge the rows of each population: weighted counts and trials add up.

    The log-likelihood of the result differs from the original's by a constant only (the
    coefficients of :func:`log_coefficient`), and with it no derivative.

    Parameters
    ----------
    frame
        Any model frame.

    Returns
    -------
    collapsed
        One row per population, in order of first appearance, without weights; ``rows`` are
        the user's row numbers of the first member of each.
    population
        Shape ``(n,)``: the population of each original row.
    """
    population, first = _populations_of(frame)
    response = _summed(frame.response, population, first.shape[0])
    fixed = FixedColumns(_at(frame.fixed.columns, first), frame.fixed.names, frame.fixed.terms)
    random = tuple(replace(block, columns=_at(block.columns, first)) for block in frame.random)
    groupings = {
        name: replace(grouping, codes=grouping.codes[first])
        for name, grouping in frame.groupings.items()
    }
    collapsed = replace(
        frame,
        response=response,
        fixed=fixed,
        random=random,
        groupings=groupings,
        offset=None if frame.offset is None else frame.offset[first],
        rows=first if frame.rows is None else frame.rows[first],
    )
    return collapsed, population


def _at(columns: tuple[NDArray[np.float64], ...], rows: Index) -> tuple[NDArray[np.float64], ...]:
    return tuple(column[rows] for column in columns)


def _summed(response: Response, population: Index, n: int) -> Response:
    counts = np.empty((n, response.counts.shape[1]), order="F")
    for k in range(counts.shape[1]):
        counts[:, k] = _sums(response.counts[:, k], response.weights, population, n)
    trials = _sums(response.trials, response.weights, population, n)
    return replace(response, counts=counts, trials=trials, weights=None)


def _sums(
    values: NDArray[np.float64], weights: NDArray[np.float64] | None, population: Index, n: int
) -> NDArray[np.float64]:
    weighted = values if weights is None else values * weights
    sums: NDArray[np.float64] = np.bincount(population, weights=weighted, minlength=n)  # type: ignore[assignment]
    return sums


# --- which rows are equal --------------------------------------------------------------------


def _covariates(frame: ModelFrame) -> Iterator[NDArray[Any]]:
    """Every array that tells rows apart; each distinct array once, constants left out."""
    seen: set[int] = set()
    arrays: list[NDArray[Any]] = [*frame.fixed.columns]
    for block in frame.random:
        arrays += block.columns
    arrays += [grouping.codes for grouping in frame.groupings.values()]
    if frame.offset is not None:
        arrays.append(frame.offset)
    for name, array in zip([*frame.fixed.names, *[""] * len(arrays)], arrays, strict=False):
        if id(array) not in seen and name != "(Intercept)":
            seen.add(id(array))
            yield array


def _hash(frame: ModelFrame, rows: Index | None) -> NDArray[np.uint64]:
    """A 64-bit hash of each row."""
    *_, whole = _hashes(frame, rows)
    return whole


def _hashes(frame: ModelFrame, rows: Index | None) -> Iterator[NDArray[np.uint64]]:
    """Hashes of each row by its first one, two, four, ... columns, and by all of them.

    Multiply, rotate, xor, column by column.
    """
    n = frame.response.trials.shape[0] if rows is None else rows.shape[0]
    out = np.zeros(n, dtype=np.uint64)
    for k, array in enumerate(_covariates(frame)):
        if k.bit_count() == 1:
            yield out
        values = array if rows is None else array[rows]
        if values.dtype.kind == "f":
            bits = (values + 0.0).view(np.uint64)  # + 0.0: the two zeros are one
        else:
            bits = values.astype(np.uint64)
        out ^= bits
        out *= _MULTIPLIER
        out ^= out >> _SHIFT
    yield out


def _populations_of(frame: ModelFrame) -> tuple[Index, Index]:
    """Population of each row, and the first row of each population.

    Rows are compared by hash; every covariate is then compared with that of its population's
    first row, so that the answer is exact. (Two populations of one hash, about n²/2^65 to be
    expected, are told apart by their values.)
    """
    population, first = _codes(_hash(frame, None))
    for array in _covariates(frame):
        different = array != array[first][population]
        if different.any():
            own = pd.factorize(array)[0].astype(np.int64)
            population, first = _codes(population * (int(own.max()) + 1) + own)
    return population, first


def _codes(key: NDArray[Any]) -> tuple[Index, Index]:
    codes, uniques = pd.factorize(key)
    codes = codes.astype(np.int64, copy=False)
    first = np.empty(len(uniques), dtype=np.int64)
    first[codes[::-1]] = np.arange(codes.shape[0] - 1, -1, -1)  # the last write wins
    return codes, first


def _n_distinct(values: NDArray[np.uint64]) -> int:
    ordered = np.sort(values)  # for a sample faster than hashing
    return 1 + int(np.count_nonzero(ordered[1:] != ordered[:-1]))


def _populations(distinct: int, sampled: int) -> float:
    """K from D = K(1 − (1 − 1/K)^m), the expected number of distinct values among m."""
    if distinct >= sampled:
        return np.inf
    low, high = float(distinct), float(sampled) ** 2
    for _ in range(60):
        middle = np.sqrt(low * high)
        expected = -middle * np.expm1(sampled * np.log1p(-1.0 / middle)) if middle > 1 else 1.0
        low, high = (middle, high) if expected < distinct else (low, middle)
    return float(high)
