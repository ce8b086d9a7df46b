"""From a fit and data to the arrays that :mod:`multilogit.predict` computes with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from multilogit.data.model_frame import Column, FixedColumns, RandomBlock
from multilogit.errors import DataError
from multilogit.predict.linear import Level, NewGroups
from multilogit.predict.modes import FactorRows
from multilogit.predict.tangent import Rows
from multilogit.result.arrays.user_rows import row_index
from multilogit.result.fields.parameter_names import effect_terms

if TYPE_CHECKING:
    from multilogit.result.fields.measures import Measures

Codes = NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class DataRows:
    """Rows to predict from, and where they come from.

    Attributes
    ----------
    rows
        The columns of the complete rows.
    index
        Labels of all rows of the data.
    complete
        Which of them the columns belong to: those without missing values; None: all.
    """

    rows: Rows
    index: pd.Index
    complete: NDArray[np.int64] | None

    def spread(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Values of the complete rows at their places among all rows, NaN elsewhere."""
        if self.complete is None:
            return values
        full = np.full((len(self.index), *values.shape[1:]), np.nan)
        full[self.complete] = values
        return full


def fitted_rows(fit: Measures, level: Level) -> DataRows:
    """The rows that the fit was made from."""
    frame = fit._rows_for("A prediction without new data", "Pass new data.")
    n = frame.response.trials.shape[0]
    made = assembled(fit, frame.fixed, frame.random, frame.codes, frame.offset, n, level)
    return DataRows(made, row_index(frame), None)


def new_rows(
    fit: Measures, new: object, level: Level, new_groups: NewGroups, offset: object
) -> DataRows:
    """The rows of new data; new levels of a grouping factor have the code −1."""
    conditional = level == "conditional" and bool(fit.random)
    random = level != "population" and bool(fit.random)
    made = fit.design.new_columns(new, random=random, groups=conditional, offset=offset)
    if new_groups == "error":
        for grouping in made.groupings.values():
            refuse_new_levels(grouping.name, grouping.labels[grouping.codes < 0])
    index = new.index if isinstance(new, pd.DataFrame) else pd.RangeIndex(made.n_rows)
    n = made.n_rows if made.rows is None else made.rows.shape[0]
    codes = {name: grouping.codes for name, grouping in made.groupings.items()}
    rows = assembled(fit, made.fixed, made.random, codes, made.offset, n, level)
    return DataRows(rows, index, made.rows)


def assembled(
    fit: Measures,
    fixed: FixedColumns,
    random: Sequence[RandomBlock],
    codes: Mapping[str, Codes],
    offset: Column | None,
    n: int,
    level: Level,
) -> Rows:
    """The columns that belong to the estimates of a fit, as far as ``level`` needs them.

    Columns that were dropped as aliased, and effects without a variance of their own, are left
    out. Without codes (the level is not conditional) every row has the code −1.
    """
    made = dict(zip(fixed.names, fixed.columns, strict=True))
    if fit.levels is not None and fixed.levels is not None:
        x = _chosen(made, [fit.labels.columns[k] for k in fit.levels.others])
        return Rows(n, x, (FactorRows((np.ones(n),), fixed.levels.codes),), offset)
    x = _chosen(made, fit.labels.columns)
    factors = []
    for effects in fit.random if level != "population" else ():
        names = [name for name, _ in effect_terms(effects, fit.labels)]
        columns = _chosen(columns_by_name(random, effects.group), names)
        own = codes.get(effects.group)
        factors.append(FactorRows(columns, np.full(n, -1, np.int32) if own is None else own))
    return Rows(n, x, tuple(factors), offset)


def _chosen(made: Mapping[str, Column], names: Sequence[str]) -> tuple[Column, ...]:
    """The columns of these names."""
    if missing := [name for name in names if name not in made]:
        raise DataError(
            f"The formula makes no column {missing[0]!r} of these data: it does not belong to "
            "the estimates. If the model was read from a file, the file is damaged."
        )
    return tuple(made[name] for name in names)


def columns_by_name(blocks: Sequence[RandomBlock], group: str) -> dict[str, Column]:
    """Columns of Z of a factor; a name in two bar terms is the same column in both."""
    return {
        name: column
        for block in blocks
        if block.group == group
        for name, column in zip(block.names, block.columns, strict=True)
    }


def refuse_new_levels(
    group: str,
    labels: NDArray[np.object_],
    remedy: str = 'Use new_groups="population" to predict them with random effects 0.',
) -> None:
    """Name the levels of a grouping factor that the fit has not seen, if there are any.

    Raises
    ------
    DataError
        There are some.
    """
    if not labels.size:
        return
    levels = list(dict.fromkeys(map(str, labels)))
    named = ", ".join(map(repr, levels[:10])) + (", ..." if len(levels) > 10 else "")
    what = "a level" if len(levels) == 1 else f"{len(levels)} levels"
    raise DataError(
        f"The new data have {what} of {group!r} that the fit has not seen: {named}. {remedy}"
    )
