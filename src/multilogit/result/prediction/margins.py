"""Marginal effects, adjusted predictions and contrasts of a fit."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import combinations
from typing import Any, Literal

import numpy as np
import pandas as pd

from multilogit.checks import check_choice
from multilogit.data.columns import label
from multilogit.data.model_frame import FixedColumns
from multilogit.errors import DataError, NotEstimableWarning, OptionError
from multilogit.formula import Design, Variables
from multilogit.formula.design import NewColumns
from multilogit.inference.wald import critical_value, p_values, z_values
from multilogit.margins.adjust import (
    ADJUSTMENTS,
    Adjustment,
    adjusted_p_values,
    critical_values,
)
from multilogit.margins.averages import Averages, average, stacked
from multilogit.margins.estimable import Aliasing, Excess
from multilogit.margins.grid import (
    Others,
    column_of,
    levels_in,
    reference_grid,
    settings,
    values_of,
    varies_smoothly,
    with_setting,
)
from multilogit.predict.delta import ParameterCovariance
from multilogit.predict.delta import interval as limits
from multilogit.predict.linear import Level, Matrix, Vector
from multilogit.predict.tangent import Model, Rows, Scale
from multilogit.result.arrays.aliasing import aliasing_of
from multilogit.result.arrays.prediction_model import parameter_covariance, prediction_model
from multilogit.result.arrays.prediction_rows import assembled, refuse_new_levels
from multilogit.result.description.estimates import Estimates
from multilogit.result.fields.level_effects import refuse_many_levels
from multilogit.result.prediction.predictions import outcome_names

ContrastScale = Literal["response", "link", "odds_ratio"]
Cell = dict[str, Any]


@dataclass(frozen=True)
class Request:
    """What the methods have in common.

    Raises
    ------
    OptionError
        A choice that there is not, or that does not go with the others.
    """

    level: Level
    scale: Scale
    others: Others
    interval: float
    at: Any = None
    offset: Any = None

    def __post_init__(self) -> None:
        check_choice("level", self.level, ("population", "marginal", "conditional"))
        check_choice("scale", self.scale, ("response", "link"))
        check_choice("others", self.others, ("observed", "typical", "balanced"))
        critical_value(self.interval)
        if self.level == "conditional" and self.others != "observed":
            raise OptionError(
                f"others={self.others!r} makes rows that belong to no group; "
                "level='conditional' needs others='observed'."
            )


def scale_of(scale: ContrastScale) -> Scale:
    """The scale that a contrast is computed on: odds ratios are differences of log odds.

    Raises
    ------
    OptionError
        There is no such scale.
    """
    check_choice("scale", scale, ("response", "link", "odds_ratio"))
    return "link" if scale == "odds_ratio" else scale


class Margins:
    """Averages of the predictions of a fit over some data.

    Parameters
    ----------
    fit
        The fit.
    new
        The data; None: those of the fit, weighted by their trials and frequency weights.
    request
        Level, scale, and what becomes of the variables that are not set.
    """

    def __init__(self, fit: Estimates, new: object, request: Request) -> None:
        refuse_many_levels(fit.levels, "An average over the data")
        if not fit.random:
            request = replace(request, level="population")
        self.fit, self.request = fit, request
        self.conditional = request.level == "conditional"
        self.data, self.weights = self._data(new)

    @cached_property
    def model(self) -> Model:
        """The estimates."""
        return prediction_model(self.fit, self.fit.mode_uncertainty if self.conditional else None)

    @cached_property
    def parameters(self) -> ParameterCovariance:
        """Their covariance."""
        return parameter_covariance(self.fit)

    @cached_property
    def aliasing(self) -> Aliasing | None:
        """The columns that were dropped, if there are any."""
        return aliasing_of(self.fit)

    @property
    def outcomes(self) -> list[str]:
        """Names of what is predicted; of two categories only the second."""
        names = outcome_names(self.fit.labels, self.request.scale)
        return names if self.fit.labels.family == "multinomial" else names[-1:]

    def _data(self, new: object) -> tuple[Variables, Vector]:
        if new is not None:
            offset = self.request.offset
            variables = self.fit.design.read(new, groups=self.conditional, offset=offset)
            return variables, np.ones(variables.n)
        if self.request.offset is not None:
            raise OptionError("offset= belongs to new data; give them as new=.")
        frame = self.fit._frame_for("An average over the data of the fit", "Pass new=.")
        if frame.variables is None:
            raise DataError("This fit was made from columns without names; pass new=.")
        return frame.variables, frame.response.weighted()[1]

    def cells(self, fixed: Sequence[str]) -> Iterator[tuple[Cell, Variables, Vector]]:
        """For every setting of ``at``: the setting, the rows, their weights."""
        design, request = self.fit.design, self.request
        asked = settings(design, self.data, request.at)
        held = [*fixed, *(asked[0] if asked else ())]
        rows, weights = reference_grid(design, self.data, self.weights, held, request.others)
        for cell in asked:
            yield cell, with_setting(design, rows, cell), weights

    def refuse_held(self, name: str) -> None:
        """A variable whose values are compared cannot be held at one of them as well."""
        at = self.request.at
        if at is not None and name in ([at] if isinstance(at, str) else at):
            raise OptionError(f"The values of {name!r} are compared: leave it out of at=.")

    def mean(self, variables: Variables, weights: Vector) -> Averages:
        """Average predictions, one per outcome."""
        return self._kept(self._average(variables, weights, None))

    def slope(self, variables: Variables, weights: Vector, name: str) -> Averages:
        """Average derivatives in a numeric variable."""
        return self._kept(self._average(variables, weights, name))

    def _average(self, variables: Variables, weights: Vector, name: str | None) -> Averages:
        design, level = self.fit.design, self.request.level
        random = level != "population"
        made = design.columns(variables, random=random, groups=self.conditional)
        rows, slope, parts = self._rows(made, made), None, [made.fixed]
        if name is not None:
            changes = design.slopes(variables, name, random=random)
            slope = self._rows(changes, made)
            parts.append(changes.fixed)
        scale = self.request.scale
        found = average(self.model, rows, weights, level, scale, self.parameters, slope)
        return replace(found, excess=self._excess(parts, weights, found.value.size))

    def _excess(self, parts: Sequence[FixedColumns], weights: Vector, K: int) -> Excess | None:
        """How far averages are from what the data determine.

        Of log odds the last of ``parts`` decides, X or ∂X/∂x, on average; other averages need
        all of them, in every row.
        """
        if self.aliasing is None:
            return None
        columns = [dict(zip(part.names, part.columns, strict=True)) for part in parts]
        if self.request.scale == "link" and self.request.level != "marginal":
            return self.aliasing.of_mean(columns[-1], weights, K)
        return self.aliasing.of_rows(columns, weights, K)

    def _rows(self, made: NewColumns, grouped: NewColumns) -> Rows:
        for grouping in grouped.groupings.values():
            refuse_new_levels(grouping.name, grouping.labels[grouping.codes < 0], "Leave them out.")
        codes = {name: grouping.codes for name, grouping in grouped.groupings.items()}
        n = made.n_rows if made.rows is None else int(made.rows.shape[0])
        level = self.request.level
        return assembled(self.fit, made.fixed, made.random, codes, made.offset, n, level)

    def _kept(self, averages: Averages) -> Averages:
        """Of two probabilities only the second: the first is one minus it."""
        K = averages.value.size
        return averages.combined(np.eye(K)[K - len(self.outcomes) :])

    def table(self, cells: Sequence[Cell], made: Sequence[Averages]) -> pd.DataFrame:
        """One row per cell and outcome: the cell, the outcome, estimate and se."""
        together = stacked(made)
        variance = together.covariance(self.model, self.parameters).diagonal()
        rows = [
            {**cell, **({"outcome": outcome} if len(self.outcomes) > 1 else {})}
            for cell in cells
            for outcome in self.outcomes
        ]
        out = pd.DataFrame(rows, index=pd.RangeIndex(len(rows)))
        out = out.assign(estimate=together.value, se=np.sqrt(np.maximum(variance, 0.0)))
        if together.excess is not None and not together.excess.estimable.all():
            out.loc[~together.excess.estimable, ["estimate", "se"]] = np.nan
            _warn_not_estimable(int((~together.excess.estimable).sum()), self.fit.aliased)
        return out


def _warn_not_estimable(n: int, aliased: Sequence[str]) -> None:
    named = ", ".join(map(repr, aliased))
    warnings.warn(
        f"{n} of the estimates {'is' if n == 1 else 'are'} NaN: not determined by the data, since "
        f"the design depends on columns that were dropped as combinations of others ({named}). "
        "Remove these from the formula, or ask for combinations of values that the data have.",
        NotEstimableWarning,
        stacklevel=5,
    )


# --- marginal effects --------------------------------------------------------------------------


def marginal_effects(fit: Estimates, variables: Any, new: object, request: Request) -> pd.DataFrame:
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


# --- adjusted predictions ----------------------------------------------------------------------


def adjusted_predictions(fit: Estimates, new: object, request: Request) -> pd.DataFrame:
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


# --- contrasts ---------------------------------------------------------------------------------


def contrasts(
    fit: Estimates,
    variable: Any,
    new: object,
    request: Request,
    adjust: Adjustment,
    ratio: bool,
) -> pd.DataFrame:
    """Pairwise comparisons as :meth:`multilogit.result.Fit.contrasts` describes them."""
    check_choice("adjust", adjust, ADJUSTMENTS)
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
