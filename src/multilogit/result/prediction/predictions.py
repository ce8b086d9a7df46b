"""Predictions of a fit, for its own data or for new ones."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import get_args

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from multilogit.checks import check_choice
from multilogit.data.parquet import ParquetFiles, parquet_paths
from multilogit.errors import OptionError
from multilogit.inference.wald import critical_value
from multilogit.predict import (
    Kind,
    Level,
    NewGroups,
    most_probable,
)
from multilogit.predict.delta import interval as limits
from multilogit.predict.delta import standard_errors
from multilogit.predict.tangent import Rows, Scale
from multilogit.predict.tangent import value as value_of
from multilogit.result.arrays.prediction_model import parameter_covariance, prediction_model
from multilogit.result.arrays.prediction_rows import DataRows, fitted_rows, new_rows
from multilogit.result.arrays.user_rows import trials_of
from multilogit.result.description.estimates import Estimates
from multilogit.result.fields.parameter_names import logit_names
from multilogit.result.fields.training import Labels


@dataclass(frozen=True, slots=True)
class PredictionRequest:
    """What :meth:`multilogit.result.Fit.predict` was asked for.

    Raises
    ------
    OptionError
        A choice that there is not; an option that does not go with the others.
    """

    kind: Kind
    level: Level
    new_groups: NewGroups
    se: bool
    interval: float | None

    def __post_init__(self) -> None:
        check_choice("kind", self.kind, get_args(Kind))
        check_choice("level", self.level, get_args(Level))
        check_choice("new_groups", self.new_groups, get_args(NewGroups))
        if self.kind == "class" and self.uncertain:
            raise OptionError("kind='class' has no standard errors; use kind='response'.")

    @property
    def uncertain(self) -> bool:
        """Whether standard errors are needed."""
        return self.se or self.interval is not None

    @property
    def scale(self) -> Scale:
        """Classes follow from logits."""
        return "response" if self.kind == "response" else "link"


_CHUNK = 8_000_000
"""Numbers of new data in files that are read at once."""


def predict(
    fit: Estimates, new: object, request: PredictionRequest, offset: object, trials: object
) -> pd.Series | pd.DataFrame:
    """Predictions as :meth:`multilogit.result.Fit.predict` describes them."""
    paths = None if new is None else parquet_paths(new)
    if paths is None:
        return _predict(fit, new, request, offset, trials)
    files = ParquetFiles.opened(paths)
    if any(np.ndim(given) > 0 for given in (offset, trials)):  # type: ignore[arg-type]
        return _predict(fit, files.whole(), request, offset, trials)
    named = {name for name in (fit.design.offset, offset, trials) if isinstance(name, str)}
    names = [name for name in files.names if name in named | _columns_of(fit)]
    chunks = files.chunks(names, max(_CHUNK // max(len(names), 1), 1_000))
    made = [_predict(fit, table, request, offset, trials) for table in chunks]
    return pd.concat(made, ignore_index=True)


def _columns_of(fit: Estimates) -> set[str]:
    """The columns of the data that predictions read."""
    spec = fit.design.spec
    return {column.text for column in (*spec.right_columns(), *spec.group_columns())}


def _predict(
    fit: Estimates, new: object, request: PredictionRequest, offset: object, trials: object
) -> pd.Series | pd.DataFrame:
    """Predictions for data that are in memory, or read into it."""
    if fit.levels is not None:  # their intercepts are in every prediction
        request = replace(request, level="conditional")
    if new is not None:
        data = new_rows(fit, new, request.level, request.new_groups, offset)
    elif offset is None:
        data = fitted_rows(fit, request.level)
    else:
        raise OptionError("offset= belongs to new data; give them as new=.")
    factor = _trials(fit, new, trials, request.kind, data)
    if not request.uncertain:
        value = value_of(prediction_model(fit), data.rows, request.level, request.scale)
        return _present(data.spread(value) * factor, fit.labels, request.kind, data.index)
    quantities = _with_errors(fit, data.rows, request)
    made = {name: data.spread(part) * factor for name, part in quantities.items()}
    return _present_all(made, fit.labels, request, data.index)


def _with_errors(
    fit: Estimates, rows: Rows, request: PredictionRequest
) -> dict[str, NDArray[np.float64]]:
    """Predictions, standard errors and limits, each like those of :func:`value_of`."""
    conditional = request.level == "conditional" and fit.random
    model = prediction_model(fit, fit.mode_uncertainty if conditional else None)
    covariance = parameter_covariance(fit)
    value, error = standard_errors(model, rows, request.level, request.scale, covariance)
    made = {"estimate": value, "se": error}
    if request.interval is not None:
        z = critical_value(request.interval)
        made["lower"], made["upper"] = limits(value, error, z, request.scale)
    return made


def _trials(
    fit: Estimates, new: object, trials: object, kind: Kind, data: DataRows
) -> NDArray[np.float64] | float:
    """What probabilities are multiplied by; 1, or a column of trials."""
    if trials is None:
        return 1.0
    if kind != "response":
        raise OptionError(f"trials= makes counts of probabilities; kind={kind!r} has none.")
    if new is None:
        raise OptionError("trials= belongs to new data; give them as new=.")
    return trials_of(new, trials)[:, None]


# --- with names --------------------------------------------------------------------------------


def _present(
    values: NDArray[np.float64], labels: Labels, kind: Kind, index: pd.Index
) -> pd.Series | pd.DataFrame:
    """Predictions with names: a Series for two categories and for classes."""
    if kind == "class":
        return pd.Series(most_probable(values, labels.categories), index=index, name="class")
    if labels.family == "binomial":
        return pd.Series(values[:, -1], index=index, name=kind)
    return pd.DataFrame(values, index=index, columns=outcome_names(labels, kind))


def _present_all(
    made: dict[str, NDArray[np.float64]],
    labels: Labels,
    request: PredictionRequest,
    index: pd.Index,
) -> pd.DataFrame:
    """One column per quantity, or for several categories one per quantity and category."""
    if labels.family == "binomial":
        return pd.DataFrame({name: part[:, -1] for name, part in made.items()}, index=index)
    columns = pd.MultiIndex.from_product([list(made), outcome_names(labels, request.kind)])
    return pd.DataFrame(np.hstack(list(made.values())), index=index, columns=columns)


def outcome_names(labels: Labels, scale: str) -> list[str]:
    """Names of what is predicted: the categories, or on the link scale the logits."""
    if scale == "link":
        return [f"logit[{logit}]" for logit in logit_names(labels)]
    return list(labels.categories)
