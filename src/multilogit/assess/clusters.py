"""Rows that are not independent, since they share levels of grouping factors; sums over them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from multilogit.data.model_frame import ModelFrame
from multilogit.likelihood.nested import is_nested
from multilogit.predict import Vector

Codes = NDArray[np.int64]
Clusters = tuple[Codes, ...]
"""Level of every row, shape ``(n,)``, for each factor: rows without a common level are
independent."""


def clusters_of(frame: ModelFrame) -> Clusters:
    """Factors of which rows that share no level share no random effect; rows themselves if none.

    A factor that is nested in another one is not among them.
    """
    if not frame.random:
        return (np.arange(frame.response.trials.shape[0]),)
    return outermost(list(frame.codes.values()))


def outermost(factors: Sequence[NDArray[np.int32]]) -> Clusters:
    """Those of some factors that are not nested in another one."""
    kept: list[NDArray[np.int32]] = []
    for codes in sorted(factors, key=lambda codes: int(codes.max(initial=0))):
        if not any(is_nested(codes, other) for other in kept):
            kept.append(codes)
    return tuple(codes.astype(np.int64) for codes in kept)


def clustered_variance(parts: Vector, clusters: Clusters) -> float:
    """Variance of Σ parts, each of mean 0, estimated from them.

    Σ_g (Σ_{i∈g} part_i)² · G/(G − 1) for one factor; for several, which cross, that of each
    factor minus that of the combinations of their levels, and so on (Cameron, Gelbach & Miller
    2011, *Journal of Business & Economic Statistics* 29, 238–249). Where that difference is not
    positive: the largest of the factors alone.

    Parameters
    ----------
    parts
        Shape ``(n,)``.
    clusters
        At least one factor.
    """
    total = 0.0
    for size in range(1, len(clusters) + 1):
        for some in combinations(clusters, size):
            total -= (-1.0) ** size * _one_way(parts, _cells(some))
    return total if total > 0.0 else max(_one_way(parts, codes) for codes in clusters)


def _one_way(parts: Vector, codes: Codes) -> float:
    sums = np.bincount(codes, parts)
    G = int(np.count_nonzero(np.bincount(codes)))
    return float(np.sum(sums**2)) * G / (G - 1.0) if G > 1 else np.nan


def _cells(clusters: Sequence[Codes]) -> Codes:
    """The combinations of levels that occur, from 0."""
    codes = clusters[0]
    for other in clusters[1:]:
        joint = codes * (int(other.max(initial=0)) + 1) + other
        codes = np.unique(joint, return_inverse=True)[1].astype(np.int64)
    return codes
