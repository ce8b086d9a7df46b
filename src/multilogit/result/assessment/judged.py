"""Probabilities and what happened: of the rows of a fit, or of new data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import get_args

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from multilogit.assess.clusters import Clusters, clusters_of, outermost
from multilogit.assess.model import reported_categories
from multilogit.assess.residuals import all_counts
from multilogit.checks import check_choice
from multilogit.data.columns import Column, Numeric, factor_of
from multilogit.data.ingest import check_aligned, read_table
from multilogit.errors import DataError, OptionError
from multilogit.predict import Level
from multilogit.result.arrays.assessment_model import fitted_probabilities
from multilogit.result.arrays.user_rows import trials_of
from multilogit.result.fields.measures import Measures
from multilogit.result.fields.training import Labels


@dataclass(frozen=True, slots=True)
class Judged:
    """Probabilities and what happened.

    Attributes
    ----------
    pi, counts
        Shape ``(n, J)``; counts are weighted.
    categories
        J names.
    clusters
        Rows without a common level are independent; None: all rows are.
    """

    pi: NDArray[np.float64]
    counts: NDArray[np.float64]
    categories: tuple[str, ...]
    clusters: Clusters | None = None

    def chosen(self) -> list[int]:
        """The categories to report: that of the successes, or all of more than two."""
        return reported_categories(len(self.categories))

    @classmethod
    def of(
        cls,
        pi: NDArray[np.float64],
        counts: NDArray[np.float64],
        categories: tuple[str, ...],
        clusters: Clusters | None,
    ) -> Judged:
        """Without the rows that lack a value or have no trials: they judge nothing."""
        kept = np.isfinite(pi).all(axis=1) & (counts.sum(axis=1) > 0.0)  # false for NaN
        if clusters is not None:
            clusters = tuple(codes[kept] for codes in clusters)
        return cls(pi[kept], counts[kept], categories, clusters)

    @property
    def trials(self) -> NDArray[np.float64]:
        """Weighted trials of every row."""
        return np.asarray(self.counts.sum(axis=1))


def judged(fit: Measures, level: Level, what: str) -> Judged:
    """The fit's probabilities of its own rows, and their response."""
    check_choice("level", level, get_args(Level))
    response = fit._rows_for(what).response
    counts = all_counts(response, weighted=True)
    # Given their random effects all rows are independent; averaged over these, groups are.
    averaged = fit.random and level != "conditional"
    clusters = clusters_of(fit.frame) if averaged else None
    return Judged.of(fitted_probabilities(fit, level), counts, response.categories, clusters)


def judged_new(
    fit: Measures,
    pi: pd.Series | pd.DataFrame,
    level: Level,
    new: object,
    y: object,
    trials: object,
) -> Judged:
    """Predictions of new data and their response; rows with missing values are left out.

    Raises
    ------
    OptionError
        No ``y``.
    DataError
        ``y`` or ``trials`` do not fit the data, or ``y`` has another category.
    """
    if y is None:
        raise OptionError("y= is needed with new=: the response of the new data.")
    values = np.asarray(pi, dtype=np.float64)
    values = np.column_stack([1.0 - values, values]) if values.ndim == 1 else values
    labels = fit.labels
    counts = _new_counts(_response_column(new, y), new, y, trials, labels)
    if counts.shape != values.shape:
        raise DataError(f"y= has {len(counts)} values; new= has {len(values)} rows.")
    clusters = None if level == "conditional" else _new_clusters(fit, new)
    made = Judged.of(values, counts, labels.categories, clusters)
    if not made.pi.size:
        raise DataError("No row of new= is complete: nothing can be judged.")
    return made


def _new_clusters(fit: Measures, new: object) -> Clusters | None:
    """Clusters of new data, as :func:`clusters_of`; None where they lack a grouping factor."""
    table = read_table(new)
    groups = [[column.text for column in bar.group.columns] for bar in fit.design.spec.bars]
    if not groups or any(name not in table for names in groups for name in names):
        return None
    codes = []
    for names in groups:
        parts = np.column_stack([factor_of(table.column(name)).codes for name in names])
        codes.append(np.unique(parts, axis=0, return_inverse=True)[1].astype(np.int32).ravel())
    return outermost(codes)


def _response_column(new: object, y: object) -> Column:
    """A column of the new data by its name, or values."""
    if isinstance(y, str):
        table = read_table(new)
        if y not in table:
            raise DataError(f"y={y!r}: the new data have no such column.")
        return table.column(y)
    if isinstance(new, pd.DataFrame):
        check_aligned(y, new.index, "y=")
    return read_table({"y=": y}).column("y=")


def _new_counts(
    column: Column, new: object, y: object, trials: object, labels: Labels
) -> NDArray[np.float64]:
    """Counts of every category: of labels, of 0 and 1, or of successes out of trials."""
    if trials is not None:
        return _counts_of_successes(column, new, y, trials, labels)
    categories = labels.categories
    found = factor_of(column)
    texts = found.labels()
    unknown = [text for text in texts if text not in categories]
    if not unknown:
        own = np.array([*(categories.index(text) for text in texts), -1])[found.codes]
    elif isinstance(column, Numeric) and len(categories) == 2:
        own = _zero_or_one(column.floats())
    else:
        known = ", ".join(map(repr, categories))
        raise DataError(f"y= has the value {unknown[0]!r}; the categories of the fit are {known}.")
    matches = own[:, None] == np.arange(len(categories))
    counts: NDArray[np.float64] = matches.astype(np.float64)
    counts[own < 0] = np.nan
    return counts


def _zero_or_one(values: NDArray[np.float64]) -> NDArray[np.int64]:
    """Codes of the second category as 1; −1 where a value is missing."""
    known = ~np.isnan(values)
    if not np.isin(values[known], (0.0, 1.0)).all():
        raise DataError(
            "y= must be a category of the fit, or 0 and 1; counts must lie between 0 and trials=."
        )
    return np.where(known, values, -1.0).astype(np.int64)


def _counts_of_successes(
    column: Column, new: object, y: object, trials: object, labels: Labels
) -> NDArray[np.float64]:
    """Successes are the second category, unless the column is named as the first."""
    if not isinstance(column, Numeric) or len(labels.categories) > 2:
        raise OptionError("trials= goes with y= that counts successes.")
    success, out_of = column.floats(), trials_of(new, trials)
    if success.shape != out_of.shape:
        raise DataError(f"y= has {success.size} values; new= has {out_of.size} rows.")
    if np.any((success < 0) | (success > out_of)):
        raise DataError("y= must lie between 0 and trials=.")
    counts = np.column_stack([out_of - success, success])
    return counts[:, ::-1] if isinstance(y, str) and y == labels.categories[0] else counts
