"""Marginal effects, adjusted predictions and contrasts of a fit, as tables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd

from multilogit.checks import check_choice
from multilogit.data.columns import label
from multilogit.errors import OptionError
from multilogit.formula import Design, Variables
from multilogit.inference.wald import critical_value, p_values, z_values
from multilogit.margins.adjust import (
    Adjustment,
    adjusted_p_values,
    critical_values,
)
from multilogit.margins.averages import Averages, stacked
from multilogit.margins.grid import (
    column_of,
    levels_in,
    values_of,
    varies_smoothly,
    with_setting,
)
from multilogit.predict.delta import interval as limits
from multilogit.predict.linear import Matrix, Vector
from multilogit.predict.tangent import Scale
from multilogit.result.description.estimates import Estimates
from multilogit.result.prediction.margins import Cell, Margins, MarginsRequest

ContrastScale = Literal["response", "link", "odds_ratio"]


def marginal_effects(
    fit: Estimates, variables: Any, new: object, request: MarginsRequest
) -> pd.DataFrame:
    """Marginal effects as :meth:`multilogit.result.Fit.marginal_effects` describes them."""
    margins = Margins(fit, new, request)
    asked = _asked_variables(margins, variables)
    cells, made = [], []
    for cell, rows, weights in margins.cells(()):
        for name, values in asked.items():
            for contrast, averages in _effects(margins, rows, weights, name, values):
                cells.append({**cell, "variable": name, "contrast": contrast})
                made.append(averages)
    return _with_tests(margins.table(cells, made), request.interval)


def _asked_variables(margins: Margins, variables: Any) -> dict[str, Any]:
    """Values to compare by variable; None where the data decide."""
    design = margins.fit.design
    if variables is None:
        variables = fixed_variables(design)
    if isinstance(variables, str):
        variables = [variables]
    asked = dict(variables) if isinstance(variables, Mapping) else dict.fromkeys(variables)
    for name in asked:
        column_of(margins.data, name)
    if not asked:
        raise OptionError("The model has no variables: there are no marginal effects.")
    return asked


def fixed_variables(design: Design) -> list[str]:
    """The columns of the data that the fixed effects read, in the order of the formula."""
    terms = design.spec.fixed.variables
    return list(dict.fromkeys(column.text for v in terms for column in v.columns))


def _effects(
    margins: Margins, rows: Variables, weights: Vector, name: str, values: Any
) -> Iterator[tuple[str, Averages]]:
    """The derivative of a number; changes against the first level, or between given values."""
    levels = levels_in(margins.fit.design, margins.data, name)
    if values is None and levels is None:
        if name in {column.text for column in margins.fit.design.spec.group_columns()}:
            raise OptionError(
                f"{name!r} is a grouping factor, and what its levels differ by is random: see "
                "fit.random_effects(), or compare two levels in "
                f"fit.marginal_effects({{{name!r}: [..., ...]}}, level='conditional')."
            )
        if not varies_smoothly(margins.fit.design, name):
            raise OptionError(
                f"{name!r} enters the model only in comparisons, and has no slope: give values to "
                f"compare, as in {{{name!r}: [0, 1]}}."
            )
        yield "dY/dX", margins.slope(rows, weights, name)
        return
    chosen = values_of(margins.fit.design, margins.data, name, values)
    margins.refuse_held(name)
    if len(chosen) < 2:
        raise OptionError(f"{name!r}: give at least two values to compare.")
    means = [_mean_at(margins, rows, weights, name, value) for value in chosen]
    K = len(margins.outcomes)
    both = np.hstack([-np.eye(K), np.eye(K)])
    for value, mean in zip(chosen[1:], means[1:], strict=True):
        yield _named(value, chosen[0]), stacked([means[0], mean]).combined(both)


def _mean_at(margins: Margins, rows: Variables, weights: Vector, name: str, value: Any) -> Averages:
    return margins.mean(with_setting(margins.fit.design, rows, {name: value}), weights)


def _named(value: Any, other: Any) -> str:
    return f"{label(value)} - {label(other)}"


def _with_tests(table: pd.DataFrame, level: float) -> pd.DataFrame:
    """Wald statistics, p-values, symmetric intervals."""
    estimate, error = table["estimate"].to_numpy(), table["se"].to_numpy()
    statistic, half = z_values(estimate, error), critical_value(level) * error
    return table.assign(
        statistic=statistic,
        p_value=p_values(statistic),
        lower=estimate - half,
        upper=estimate + half,
    )


def adjusted_predictions(fit: Estimates, new: object, request: MarginsRequest) -> pd.DataFrame:
    """Averages as :meth:`multilogit.result.Fit.adjusted_predictions` describes them."""
    margins = Margins(fit, new, request)
    cells, made = [], []
    for cell, rows, weights in margins.cells(()):
        cells.append(cell)
        made.append(margins.mean(rows, weights))
    table = margins.table(cells, made)
    value, error = table[["estimate"]].to_numpy(), table[["se"]].to_numpy()
    low, high = limits(value, error, critical_value(request.interval), request.scale)
    return table.assign(lower=low[:, 0], upper=high[:, 0])


def scale_of(scale: ContrastScale) -> Scale:
    """The scale that a contrast is computed on: odds ratios are differences of log odds.

    Raises
    ------
    OptionError
        There is no such scale.
    """
    check_choice("scale", scale, get_args(ContrastScale))
    return "link" if scale == "odds_ratio" else scale


def contrasts(
    fit: Estimates,
    variable: Any,
    new: object,
    request: MarginsRequest,
    adjust: Adjustment,
    ratio: bool,
) -> pd.DataFrame:
    """Pairwise comparisons as :meth:`multilogit.result.Fit.contrasts` describes them."""
    check_choice("adjust", adjust, get_args(Adjustment))
    margins = Margins(fit, new, request)
    name, values = _one_variable(variable)
    column_of(margins.data, name)
    values = values_of(fit.design, margins.data, name, values)
    margins.refuse_held(name)
    if len(values) < 2:
        raise OptionError(f"{name!r} has one value: there is nothing to compare.")
    pairs = list(combinations(range(len(values)), 2))
    cells: list[Cell] = []
    made = []
    for cell, rows, weights in margins.cells([name]):
        means = [_mean_at(margins, rows, weights, name, value) for value in values]
        made.append(
            stacked(means).combined(_differences(pairs, len(values), len(margins.outcomes)))
        )
        cells += [{**cell, "contrast": _named(values[j], values[i])} for i, j in pairs]
    table = margins.table(cells, made)
    family = [key for key in table if key not in ("contrast", "estimate", "se")]
    return _adjusted(table, family, len(values), adjust, request.interval, ratio)


def _one_variable(variable: Any) -> tuple[str, Any]:
    if isinstance(variable, str):
        return variable, None
    if isinstance(variable, Mapping) and len(variable) == 1:
        return next(iter(variable.items()))
    raise OptionError("Contrasts are between values of one variable: 'x', or {'x': [0, 1]}.")


def _differences(pairs: Sequence[tuple[int, int]], n_values: int, n_outcomes: int) -> Matrix:
    """Mean j − mean i for every pair (i, j), outcome by outcome within a pair."""
    D = np.zeros((len(pairs), n_values))
    for row, (i, j) in zip(D, pairs, strict=True):
        row[i], row[j] = -1.0, 1.0
    return np.asarray(np.kron(D, np.eye(n_outcomes)))


def _adjusted(
    table: pd.DataFrame,
    family: Sequence[str],
    n_values: int,
    adjust: Adjustment,
    level: float,
    ratio: bool,
) -> pd.DataFrame:
    """Tests and simultaneous intervals; one family per setting and outcome."""
    table = _with_tests(table, level)
    of_row = table.groupby(list(family)).ngroup() if family else pd.Series(0, table.index)
    for rows in [table.index[of_row == k] for k in of_row.unique()]:
        z = table.loc[rows, "statistic"].to_numpy()
        half = critical_values(level, adjust, n_values, len(rows)) * table.loc[rows, "se"]
        table.loc[rows, "p_value"] = adjusted_p_values(z, adjust, n_values)
        table.loc[rows, "lower"] = table.loc[rows, "estimate"] - half
        table.loc[rows, "upper"] = table.loc[rows, "estimate"] + half
    if ratio:
        named = ["estimate", "lower", "upper"]
        with np.errstate(over="ignore", invalid="ignore"):
            table[named] = np.exp(table[named])
            table["se"] *= table["estimate"]
    return table
