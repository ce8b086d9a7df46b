"""What a result knows of the data it was fitted to: with the data, and without.

A fresh fit has its data and computes from them what it is asked for. A saved model has names,
levels, counts and constants of the log-likelihood, but no row. A result sees both through the
same attributes (:class:`Training`); only :attr:`Training.frame` tells them apart.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from multilogit.data.digests import response_digest
from multilogit.data.model_frame import Family, ModelFrame
from multilogit.data.populations import log_coefficient
from multilogit.errors import DataError, DataNotSavedError
from multilogit.estimate import null_loglik, saturated_loglik


@dataclass(frozen=True, slots=True)
class Labels:
    """How a model calls its parts.

    Attributes
    ----------
    family
        ``"binomial"`` or ``"multinomial"``.
    response
        The left-hand side as the user wrote it.
    categories
        J labels; the baseline first. For a binary response ``(failure, success)``.
    columns
        p names of the columns of X, e.g. ``"urbanY"``.
    terms
        For each column the term of the formula that it belongs to, e.g. ``"urban"``.
    levels
        Per grouping factor: its levels, in the order of the conditional modes.
    """

    family: Family
    response: str
    categories: tuple[str, ...]
    columns: tuple[str, ...]
    terms: tuple[str, ...]
    levels: Mapping[str, NDArray[np.object_]]

    @classmethod
    def of(cls, frame: ModelFrame) -> Labels:
        """The labels of a frame."""
        response, fixed = frame.response, frame.fixed
        levels = {name: grouping.levels for name, grouping in frame.groupings.items()}
        return cls(
            response.family, response.name, response.categories, fixed.names, fixed.terms, levels
        )

    @property
    def n_logits(self) -> int:
        """C = J − 1."""
        return len(self.categories) - 1


class Training(Protocol):
    """What a result asks about its data."""

    @property
    def labels(self) -> Labels:
        """Names and levels."""

    @property
    def frame(self) -> ModelFrame:
        """The data themselves; raises :class:`DataNotSavedError` where there are none."""

    @property
    def n_rows(self) -> int:
        """Rows that were used."""

    @property
    def n_obs(self) -> int:
        """Rows that carry information: weight × trials > 0."""

    @property
    def n_trials(self) -> float:
        """Σ weight × trials."""

    @property
    def log_coefficient(self) -> float:
        """Log of the binomial or multinomial coefficients."""

    @property
    def null_loglik(self) -> float:
        """ℓ of the intercept (or the offset) alone, without coefficients."""

    @property
    def saturated_loglik(self) -> float:
        """ℓ where every row has its own probabilities, without coefficients."""

    @property
    def digest(self) -> str:
        """Digest of the response, row by row: equal for fits to the same observations."""


@dataclass(frozen=True, eq=False)
class TrainingData:
    """The data of a fresh fit; everything else is computed when it is first asked for.

    Attributes
    ----------
    frame
        The data as estimation saw them.
    """

    frame: ModelFrame

    @cached_property
    def labels(self) -> Labels:
        return Labels.of(self.frame)

    @property
    def n_rows(self) -> int:
        return int(self.frame.response.trials.shape[0])

    @property
    def n_obs(self) -> int:
        return int(np.count_nonzero(self.frame.response.informative()))

    @property
    def n_trials(self) -> float:
        response = self.frame.response
        trials = response.trials if response.weights is None else response.trials * response.weights
        return float(trials.sum())

    @cached_property
    def log_coefficient(self) -> float:
        return log_coefficient(self.frame.response)

    @cached_property
    def null_loglik(self) -> float:
        return null_loglik(self.frame)

    @cached_property
    def saturated_loglik(self) -> float:
        return saturated_loglik(self.frame.response)

    @cached_property
    def digest(self) -> str:
        return self.digest_from(self.frame.response.categories)

    def digest_from(self, categories: tuple[str, ...]) -> str:
        """The digest of the same observations with the same categories in another order."""
        response = self.frame.response
        if categories != response.categories:
            counts = response.counts
            every = np.column_stack([response.trials - counts.sum(axis=1), counts])
            order = [response.categories.index(category) for category in categories[1:]]
            response = replace(response, counts=every[:, order])
        return response_digest(response).text(categories)


@dataclass(frozen=True, eq=False)
class TrainingWithoutColumns:
    """The data of a fit with a factor of very many levels, which has codes and no columns.

    Attributes
    ----------
    data
        The response, the codes, and the columns that there are.
    labels
        Names of all coefficients, those of the levels among them.
    """

    data: TrainingData
    labels: Labels

    @property
    def frame(self) -> ModelFrame:
        raise DataNotSavedError

    @property
    def n_rows(self) -> int:
        return self.data.n_rows

    @property
    def n_obs(self) -> int:
        return self.data.n_obs

    @property
    def n_trials(self) -> float:
        return self.data.n_trials

    @property
    def log_coefficient(self) -> float:
        return self.data.log_coefficient

    @property
    def null_loglik(self) -> float:
        return self.data.null_loglik

    @property
    def saturated_loglik(self) -> float:
        return self.data.saturated_loglik

    @property
    def digest(self) -> str:
        return self.data.digest


@dataclass(frozen=True, slots=True)
class TrainingRecord:
    """What a saved model keeps of its data: the attributes of :class:`Training`, no rows."""

    labels: Labels
    n_rows: int
    n_obs: int
    n_trials: float
    log_coefficient: float
    null_loglik: float
    saturated_loglik: float
    digest: str

    @classmethod
    def of(cls, training: Training) -> TrainingRecord:
        """The record of any training, everything computed."""
        return cls(
            labels=training.labels,
            n_rows=training.n_rows,
            n_obs=training.n_obs,
            n_trials=training.n_trials,
            log_coefficient=training.log_coefficient,
            null_loglik=training.null_loglik,
            saturated_loglik=training.saturated_loglik,
            digest=training.digest,
        )

    @property
    def frame(self) -> ModelFrame:
        raise DataNotSavedError


@dataclass(frozen=True, eq=False)
class TrainingFiles(TrainingRecord):
    """The data of a fit to files of which no copy is kept: read again where they are needed.

    Attributes
    ----------
    read
        Returns them as estimation saw them.
    """

    read: Callable[[], ModelFrame]

    @classmethod
    def again(cls, record: TrainingRecord, read: Callable[[], ModelFrame]) -> TrainingFiles:
        """The data of a record, and how to read them."""
        return cls(**{f.name: getattr(record, f.name) for f in fields(record)}, read=read)

    @cached_property
    def frame(self) -> ModelFrame:
        """The data; raises ``DataError`` where the files have changed since the fit."""
        frame = self.read()
        if TrainingData(frame).digest != self.digest:
            raise DataError("The files have changed since the fit: fit the model again.")
        return frame
