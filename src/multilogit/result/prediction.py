"""Predictions of a fit, for its own data or for new ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from multilogit.data.model_frame import Column, FixedColumns, ModelFrame, RandomBlock
from multilogit.errors import DataError, OptionError
from multilogit.predict import (
    Kind,
    Level,
    NewGroups,
    fixed_predictor,
    most_probable,
    probabilities,
    random_predictor,
)
from multilogit.result.measures import Measures
from multilogit.result.names import effect_terms, logit_names
from multilogit.result.training import Labels


@dataclass(frozen=True, slots=True)
class _Rows:
    """Columns to predict from: the fitted data's or new ones."""

    fixed: FixedColumns
    random: tuple[RandomBlock, ...]
    codes: Mapping[str, NDArray[np.int32]]
    offset: Column | None
    index: pd.Index
    """Labels of all rows of the data."""
    complete: NDArray[np.int64] | None
    """Which of them the columns belong to: those without missing values; None: all."""


def predict(
    fit: Measures, new: object, kind: Kind, level: Level, new_groups: NewGroups, offset: object
) -> pd.Series | pd.DataFrame:
    """Predictions as :meth:`multilogit.result.Fit.predict` describes them."""
    _check_choice("kind", kind, ("response", "link", "class"))
    _check_choice("level", level, ("conditional", "population"))
    _check_choice("new_groups", new_groups, ("error", "population"))
    conditional = level == "conditional" and bool(fit.random)
    if new is not None:
        rows = _new_rows(fit, new, conditional, new_groups, offset)
    elif offset is None:
        rows = _fitted_rows(fit._frame_for("predict() without new data", "Pass new data."))
    else:
        raise OptionError("offset= belongs to new data; give them as new=.")
    return _present(_linear_predictor(fit, rows, conditional), fit.labels, kind, rows.index)


def _check_choice(option: str, value: object, choices: Sequence[str]) -> None:
    if value not in choices:
        named = ", ".join(map(repr, choices))
        raise OptionError(f"{option}={value!r} is not available; choose one of {named}.")


def _fitted_rows(frame: ModelFrame) -> _Rows:
    n = frame.response.trials.shape[0]
    index = pd.RangeIndex(n) if frame.rows is None else pd.Index(frame.rows)
    codes = {name: grouping.codes for name, grouping in (frame.groupings or {}).items()}
    return _Rows(frame.fixed, frame.random, codes, frame.offset, index, None)


def _new_rows(
    fit: Measures, new: object, conditional: bool, new_groups: NewGroups, offset: object
) -> _Rows:
    """Columns for new data; new levels of a grouping factor have the code −1."""
    made = fit.design.new_columns(new, random=conditional, offset=offset)
    if new_groups == "error":
        for grouping in made.groupings.values():
            _refuse_new_levels(grouping.name, grouping.labels[grouping.codes < 0])
    kept = [made.fixed.names.index(name) for name in fit.labels.columns]
    index = new.index if isinstance(new, pd.DataFrame) else pd.RangeIndex(made.n_rows)
    codes = {name: grouping.codes for name, grouping in made.groupings.items()}
    return _Rows(made.fixed.keep(kept), made.random, codes, made.offset, index, made.rows)


def _refuse_new_levels(group: str, labels: NDArray[np.object_]) -> None:
    """Name the levels of a grouping factor that the fit has not seen, if there are any."""
    if not labels.size:
        return
    levels = list(dict.fromkeys(map(str, labels)))
    named = ", ".join(map(repr, levels[:10])) + (", ..." if len(levels) > 10 else "")
    what = "a level" if len(levels) == 1 else f"{len(levels)} levels"
    raise DataError(
        f"The new data have {what} of {group!r} that the fit has not seen: {named}. "
        'Use new_groups="population" to predict them with random effects 0.'
    )


def _linear_predictor(fit: Measures, rows: _Rows, conditional: bool) -> NDArray[np.float64]:
    """η, shape ``(n, C)``; NaN in rows with missing values."""
    n = len(rows.index)
    logits, p = fit.labels.n_logits, len(fit.labels.columns)
    psi = fit.solution.psi if fit.far is None else fit.far
    beta = psi[: logits * p].reshape(logits, p)
    n_complete = n if rows.complete is None else rows.complete.shape[0]
    eta = fixed_predictor(rows.fixed.columns, beta, rows.offset, n_complete)
    for effects in fit.random if conditional else ():
        columns = columns_by_name(rows.random, effects.group)
        terms = effect_terms(effects, fit.labels)
        for c in range(logits):
            mine = [k for k, (_, logit) in enumerate(terms) if logit == c]
            eta[:, c] += random_predictor(
                [columns[terms[k][0]] for k in mine],
                rows.codes[effects.group],
                effects.modes[:, mine],
            )
    if rows.complete is None:
        return eta
    full = np.full((n, eta.shape[1]), np.nan)
    full[rows.complete] = eta
    return full


def columns_by_name(blocks: Sequence[RandomBlock], group: str) -> dict[str, Column]:
    """Columns of Z of a factor; a name in two bar terms is the same column in both."""
    return {
        name: column
        for block in blocks
        if block.group == group
        for name, column in zip(block.names, block.columns, strict=True)
    }


def _present(
    eta: NDArray[np.float64], labels: Labels, kind: Kind, index: pd.Index
) -> pd.Series | pd.DataFrame:
    """η on the scale asked for, with names."""
    categories = labels.categories
    if kind == "class":
        return pd.Series(most_probable(eta, categories), index=index, name="class")
    if kind == "link":
        names, values = [f"logit[{logit}]" for logit in logit_names(labels)], eta
    else:
        names, values = list(categories), probabilities(eta)
    if labels.family == "binomial":
        return pd.Series(values[:, -1], index=index, name=kind)
    return pd.DataFrame(values, index=index, columns=names)
