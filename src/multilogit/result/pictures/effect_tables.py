"""The tables behind effect plots: adjusted predictions over a grid of each variable."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from multilogit.data.columns import Numeric, label
from multilogit.errors import OptionError
from multilogit.margins.grid import column_of, levels_in
from multilogit.result.description.estimates import Estimates
from multilogit.result.prediction.marginal_effects import adjusted_predictions, fixed_variables
from multilogit.result.prediction.margins import Margins, MarginsRequest

_FEW = 5
"""Numbers with at most so many values in the data are drawn as points."""
_DECILES = np.arange(0.0, 1.05, 0.1)
_TYPICAL = (0.1, 0.5, 0.9)
"""Quantiles at which a numeric variable of ``by`` is held."""


@dataclass(frozen=True, slots=True)
class EffectTable:
    """Adjusted predictions over one variable; the fields of ``multilogit.plot.Effect``."""

    variable: str
    table: pd.DataFrame
    numeric: bool
    observed: Sequence[float] = ()
    title: str = ""


def effect_tables(
    fit: Estimates,
    variables: str | Sequence[str] | None,
    by: str | Mapping[str, Any] | None,
    points: int,
    new: object,
    request: MarginsRequest,
) -> list[EffectTable]:
    """Adjusted predictions over every variable asked for; default: all of the fixed effects.

    With ``by`` every value of it is a series of its own; for several categories, whose series
    are the categories, a panel.

    Raises
    ------
    OptionError
        A variable that there is not; ``by`` that is not one variable; several values in ``at``.
    """
    margins = Margins(fit, new, request)
    names = fixed_variables(fit.design) if variables is None else variables
    names = [names] if isinstance(names, str) else list(names)
    other, values = _other(margins, by)
    names = [name for name in names if name != other]
    if not names:
        raise OptionError("There are no variables to draw predictions over.")
    held = _held(request.at)
    out: list[EffectTable] = []
    for name in names:
        grid, numeric, observed = _grid(margins, name, points)
        at = {**held, **({other: values} if other else {}), name: grid}
        table = adjusted_predictions(fit, new, replace(request, at=at))
        table = table.rename(columns={name: "value"})
        for title, part in _split(table, other):
            out.append(EffectTable(name, part, numeric, observed, title))
    return out


def _other(margins: Margins, by: Any) -> tuple[str, list[Any]]:
    """The variable of ``by`` and its values."""
    if by is None:
        return "", []
    if isinstance(by, Mapping) and len(by) == 1:
        ((name, given),) = by.items()
        column_of(margins.data, name)
        return name, [given] if isinstance(given, str) or not hasattr(given, "__len__") else [
            *given
        ]
    if not isinstance(by, str):
        raise OptionError("by= is one variable: 'x', or {'x': [0, 1]}.")
    levels = levels_in(margins.fit.design, margins.data, by)
    if levels is not None:
        return by, levels
    numbers = _numbers(margins, by)
    distinct = np.unique(numbers)
    chosen = distinct if distinct.size <= _FEW else np.unique(np.quantile(numbers, _TYPICAL))
    return by, [float(f"{x:.3g}") for x in chosen]


def _held(at: Any) -> dict[str, Any]:
    if at is None:
        return {}
    several = not isinstance(at, Mapping) or any(
        hasattr(value, "__len__") and not isinstance(value, str) for value in at.values()
    )
    if several:
        raise OptionError("at= holds variables at one value each, {'x': 1}; use by= for several.")
    return dict(at)


def _grid(margins: Margins, name: str, points: int) -> tuple[list[Any], bool, Sequence[float]]:
    """Values of a variable, whether they make a line, and deciles of the data."""
    column = column_of(margins.data, name)
    levels = levels_in(margins.fit.design, margins.data, name)
    if levels is not None:
        return list(levels), False, ()
    assert isinstance(column, Numeric)
    numbers = _numbers(margins, name)
    distinct = np.unique(numbers)
    if distinct.size <= _FEW:
        return [float(x) for x in distinct], False, ()
    grid = np.linspace(distinct[0], distinct[-1], points)
    return [float(x) for x in grid], True, tuple(np.quantile(numbers, _DECILES).tolist())


def _numbers(margins: Margins, name: str) -> NDArray[np.float64]:
    """The values of a numeric variable in rows that count."""
    column = column_of(margins.data, name)
    assert isinstance(column, Numeric)
    return np.asarray(column.floats()[margins.weights > 0.0], dtype=np.float64)


def _split(table: pd.DataFrame, other: str) -> list[tuple[str, pd.DataFrame]]:
    """Panels of a table, with the column ``series``: categories, or values of ``other``."""
    if "outcome" not in table:
        series = table[other].map(label) if other else ""
        return [("", table.assign(series=series))]
    table = table.assign(series=table["outcome"])
    if not other:
        return [("", table)]
    parts = table.groupby(other, sort=False)
    return [(f"{other} = {label(value)}", part) for value, part in parts]
