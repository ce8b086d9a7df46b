"""Settings of the variables of a design: what predictions are compared between.

A :class:`~multilogit.formula.Variables` holds the columns of some data; the functions here put
other values in their place: a value for all rows, typical values, a balanced grid.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any, Literal

import numpy as np

from multilogit.data.columns import Column, Factor, Numeric, label
from multilogit.errors import DataError, OptionError
from multilogit.formula import Design, Variables
from multilogit.predict.linear import Vector

_MOST_CELLS = 100_000

Others = Literal["observed", "typical", "balanced"]
Setting = Mapping[str, Any]


def levels_in(design: Design, variables: Variables, name: str) -> list[str] | None:
    """The categories of a column, in order, the reference first; None for a numeric column."""
    levels = design.levels_of(name)
    if levels is not None:
        return levels
    column = column_of(variables, name)
    if isinstance(column, Factor):
        return list(column.used().labels())
    return ["FALSE", "TRUE"] if column.boolean else None


def varies_smoothly(design: Design, name: str) -> bool:
    """Whether a numeric column enters otherwise than in comparisons, such as ``I(x > 3)``."""
    return any(
        variable.kind != "factor"
        for variable in design.spec.right_variables()
        if name in [column.text for column in variable.columns]
    )


def column_of(variables: Variables, name: str) -> Column:
    """A column that the formula reads.

    Raises
    ------
    OptionError
        There is none of that name.
    """
    if name not in variables.columns:
        known = ", ".join(map(repr, variables.columns)) or "none"
        raise OptionError(f"The model has no variable {name!r}; it reads {known}.")
    return variables.columns[name]


def with_setting(design: Design, variables: Variables, setting: Setting) -> Variables:
    """The same rows, with these variables at one value each.

    Raises
    ------
    OptionError
        A variable or a level that the model does not have; a value of the wrong kind.
    """
    n = variables.n
    return variables.with_columns(
        {name: _constant(design, variables, name, value, n) for name, value in setting.items()}
    )


def _constant(design: Design, variables: Variables, name: str, value: Any, n: int) -> Column:
    """A column of one value, of the kind that the data have."""
    column, levels = column_of(variables, name), design.levels_of(name)
    if levels is not None:
        _check_level(name, value, levels)
    if isinstance(column, Factor):
        return _constant_factor(column, value, n)
    if column.boolean:
        return Numeric(np.full(n, _text(value) == "TRUE"), boolean=True)
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise OptionError(f"{name}={value!r}: {name!r} is numeric; give a number.") from None
    return Numeric(np.full(n, number))


def _constant_factor(column: Factor, value: Any, n: int) -> Factor:
    """One level for all rows; it may be new (a group)."""
    texts = [_text(level) for level in column.levels]
    if _text(value) in texts:
        return Factor(np.full(n, texts.index(_text(value)), np.int32), column.levels)
    return Factor(np.full(n, len(texts), np.int32), (*column.levels, value))


def _check_level(name: str, value: Any, levels: Sequence[str]) -> None:
    if _text(value) not in levels:
        known = ", ".join(map(repr, levels[:20]))
        raise OptionError(f"{value!r} is not a level of {name!r}; its levels are {known}.")


def _text(value: Any) -> str:
    """A level as the model calls it."""
    return str(bool(value)).upper() if isinstance(value, bool | np.bool_) else label(value)


def settings(design: Design, variables: Variables, at: Any) -> list[dict[str, Any]]:
    """All combinations of the values asked for: the first variable varies slowest.

    Parameters
    ----------
    at
        Values by variable: one value, several, or None for all levels of a categorical one;
        or the names of categorical variables; None: no variable is set.

    Raises
    ------
    OptionError
        As :func:`with_setting`; or no values for a numeric variable.
    """
    if at is None:
        return [{}]
    if isinstance(at, str):
        at = [at]
    given = at if isinstance(at, Mapping) else dict.fromkeys(at)
    values = [values_of(design, variables, name, value) for name, value in given.items()]
    return [dict(zip(given, cell, strict=True)) for cell in product(*values)]


def values_of(design: Design, variables: Variables, name: str, value: Any) -> list[Any]:
    """The values of one variable that were asked for; None: all its levels.

    Raises
    ------
    OptionError
        None for a numeric variable, an empty list.
    """
    if value is None:
        levels = levels_in(design, variables, name)
        if levels is None:
            raise OptionError(f"{name!r} is numeric: give its values, as in {{{name!r}: [0, 1]}}.")
        return list(levels)
    column_of(variables, name)
    single = isinstance(value, str | bytes) or not hasattr(value, "__len__")
    values = [value] if single else list(value)
    if not values:
        raise OptionError(f"{name!r}: there are no values.")
    return values


def reference_grid(
    design: Design, variables: Variables, weights: Vector, fixed: Sequence[str], others: Others
) -> tuple[Variables, Vector]:
    """The rows that are averaged over, and their weights.

    Parameters
    ----------
    weights
        Shape ``(n,)``: of the rows of ``variables``.
    fixed
        Variables that will be set afterwards.
    others
        What becomes of the others. ``"observed"``: every row keeps its own; ``"typical"``: one
        row, numbers at their weighted mean, categories at their most frequent level;
        ``"balanced"``: numbers at their mean, all combinations of the levels, with equal
        weights (the reference grid of R's emmeans).

    Raises
    ------
    DataError
        There are no rows.
    OptionError
        A balanced grid that is too large.
    """
    if weights.sum() <= 0.0:
        raise DataError("No rows are left to average over: all miss a value, or have the weight 0.")
    if others == "observed":
        return variables, weights
    wanted = {name.text for name in design.spec.right_columns()}
    names = [name for name in variables.columns if name in wanted]
    choices: list[list[Any]] = []
    for name in names:
        levels = levels_in(design, variables, name)
        if levels is None:
            choices.append([_mean(variables.columns[name], weights)])
        elif others == "balanced" and name not in fixed:
            choices.append(levels)
        else:
            choices.append([_most_frequent(variables.columns[name], levels, weights)])
    size = math.prod(map(len, choices))
    if size > _MOST_CELLS:
        raise OptionError(
            f"others='balanced' makes {size:,} combinations of levels; at most {_MOST_CELLS:,} are "
            "available: use others='observed'."
        )
    cells = list(product(*choices))
    one = Variables({name: variables.columns[name] for name in names}, None, len(cells))
    columns = {
        name: _column(design, one, name, [cell[k] for cell in cells])
        for k, name in enumerate(names)
    }
    offset = variables.offset
    if offset is not None:
        offset = Numeric(np.full(len(cells), _mean(offset, weights)))
    return Variables(columns, offset, len(cells)), np.ones(len(cells))


def _mean(column: Column, weights: Vector) -> float:
    assert isinstance(column, Numeric)
    return float(column.floats() @ weights / weights.sum())


def _most_frequent(column: Column, levels: Sequence[str], weights: Vector) -> str:
    """The level of the largest weight."""
    return max(levels, key=lambda level: float(weights[_rows_of(column, level)].sum()))


def _rows_of(column: Column, level: str) -> Any:
    if isinstance(column, Factor):
        texts = np.array([_text(value) == level for value in column.levels] + [False])
        return texts[column.codes]
    values = np.unique(column.values)
    alike = [value for value in values if _text(bool(value) if column.boolean else value) == level]
    return np.isin(column.values, alike)


def _column(design: Design, variables: Variables, name: str, values: Sequence[Any]) -> Column:
    """A column of these values, of the kind that the data have."""
    made = [_constant(design, variables, name, value, 1) for value in values]
    if isinstance(made[0], Factor):
        codes = np.concatenate([column.codes for column in made if isinstance(column, Factor)])
        return Factor(codes, made[0].levels)
    numbers = np.concatenate([column.values for column in made if isinstance(column, Numeric)])
    return Numeric(numbers, made[0].boolean)
