"""Averages of the predictions of a fit over some data: what effects and contrasts are made of."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, get_args

import numpy as np
import pandas as pd

from multilogit.checks import check_choice
from multilogit.data.model_frame import FixedColumns
from multilogit.errors import DataError, NotEstimableWarning, OptionError
from multilogit.formula import Variables
from multilogit.formula.design import NewColumns
from multilogit.inference.wald import critical_value
from multilogit.margins.averages import Averages, average, stacked
from multilogit.margins.estimable import Aliasing, Excess
from multilogit.margins.grid import (
    Others,
    reference_grid,
    settings,
    with_setting,
)
from multilogit.predict.delta import ParameterCovariance
from multilogit.predict.linear import Level, Vector
from multilogit.predict.tangent import Model, Rows, Scale
from multilogit.result.arrays.aliasing import aliasing_of
from multilogit.result.arrays.prediction_model import parameter_covariance, prediction_model
from multilogit.result.arrays.prediction_rows import assembled, refuse_new_levels
from multilogit.result.description.estimates import Estimates
from multilogit.result.fields.level_effects import refuse_many_levels
from multilogit.result.prediction.predictions import outcome_names

Cell = dict[str, Any]


@dataclass(frozen=True)
class MarginsRequest:
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
        check_choice("level", self.level, get_args(Level))
        check_choice("scale", self.scale, get_args(Scale))
        check_choice("others", self.others, get_args(Others))
        critical_value(self.interval)
        if self.level == "conditional" and self.others != "observed":
            raise OptionError(
                f"others={self.others!r} makes rows that belong to no group; "
                "level='conditional' needs others='observed'."
            )


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

    def __init__(self, fit: Estimates, new: object, request: MarginsRequest) -> None:
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
