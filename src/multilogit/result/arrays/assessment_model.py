"""The arrays of a fitted model, on its own data or on new ones, for :mod:`multilogit.assess`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from multilogit.assess.model import Factor, Model
from multilogit.assess.simulation import Level, whole_trials
from multilogit.data.model_frame import Column, FixedColumns, RandomBlock, Response
from multilogit.errors import DataError, OptionError
from multilogit.predict import Level as PredictionLevel
from multilogit.predict import fixed_predictor
from multilogit.predict.tangent import value as value_of
from multilogit.result.arrays.prediction_model import prediction_model
from multilogit.result.arrays.prediction_rows import (
    DataRows,
    columns_by_name,
    fitted_rows,
    new_rows,
)
from multilogit.result.arrays.user_rows import trials_of
from multilogit.result.fields.measures import Measures
from multilogit.result.fields.parameter_names import effect_terms
from multilogit.result.fields.random_effects import RandomEffects

Codes = NDArray[np.int32]


def assessment_model(fit: Measures, what: str) -> Model:
    """The fitted model on its own data, which ``what`` needs."""
    frame = fit._rows_for(what)
    if fit.levels is not None:
        eta = _with_levels(fit, fitted_rows(fit, "conditional"))
        return Model(frame.response, eta)
    factors = tuple(
        _factor(fit, effects, frame.random, frame.codes[effects.group]) for effects in fit.random
    )
    n = frame.response.trials.shape[0]
    return Model(frame.response, _fixed(fit, frame.fixed, frame.offset, n), factors)


def _with_levels(fit: Measures, data: DataRows) -> NDArray[np.float64]:
    """Xβ̂ + offset of a fit with very many levels, their intercepts included."""
    return value_of(prediction_model(fit), data.rows, "conditional", "link")


def _fixed(
    fit: Measures, columns: FixedColumns, offset: Column | None, n: int
) -> NDArray[np.float64]:
    """Xβ̂ + offset, shape ``(n, C)``; infinite coefficients stand for very large ones."""
    logits, p = fit.labels.n_logits, len(columns.names)
    psi = fit.solution.psi if fit.far is None else fit.far
    return fixed_predictor(columns.columns, psi[: logits * p].reshape(logits, p), offset, n)


def _factor(
    fit: Measures,
    effects: RandomEffects,
    blocks: Sequence[RandomBlock],
    codes: Codes,
    n_new: int | None = None,
) -> Factor:
    """The effects of a factor: at its own levels, or for so many new ones."""
    terms = effect_terms(effects, fit.labels)
    named = columns_by_name(blocks, effects.group)
    columns = tuple(named[name] for name, _ in terms)
    modes, covariance = effects.modes, effects.mode_covariance
    if n_new is not None:
        q = modes.shape[1]
        modes, covariance = np.zeros((n_new, q)), np.zeros((n_new, q, q))
    logits = tuple(logit for _, logit in terms)
    return Factor(columns, logits, codes, effects.Lambda, modes, covariance)


def simulated_model(fit: Measures) -> Model:
    """The model to draw from: a row of frequency weight w has w times its trials.

    Raises
    ------
    OptionError
        If the weights are not whole numbers.
    """
    model = assessment_model(fit, "simulate()")
    response = model.response
    trials = whole_trials(response.trials, response.weights)
    if trials is None:
        raise OptionError(
            "The frequency weights are not whole numbers, so that the rows they stand for cannot "
            "be drawn; fit with whole weights to simulate."
        )
    return replace(model, response=replace(response, trials=trials, weights=None))


def fitted_probabilities(fit: Measures, level: PredictionLevel) -> NDArray[np.float64]:
    """Category probabilities of the rows of the fit, shape ``(n, J)``."""
    if fit.levels is not None:  # their intercepts are in every prediction
        level = "conditional"
    rows = fitted_rows(fit, level).rows
    return value_of(prediction_model(fit), rows, level, "response")


def new_model(
    fit: Measures, new: object, level: Level, trials: object, offset: object
) -> tuple[Model, pd.Index]:
    """The model on new data without missing values, and the labels of its rows."""
    if fit.levels is not None:
        return _new_model_of_levels(fit, new, trials, offset)
    made = fit.design.new_columns(new, offset=offset)
    labels = new.index if isinstance(new, pd.DataFrame) else pd.RangeIndex(made.n_rows)
    index = labels if made.rows is None else labels[made.rows]
    n = len(index)
    kept = [made.fixed.names.index(name) for name in fit.labels.columns]
    factors = []
    for effects in fit.random:
        grouping = made.groupings[effects.group]
        codes, n_new = grouping.codes, None
        if level == "marginal":  # every level of the new data gets effects of its own
            levels, uniques = pd.factorize(grouping.labels)
            codes, n_new = levels.astype(np.int32), len(uniques)
        elif (codes < 0).any():
            raise DataError(
                f"The new data have levels of {effects.group!r} that the fit has not seen: they "
                "have no conditional modes. Use level='marginal'."
            )
        factors.append(_factor(fit, effects, made.random, codes, n_new))
    response = _unknown_response(fit, _new_trials(fit, new, trials), made.rows)
    fixed = _fixed(fit, made.fixed.keep(kept), made.offset, n)
    return Model(response, fixed, tuple(factors)), index


def _new_model_of_levels(
    fit: Measures, new: object, trials: object, offset: object
) -> tuple[Model, pd.Index]:
    data = new_rows(fit, new, "conditional", "error", offset)
    response = _unknown_response(fit, _new_trials(fit, new, trials), data.complete)
    index = data.index if data.complete is None else data.index[data.complete]
    return Model(response, _with_levels(fit, data)), index


def _unknown_response(fit: Measures, trials: Column, rows: NDArray[np.int64] | None) -> Response:
    """The response of new data, which is to be drawn; ``rows``: those without missing values."""
    counted = trials if rows is None else trials[rows]
    empty = np.zeros((counted.size, fit.labels.n_logits), order="F")
    labels = fit.labels
    return Response(labels.family, labels.response, labels.categories, empty, counted)


def _new_trials(fit: Measures, new: object, trials: object) -> Column:
    """Trials of new data: by column name, one number or one per row; of the fit's own column."""
    if trials is None:
        named = fit.spec.options.get("trials")
        trials = named if isinstance(named, str) else 1
    given = trials_of(new, trials)
    if not (given == np.floor(given)).all():
        raise DataError("trials= must be whole numbers from 0 on.")
    return given
