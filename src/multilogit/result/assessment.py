"""Assessment of a fit: its arrays for :mod:`multilogit.assess`, and names for what comes back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from multilogit.assess import simulation
from multilogit.assess.model import Factor, Model
from multilogit.assess.simulation import Level
from multilogit.data.ingest import read_table
from multilogit.data.model_frame import Column, FixedColumns, ModelFrame, RandomBlock, Response
from multilogit.errors import DataError, OptionError
from multilogit.formula.design import column_or_array
from multilogit.predict import fixed_predictor
from multilogit.result.measures import Measures
from multilogit.result.names import logit_names
from multilogit.result.parts import RandomEffects
from multilogit.result.training import Labels

Codes = NDArray[np.int32]

# ------------------------------------------------------------------ the arrays of a fit


def model_of(fit: Measures) -> Model:
    """The fitted model on its own data."""
    frame = fit.frame
    codes = {name: grouping.codes for name, grouping in (frame.groupings or {}).items()}
    factors = tuple(
        _factor(fit, effects, frame.random, codes[effects.group], effects.modes)
        for effects in fit.random
    )
    n = frame.response.trials.shape[0]
    return Model(frame.response, _fixed(fit, frame.fixed, frame.offset, n), factors)


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
    modes: NDArray[np.float64],
) -> Factor:
    terms = effect_terms(effects, fit.labels)
    named = _columns_by_name(blocks, effects.group)
    columns = tuple(named[name] for name, _ in terms)
    return Factor(columns, tuple(logit for _, logit in terms), codes, effects.Lambda, modes)


def effect_terms(effects: RandomEffects, labels: Labels) -> list[tuple[str, int]]:
    """Column of Z and logit (from 0) of every effect: ``"logit[c] x"`` is x in the logit of c."""
    prefixes = [f"logit[{logit}] " if logit else "" for logit in logit_names(labels)]
    found = []
    for name in effects.names:
        logit = next(c for c, prefix in enumerate(prefixes) if name.startswith(prefix))
        found.append((name.removeprefix(prefixes[logit]), logit))
    return found


def _columns_by_name(blocks: Sequence[RandomBlock], group: str) -> Mapping[str, Column]:
    """Columns of Z of a factor; a name in two bar terms is the same column in both."""
    return {
        name: column
        for block in blocks
        if block.group == group
        for name, column in zip(block.names, block.columns, strict=True)
    }


def row_index(frame: ModelFrame) -> pd.Index:
    """Row numbers in the user's data of the rows that were used."""
    n = frame.response.trials.shape[0]
    return pd.RangeIndex(n) if frame.rows is None else pd.Index(frame.rows)


# ------------------------------------------------------------------ simulation


def simulate(
    fit: Measures, n: int, seed: int, level: Level, new: object, trials: object, offset: object
) -> pd.DataFrame:
    """Simulated responses as :meth:`multilogit.result.Fit.simulate` describes them."""
    if level not in ("marginal", "conditional"):
        raise OptionError(f"level={level!r}: use 'marginal' or 'conditional'.")
    if isinstance(n, bool) or not isinstance(n, int | np.integer) or n < 1:
        raise OptionError(f"n={n!r}: give the number of data sets, a whole number from 1 on.")
    if new is not None:
        model, index = _new_model(fit, new, level, trials, offset)
    elif trials is None and offset is None:
        model, index = simulated_model(fit), row_index(fit.frame)
    else:
        raise OptionError("trials= and offset= belong to new data; give them as new=.")
    draws = simulation.simulate(model, range(n), seed, level)
    return _present(list(draws), model, index)


def simulated_model(fit: Measures) -> Model:
    """The model to draw from: a row of frequency weight w has w times its trials.

    Raises
    ------
    OptionError
        If the weights are not whole numbers.
    """
    model = model_of(fit)
    response = model.response
    trials = simulation.whole_trials(response.trials, response.weights)
    if trials is None:
        raise OptionError(
            "The frequency weights are not whole numbers, so that the rows they stand for cannot "
            "be drawn; fit with whole weights to simulate."
        )
    return replace(model, response=replace(response, trials=trials, weights=None))


def _new_model(
    fit: Measures, new: object, level: Level, trials: object, offset: object
) -> tuple[Model, pd.Index]:
    """The model on new data without missing values, and the labels of its rows."""
    made = fit.design.new_columns(new, offset=offset)
    labels = new.index if isinstance(new, pd.DataFrame) else pd.RangeIndex(made.n_rows)
    index = labels if made.rows is None else labels[made.rows]
    n = len(index)
    kept = [made.fixed.names.index(name) for name in fit.labels.columns]
    factors = []
    for effects in fit.random:
        grouping = made.groupings[effects.group]
        codes, modes = grouping.codes, effects.modes
        if level == "marginal":  # every level of the new data gets effects of its own
            levels, uniques = pd.factorize(grouping.labels)
            codes, modes = levels.astype(np.int32), np.zeros((len(uniques), modes.shape[1]))
        elif (codes < 0).any():
            raise DataError(
                f"The new data have levels of {effects.group!r} that the fit has not seen: they "
                "have no conditional modes. Use level='marginal'."
            )
        factors.append(_factor(fit, effects, made.random, codes, modes))
    counted = _new_trials(fit, new, trials)
    counted = counted if made.rows is None else counted[made.rows]
    empty = np.zeros((n, fit.labels.n_logits), order="F")
    labels = fit.labels
    response = Response(labels.family, labels.response, labels.categories, empty, counted)
    fixed = _fixed(fit, made.fixed.keep(kept), made.offset, n)
    return Model(response, fixed, tuple(factors)), index


def _new_trials(fit: Measures, new: object, trials: object) -> Column:
    """Trials of new data: by column name, one number or one per row; of the fit's own column."""
    table = read_table(new)
    if trials is None:
        named = fit.spec.options.get("trials")
        trials = named if isinstance(named, str) else 1
    if np.ndim(trials) == 0 and not isinstance(trials, str):  # type: ignore[arg-type]
        trials = np.full(table.n_rows, trials)
    given = column_or_array(trials, "trials", table).floats()
    if not ((given >= 0) & (given == np.floor(given))).all():
        raise DataError("trials= must be whole numbers from 0 on.")
    return given


def _present(draws: Sequence[NDArray[np.float64]], model: Model, index: pd.Index) -> pd.DataFrame:
    names = [f"sim_{k + 1}" for k in range(len(draws))]
    if model.response.family == "binomial":
        counts = np.column_stack([draw[:, 0] for draw in draws])
        return pd.DataFrame(counts.astype(np.int64), index=index, columns=names)
    trials = model.response.trials
    full = [np.column_stack([trials - draw.sum(axis=1), draw]) for draw in draws]
    columns = pd.MultiIndex.from_product([names, model.response.categories])
    return pd.DataFrame(np.hstack(full).astype(np.int64), index=index, columns=columns)
