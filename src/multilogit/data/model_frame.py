"""The hand-over between formula and data on one side and estimation on the other.

A :class:`ModelFrame` is all that estimation ever sees of the user's data: plain columns of
float64, integer group codes, names. It is built by :func:`multilogit.formula.build_frame`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from multilogit.errors import Diagnostic
from multilogit.lazy import pd

if TYPE_CHECKING:
    import pandas as pd

Column = NDArray[np.float64]
Family = Literal["binomial", "multinomial"]


@dataclass(frozen=True, slots=True)
class Response:
    """The response in its one internal form: counts out of trials.

    Attributes
    ----------
    family
        ``"binomial"`` for two categories, ``"multinomial"`` for more.
    name
        The left-hand side as the user wrote it.
    categories
        Labels; the baseline (reference) category first. For a binary response
        ``(failure, success)``.
    counts
        Shape ``(n, J - 1)``, F-ordered: counts of the non-baseline categories.
    trials
        Shape ``(n,)``: n_i, the number of observations behind the row.
    weights
        Shape ``(n,)`` or ``None``: frequency weights; weight 2 is the row twice.
    """

    family: Family
    name: str
    categories: tuple[str, ...]
    counts: NDArray[np.float64]
    trials: Column
    weights: Column | None = None

    def weighted(self) -> tuple[NDArray[np.float64], Column]:
        """Counts, F-ordered, and trials with the frequency weights multiplied in."""
        w = self.weights
        if w is None:
            return self.counts, self.trials
        return np.asfortranarray(self.counts * w[:, None]), self.trials * w

    def informative(self) -> NDArray[np.bool_]:
        """Rows that carry information, shape ``(n,)``: weight × trials > 0."""
        rows = self.trials > 0.0
        return rows if self.weights is None else rows & (self.weights > 0.0)


@dataclass(frozen=True, slots=True)
class Levels:
    """A factor of very many levels, without the columns that it stands for.

    Attributes
    ----------
    term
        As in the formula.
    codes
        Shape ``(n,)``, int32: the level of each row.
    names
        What the indicator column of each level is called, the first one included.
    coded_fully
        Whether every level has a coefficient; False: treatment contrasts, the first level is
        the reference, and there is an intercept.
    column
        Where its columns would stand: before so many of the others.
    """

    term: str
    codes: NDArray[np.int32]
    names: tuple[str, ...]
    coded_fully: bool
    column: int


@dataclass(frozen=True, slots=True)
class FixedColumns:
    """The design matrix X of the fixed effects, column by column.

    Attributes
    ----------
    columns
        p contiguous float64 arrays of shape ``(n,)``. A column may be the user's own
        memory, read in place: never write to it.
    names
        p names, as R writes them where R has one: ``"(Intercept)"``, ``"urbanY"``.
    terms
        For each column the formula term it belongs to, e.g. ``"urban"``.
    levels
        A factor that has no columns because they would be too many.
    """

    columns: tuple[Column, ...]
    names: tuple[str, ...]
    terms: tuple[str, ...]
    levels: Levels | None = None

    def matrix(self) -> NDArray[np.float64]:
        """X as one ``(n, p)`` F-ordered array (a copy)."""
        n = self.columns[0].shape[0] if self.columns else 0
        out = np.empty((n, len(self.columns)), order="F")
        for k, column in enumerate(self.columns):
            out[:, k] = column
        return out

    def keep(self, indices: Sequence[int]) -> FixedColumns:
        """Only the columns ``indices``, in that order."""
        return FixedColumns(
            tuple(self.columns[k] for k in indices),
            tuple(self.names[k] for k in indices),
            tuple(self.terms[k] for k in indices),
            self.levels,
        )


@dataclass(frozen=True, slots=True)
class RandomBlock:
    """One bar term ``(effects | group)``: effects correlated with each other.

    ``(1 + x || g)`` arrives as two blocks on the same group, neither of them ``correlated``.

    Attributes
    ----------
    group
        Name of the grouping factor.
    columns, names
        q columns of Z and their names, as in :class:`FixedColumns`.
    correlated
        False for ``||``: effects on different logits of a multinomial model are independent as
        well.
    """

    group: str
    columns: tuple[Column, ...]
    names: tuple[str, ...]
    correlated: bool = True

    def keep(self, indices: Sequence[int]) -> RandomBlock:
        """Only the columns ``indices``, in that order."""
        return replace(
            self,
            columns=tuple(self.columns[k] for k in indices),
            names=tuple(self.names[k] for k in indices),
        )


@dataclass(frozen=True, slots=True)
class Grouping:
    """A grouping factor: ``levels[codes[i]]`` is the level of row i.

    Attributes
    ----------
    name
        As in the formula.
    codes
        Shape ``(n,)``, int32, in ``0 .. len(levels) - 1``; every level occurs.
    levels
        Labels, sorted (categorical columns: in the order of their categories).
    """

    name: str
    codes: NDArray[np.int32]
    levels: NDArray[np.object_]


@dataclass(frozen=True, slots=True)
class ModelFrame:
    """Data ready for estimation.

    Attributes
    ----------
    response, fixed, random, groupings, offset
        See the classes above; ``offset`` has shape ``(n,)`` or is None; ``groupings`` is
        keyed by the name that ``RandomBlock.group`` uses.
    rows
        Shape ``(n,)`` int64: row numbers in the user's data (0-based) that are left after
        dropping, or None when all are.
    n_input_rows
        Rows of the user's data.
    index
        Labels of these rows, where the data are of pandas; else None.
    diagnostics
        What was noticed on the way: rows dropped, levels unused, ...
    variables
        The user's columns that the design was made from (:class:`multilogit.formula.Variables`),
        for what varies them afterwards; estimation does not look at them.
    """

    response: Response
    fixed: FixedColumns
    random: tuple[RandomBlock, ...] = ()
    groupings: Mapping[str, Grouping] = field(default_factory=dict)
    offset: Column | None = None
    rows: NDArray[np.int64] | None = None
    n_input_rows: int = 0
    diagnostics: tuple[Diagnostic, ...] = ()
    variables: Any = None
    index: pd.Index | None = None

    @property
    def codes(self) -> dict[str, NDArray[np.int32]]:
        """Level of every row by grouping factor, each of shape ``(n,)``."""
        return {name: grouping.codes for name, grouping in self.groupings.items()}

    def with_response(self, response: Response) -> ModelFrame:
        """The same design with a new response."""
        return replace(self, response=response)
