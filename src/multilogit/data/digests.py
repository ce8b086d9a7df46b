"""Digests of data: the same in whatever parts and order the rows come.

A row is known by what it holds, and the response also by its place among the rows in use: the
same numbers in other rows are other data.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from multilogit.data.model_frame import ModelFrame, Response
from multilogit.lazy import pd

Hashes = NDArray[np.uint64]

_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)  # 2^64 / golden ratio
_SHIFT = np.uint64(29)


@dataclass(frozen=True, slots=True)
class RowDigest:
    """Two sums, modulo 2⁶⁴, of hashes of rows. They add."""

    rows: int = 0
    first: int = 0
    second: int = 0

    @classmethod
    def of(cls, columns: Iterable[NDArray[np.float64]], rows: int) -> RowDigest:
        """The digest of rows of these columns."""
        hashes = np.zeros(rows, dtype=np.uint64)
        for column in columns:
            hashes ^= (column + 0.0).view(np.uint64)  # -0.0 is 0.0
            _mix(hashes)
        first = int(hashes.sum())
        _mix(hashes)
        return cls(rows, first, int(hashes.sum()))

    def __add__(self, other: RowDigest) -> RowDigest:
        first = (self.first + other.first) % 2**64
        return RowDigest(self.rows + other.rows, first, (self.second + other.second) % 2**64)

    def text(self, names: object) -> str:
        """SHA-256 of the sums, and of what is the same for all rows."""
        content = repr((names, self.rows, self.first, self.second))
        return hashlib.sha256(content.encode("utf-8", "backslashreplace")).hexdigest()


def _mix(hashes: Hashes) -> None:
    hashes *= _MULTIPLIER
    hashes ^= hashes >> _SHIFT


def response_digest(response: Response, place: NDArray[np.int64] | int = 0) -> RowDigest:
    """That of a response: counts, trials, weights.

    ``place``: that of each row among all rows in use, or that of the first of successive rows.
    """
    n = response.trials.size
    where = np.arange(place, place + n) if isinstance(place, int) else place
    weights = np.ones(n) if response.weights is None else response.weights
    return RowDigest.of([where.astype(np.float64), *response.counts.T, response.trials, weights], n)


def model_digest(frame: ModelFrame, columns: NDArray[np.float64]) -> RowDigest:
    """That of all that a search depends on; ``columns``: those of X and Z, shape ``(u, n)``.

    Groups go by their labels, since every part numbers its own.
    """
    response = frame.response
    found = [*response.counts.T, response.trials, *columns]
    found += [array for array in (response.weights, frame.offset) if array is not None]
    for grouping in frame.groupings.values():
        found.append(_label_hashes(grouping.levels)[grouping.codes])
    return RowDigest.of(found, response.trials.size)


def _label_hashes(levels: NDArray[np.object_]) -> NDArray[np.float64]:
    """The bits of a hash of each label, as numbers that may be mixed."""
    hashes = pd.util.hash_array(np.array([str(level) for level in levels], dtype=object))
    return np.asarray(hashes >> np.uint64(11), dtype=np.float64)  # 53 bits: exact
