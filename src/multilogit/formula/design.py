"""A frozen design: what the training data taught, and the columns it makes of new data."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from multilogit.data.columns import Column, Numeric
from multilogit.data.grouping import GroupLevels, NewGrouping, match_levels
from multilogit.data.ingest import Table, check_aligned, read_table
from multilogit.data.model_frame import FixedColumns, RandomBlock
from multilogit.errors import DataError, FormulaError
from multilogit.formula import later
from multilogit.formula.coding import build_columns
from multilogit.formula.evaluate import Environment, State, numbers
from multilogit.formula.functions import FACTORS
from multilogit.formula.safety import suggestion
from multilogit.formula.spec import Bar, FormulaSpec, Name, Variable

Floats = NDArray[np.float64]
Rows = NDArray[np.int64]


class UnknownColumnError(FormulaError, DataError):
    """The formula names a column that the data do not have."""


@dataclass(frozen=True, slots=True)
class Learnt:
    """What the training data taught: plain values, to be read and saved.

    Attributes
    ----------
    states
        By expression: ``{"levels": [...]}`` of every factor, and what formulaic's transforms
        have learnt (knots, centres, polynomial coefficients). JSON can hold it.
    groups
        Per grouping factor: its levels.
    """

    states: dict[str, State] = field(default_factory=dict)
    groups: dict[str, GroupLevels] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Variables:
    """What a formula reads of some data.

    Attributes
    ----------
    columns
        The columns of the data, by name, without missing values.
    offset
        The values of ``offset=``, or None.
    n_rows
        Rows of the data.
    rows
        Shape ``(n,)``: the rows (0-based) without missing values, to which the columns belong;
        None when all are.
    """

    columns: Mapping[str, Column]
    offset: Numeric | None
    n_rows: int
    rows: Rows | None = None

    @property
    def n(self) -> int:
        """Rows without missing values."""
        return self.n_rows if self.rows is None else int(self.rows.shape[0])

    def take(self, rows: Rows) -> Variables:
        """Some of the rows without missing values, in any order, as data of their own."""
        columns = {name: column.take(rows) for name, column in self.columns.items()}
        offset = None if self.offset is None else self.offset.take(rows)
        return Variables(columns, offset, rows.shape[0])

    def with_columns(self, changed: Mapping[str, Column]) -> Variables:
        """The same with other values of some columns."""
        return replace(self, columns={**self.columns, **changed})


@dataclass(frozen=True, slots=True)
class NewColumns:
    """Columns of new data, ready for prediction.

    Attributes
    ----------
    fixed, random
        As in a model frame.
    groupings
        By name; codes against the training levels, -1 for a level that is new.
    offset
        Shape ``(n,)`` or None: offsets of the formula and of ``offset=``, added up.
    n_rows
        Rows of the new data.
    rows
        Shape ``(n,)``: the rows (0-based) without missing values, to which all columns above
        belong; None when all are.
    """

    fixed: FixedColumns
    random: tuple[RandomBlock, ...]
    groupings: dict[str, NewGrouping]
    offset: Floats | None
    n_rows: int
    rows: Rows | None


@dataclass(frozen=True, slots=True)
class Design:
    """Rebuilds the columns of a model for new data.

    Attributes
    ----------
    spec
        The parsed formula.
    learnt
        What training taught.
    offset
        Name of the column that ``offset=`` named, ``True`` where it was an array, or None.
    """

    spec: FormulaSpec
    learnt: Learnt
    offset: str | bool | None = None

    @property
    def formula(self) -> str:
        """The formula; ``.`` is written out."""
        return self.spec.text

    def new_columns(
        self, data: Any, *, random: bool = True, groups: bool | None = None, offset: Any = None
    ) -> NewColumns:
        """The columns of new data; the response is not needed.

        Factor levels, contrasts and the state of splines, polynomials and scaling are those of
        the training data.

        Parameters
        ----------
        data
            Any table that :func:`multilogit.data.read_table` accepts.
        random
            False leaves out the random effects, and then the grouping factors need not be
            in the data.
        groups
            False leaves out the grouping factors alone; default: as ``random``.
        offset
            Replaces the ``offset=`` of training: a column name or an array. It must be given
            where training had an array (zeros say: none).

        Raises
        ------
        DataError
            A missing column; a new level in a fixed factor; a value that is infinite; a column
            of another kind than in training; an offset that is missing or of the wrong length.
        """
        groups = random if groups is None else groups
        variables = self.read(data, groups=groups, offset=offset)
        return self.columns(variables, random=random, groups=groups)

    def read(self, data: Any, *, groups: bool = True, offset: Any = None) -> Variables:
        """The columns of new data that the formula reads; parameters as in :meth:`new_columns`."""
        table = read_table(data)
        names = [*self.spec.right_columns(), *(self.spec.group_columns() if groups else ())]
        columns = read_columns(table, names, self.formula)
        given = self._offset_column(table, offset)
        if given is not None:
            columns["offset="] = given
        rows, _ = complete_rows(columns, table.n_rows)
        if rows is not None:
            columns = {name: column.take(rows) for name, column in columns.items()}
        extra = columns.pop("offset=", None)
        return Variables(columns, extra, table.n_rows, rows)  # type: ignore[arg-type]

    def columns(
        self, variables: Variables, *, random: bool = True, groups: bool | None = None
    ) -> NewColumns:
        """The columns of the design; parameters as in :meth:`new_columns`."""
        groups = random if groups is None else groups
        environment = self._environment(variables)
        fixed, blocks = build_design(self.spec, environment, random=random)
        groupings = {
            bar.group.name: match_levels(
                bar.group.name,
                self.learnt.groups[bar.group.name],
                [variables.columns[column.text] for column in bar.group.columns],
            )
            for bar in (self.spec.bars if groups else ())
        }
        total = total_offset(self.spec.offsets, environment, variables.offset)
        return NewColumns(fixed, blocks, groupings, total, variables.n_rows, variables.rows)

    def slopes(self, variables: Variables, column: str, *, random: bool = True) -> NewColumns:
        """The derivatives of :meth:`columns` in a numeric column of the data.

        Groupings are left out.

        Raises
        ------
        DataError
            A derivative is not finite.
        """
        environment = self._environment(variables)
        slopes = later.derivative
        fixed = slopes.differentiate(self.spec.fixed, environment, column)
        blocks: list[RandomBlock] = []
        for bar in self.spec.bars if random else ():
            blocks += _blocks(bar, slopes.differentiate(bar.terms, environment, column))
        moved = [slopes.expression_slope(o, environment, column) for o in self.spec.offsets]
        total = np.sum(moved, axis=0) if moved else None
        return NewColumns(fixed, tuple(blocks), {}, total, variables.n_rows, variables.rows)

    def levels_of(self, column: str) -> list[str] | None:
        """Levels of a column that the formula uses as categories; None where it uses numbers."""
        for variable in self.spec.right_variables():
            coded = variable.expression.partition("(")[0] in FACTORS
            if variable.columns[0].text == column and (variable.kind == "column" or coded):
                levels = self.learnt.states.get(variable.expression, {}).get("levels")
                if levels:
                    return list(levels)
        return None

    def _environment(self, variables: Variables) -> Environment:
        columns, states = variables.columns, self.learnt.states
        return Environment(columns, variables.n, variables.rows, states, training=False)

    def _offset_column(self, table: Table, offset: Any) -> Numeric | None:
        given = offset if offset is not None else self.offset
        if given is None:
            return None
        if given is True:
            raise DataError(
                "The model was fitted with an array as offset=; pass offset= for the new data."
            )
        return column_or_array(given, "offset", table)


# --- steps that training and new data share --------------------------------------------------


def read_columns(table: Table, names: Iterable[Name], formula: str) -> dict[str, Column]:
    """The columns that a formula reads.

    Raises
    ------
    UnknownColumnError
        A column is not there; it points at the name and suggests close ones.
    DataError
        A column is of a type that cannot be used.
    """
    columns: dict[str, Column] = {}
    for name in names:
        if name.text in columns:
            continue
        if name.text not in table:
            raise UnknownColumnError(
                f"The data have no column {name.text!r}.{suggestion(name.text, table.names)} "
                f"Columns: {_listed(table.names)}.",
                formula,
                name.start,
            )
        columns[name.text] = table.column(name.text)
    return columns


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:20]) + (f", ... ({len(names)} in all)" if len(names) > 20 else "")


def column_or_array(value: Any, option: str, table: Table) -> Numeric:
    """``weights=``, ``offset=``, ``trials=``: the name of a column, one number per row, or one.

    Raises
    ------
    DataError
        Unknown column, wrong length, not numeric.
    """
    if isinstance(value, str):
        if value not in table:
            raise DataError(
                f"{option}={value!r}: the data have no such column."
                f"{suggestion(value, table.names)} Columns: {_listed(table.names)}."
            )
        column = table.column(value)
    else:
        if np.ndim(value) == 0 and isinstance(value, (int, float, np.number)):
            value = np.full(table.n_rows, value, dtype=np.float64)
        check_aligned(value, table.index, f"{option}=")
        column = _array_column(value, option)
        if len(column) != table.n_rows:
            raise DataError(
                f"{option}= has {len(column)} values, but the data have {table.n_rows} rows."
            )
    if not isinstance(column, Numeric):
        raise DataError(f"{option}= is not numeric.")
    return Numeric(column.floats())


def _array_column(value: Any, option: str) -> Column:
    try:
        return read_table({f"{option}=": value}).column(f"{option}=")
    except DataError as error:
        what = "must be a column name, one number per row, or one number for all rows"
        raise DataError(f"{option}= {what}. {error}") from None


def complete_rows(
    columns: Mapping[str, Column], n_rows: int
) -> tuple[Rows | None, dict[str, NDArray[np.bool_]]]:
    """The rows without missing values (None: all), and the masks of the columns that have any.

    Raises
    ------
    DataError
        A value is infinite.
    """
    masks = {}
    for name, column in columns.items():
        mask = column.missing(name.lstrip("\0"))
        if mask is not None:
            masks[name] = mask
    if not masks:
        return None, {}
    missing = np.zeros(n_rows, dtype=bool)
    for mask in masks.values():
        missing |= mask
    return np.flatnonzero(~missing), masks


def build_design(
    spec: FormulaSpec,
    environment: Environment,
    *,
    random: bool = True,
    compact: bool = False,
    ones: Floats | None = None,
) -> tuple[FixedColumns, tuple[RandomBlock, ...]]:
    """Columns of the fixed effects and of every bar; in training, fills the states.

    ``compact``: see :func:`multilogit.formula.coding.build_columns`. ``ones``: the intercept.
    """
    ones = np.ones(environment.n_rows) if ones is None else ones
    fixed = build_columns(spec.fixed, environment, ones, compact=compact)
    blocks: list[RandomBlock] = []
    for bar in spec.bars if random else ():
        blocks += _blocks(bar, build_columns(bar.terms, environment, ones))
    return fixed, tuple(blocks)


def _blocks(bar: Bar, made: FixedColumns) -> list[RandomBlock]:
    """One block of correlated effects, or one block per column for ``||``."""
    if bar.correlated:
        return [RandomBlock(bar.group.name, made.columns, made.names)]
    return [
        RandomBlock(bar.group.name, (column,), (name,), correlated=False)
        for column, name in zip(made.columns, made.names, strict=True)
    ]


def total_offset(
    offsets: Sequence[Variable], environment: Environment, extra: Column | None
) -> Floats | None:
    """The sum of the ``offset()`` terms and ``offset=``; None where there is none."""
    total = extra.floats() if isinstance(extra, Numeric) else None
    for variable in offsets:
        values = numbers(variable, environment, f"offset({variable.name})")
        total = values if total is None else total + values
    return total
