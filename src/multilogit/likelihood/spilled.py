"""Parts of a likelihood in files: what is larger than memory.

The columns of every part are in files without a name in a scratch directory, laid out as the
core reads them, and mapped into memory. The system reads them when a part is evaluated; they are
let go afterwards, so that the process holds no more than one part, or as much as it may keep.
"""

from __future__ import annotations

import mmap
import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from multilogit.errors import DataError
from multilogit.evaluation import Matrix, Vector
from multilogit.likelihood.fixed import FixedLikelihood


class Spilled(Protocol):
    """A likelihood whose columns are in files."""

    @property
    def bytes(self) -> int:
        """What the columns take."""

    def release(self) -> None:
        """They take no memory until they are used again."""

    def prefetch(self) -> None:
        """Begin to read them: they are needed soon."""


@dataclass(frozen=True, slots=True)
class SpilledParts:
    """Parts in files, evaluated one after the other while the next one is being read.

    Attributes
    ----------
    likelihoods
        At least one.
    resident
        So many bytes of the parts stay in memory: those of the first ones.
    """

    likelihoods: Sequence[Spilled]
    resident: int = 0

    def call(self, method: str, /, *arguments: Any) -> list[Any]:
        """What ``method`` of every part returns, one part after the other."""
        found, bytes_so_far = [], 0
        for part, following in zip(self.likelihoods, [*self.likelihoods[1:], None], strict=True):
            if following is not None:
                following.prefetch()
            found.append(getattr(part, method)(*arguments))
            bytes_so_far += part.bytes
            if bytes_so_far > self.resident:
                part.release()
        return found


class SpilledFixed(FixedLikelihood):
    """A single-level likelihood that keeps its columns in a file.

    Parameters
    ----------
    columns, counts, trials, offset, weights, threads
        As those of :class:`~multilogit.likelihood.fixed.FixedLikelihood`; they are copied.
    scratch
        Directory of the file.

    Raises
    ------
    DataError
        If there is no room for it.
    """

    def __init__(
        self,
        columns: Sequence[Vector],
        counts: Matrix,
        trials: Vector,
        offset: Vector | Matrix | None,
        weights: Vector | None,
        threads: int,
        scratch: str,
    ) -> None:
        counts = np.asfortranarray(counts)
        given = [*columns, *counts.T, trials]
        if offset is not None:
            many = np.broadcast_to(offset[:, None] if offset.ndim == 1 else offset, counts.shape)
            given += list(many.T)
        given += [] if weights is None else [weights]
        self._map = _mapped(trials.size * 8 * len(given), scratch)
        stored = np.frombuffer(self._map, dtype=np.float64).reshape(trials.size, -1, order="F")
        for k, column in enumerate(given):
            stored[:, k] = column
        p, n_logits = len(columns), counts.shape[1]
        at = p + n_logits + 1
        super().__init__(
            [stored[:, k] for k in range(p)],
            stored[:, p : p + n_logits],
            stored[:, p + n_logits],
            None if offset is None else stored[:, at : at + n_logits],
            None if weights is None else stored[:, -1],
            threads,
        )
        self.release()

    @property
    def bytes(self) -> int:
        """What the columns take."""
        return len(self._map)

    def release(self) -> None:
        """They take no memory until they are used again."""
        if hasattr(mmap, "MADV_DONTNEED"):
            self._map.madvise(mmap.MADV_DONTNEED)

    def prefetch(self) -> None:
        """Begin to read them."""
        if hasattr(mmap, "MADV_WILLNEED"):
            self._map.madvise(mmap.MADV_WILLNEED)


def _mapped(size: int, scratch: str) -> mmap.mmap:
    """A new file without a name, its room on the disk reserved."""
    with tempfile.TemporaryFile(dir=scratch) as file:
        try:
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(file.fileno(), 0, size)
            else:
                file.truncate(size)
        except OSError as error:
            raise DataError(
                f"No room for {size} bytes in the scratch directory {scratch!r}: {error}."
            ) from None
        return mmap.mmap(file.fileno(), size)
