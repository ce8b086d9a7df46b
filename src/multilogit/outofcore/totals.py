"""Sums over the rows of a model that are taken while the rows pass by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import reduce
from operator import add
from typing import Any

import numpy as np
from numpy.typing import NDArray

from multilogit.data.digests import RowDigest, model_digest, response_digest
from multilogit.data.model_frame import ModelFrame, Response
from multilogit.data.populations import log_coefficient
from multilogit.estimate import saturated_loglik
from multilogit.likelihood.fixed import FixedLikelihood

Floats = NDArray[np.float64]


_CLEAR = 1e-6
"""Part of a column's sum of squares that the columns before it leave: above, products do."""

_SUMS = (
    *("n_rows", "n_obs", "trials", "counts", "log_coefficient", "saturated_loglik"),
    *("U_trials", "U_counts", "offset_trials", "offset_counts", "response", "model"),
)


@dataclass
class Totals:
    """What is added up over all rows.

    Attributes
    ----------
    n_rows, n_obs
        Rows, and those with weight × trials > 0.
    trials, counts
        Σ n and Σ y, shape ``(C,)``; frequency weights multiplied in, here and below.
    largest
        The largest number of trials of a row, without weights.
    log_coefficient, saturated_loglik
        As in :class:`~multilogit.result.fields.training.Training`.
    R
        Upper triangle with U'U = R'R, U the different columns of X and Z, without weights: all
        inner products of columns, in full precision.
    U_trials, U_counts
        U'n, shape ``(u,)``, and U'y, shape ``(u, C)``.
    offset_trials, offset_counts
        o'n and o'y for the offset o.
    response, model
        Digests of the response, and of all that a search depends on.
    """

    n_rows: int = 0
    n_obs: int = 0
    trials: float = 0.0
    counts: Any = 0.0
    largest: float = 0.0
    log_coefficient: float = 0.0
    saturated_loglik: float = 0.0
    R: Floats | None = None
    U_trials: Any = 0.0
    U_counts: Any = 0.0
    offset_trials: float = 0.0
    offset_counts: Any = 0.0
    response: RowDigest = field(default_factory=RowDigest)
    model: RowDigest = field(default_factory=RowDigest)

    def add(self, frame: ModelFrame, U: Floats, place: NDArray[np.int64] | int) -> None:
        """Add the rows of a frame.

        ``U``: its different columns, shape ``(u, n)``; ``place``: as that of
        :func:`~multilogit.data.digests.response_digest`.
        """
        response = frame.response
        counts, trials = response.weighted()
        self.n_rows += trials.size
        self.n_obs += int(np.count_nonzero(trials > 0.0))
        self.trials += float(trials.sum())
        self.counts = self.counts + counts.sum(axis=0)
        self.largest = max(self.largest, float(response.trials.max(initial=0.0)))
        self.log_coefficient += log_coefficient(response)
        self.saturated_loglik += saturated_loglik(response)
        gram, cross = _products(U, counts, trials)
        above = [] if self.R is None else [self.R]
        self.R = np.asarray(np.linalg.qr(np.vstack([*above, _triangle(U, gram)]), mode="r"))
        self.U_trials = self.U_trials + cross[-1]
        self.U_counts = self.U_counts + cross[:-1].T
        self.offset_counts = self.offset_counts + np.zeros(counts.shape[1])
        if frame.offset is not None:
            self.offset_trials += float(frame.offset @ trials)
            self.offset_counts += frame.offset @ counts
        self.response = self.response + response_digest(response, place)
        self.model = self.model + model_digest(frame, U)

    @classmethod
    def together(cls, parts: Sequence[Totals]) -> Totals:
        """The sums over the rows of several parts, in their order."""
        every = cls()
        for name in _SUMS:
            setattr(every, name, reduce(add, (getattr(part, name) for part in parts)))
        every.largest = max(part.largest for part in parts)
        factors = [part.R for part in parts if part.R is not None]
        every.R = np.asarray(np.linalg.qr(np.vstack(factors), mode="r"))
        return every

    def digest(self, categories: tuple[str, ...]) -> str:
        """Digest of the response, in whatever order the rows came: that of a fit in memory."""
        return self.response.text(categories)

    def as_response(self, like: Response) -> Response:
        """One row that holds all counts and trials."""
        return Response(
            like.family,
            like.name,
            like.categories,
            np.asfortranarray(np.reshape(self.counts, (1, -1))),
            np.array([self.trials]),
        )


def _products(U: Floats, counts: Floats, trials: Floats) -> tuple[Floats, Floats]:
    """U'U, shape ``(u, u)``, and [y n]'U, shape ``(C + 1, u)``.

    By the core: a BLAS would wake all its threads for every chunk.
    """
    rows = FixedLikelihood(tuple(U), counts, trials)
    z = np.asfortranarray(np.column_stack([counts, trials]))
    return rows.regression(z, np.ones(trials.size))


def _triangle(U: Floats, gram: Floats) -> Floats:
    """R with U'U = R'R: from the products where they show that columns are far from dependent."""
    size = np.sqrt(gram.diagonal())
    if size.all():
        try:
            R = np.linalg.cholesky(gram / np.outer(size, size)).T
        except np.linalg.LinAlgError:
            R = np.zeros_like(gram)
        if (R.diagonal() ** 2 > _CLEAR).all():
            return np.asarray(R * size)
    return np.asarray(np.linalg.qr(U.T, mode="r"))
