"""The left-hand side: every form of response as counts out of trials."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from multilogit.data.columns import Factor, Numeric, label
from multilogit.data.model_frame import Column, Response
from multilogit.errors import DataError, Diagnostic, OptionError
from multilogit.formula.evaluate import Environment, evaluate
from multilogit.formula.functions import Coded
from multilogit.formula.parse import ResponseSpec

HINT = (
    "For counts out of trials write trials=, or cbind(successes, failures) on the left; for "
    "categories make the column categorical, e.g. C({name})."
)


@dataclass(frozen=True, slots=True)
class _Counts:
    """Counts of every category: shape ``(n,)`` each."""

    categories: tuple[str, ...]
    columns: tuple[Column, ...]
    trials: Column


def build_response(
    spec: ResponseSpec,
    environment: Environment,
    *,
    ones: Column,
    trials: Column | None,
    weights: Column | None,
    baseline: object = None,
) -> tuple[Response, tuple[Diagnostic, ...]]:
    """Evaluate the left-hand side.

    Parameters
    ----------
    spec
        The parsed left-hand side.
    environment
        Its columns.
    ones
        Shape ``(n,)``: trials of a response that is not aggregated (shared, not copied).
    trials, weights
        Shape ``(n,)`` or None.
    baseline
        Label of the reference category; None: the first level, the failures, or the first
        column of a ``cbind`` of three or more.

    Raises
    ------
    DataError
        One class only; more than two distinct numbers without ``trials``; negative or
        fractional counts; successes above trials; no weight at all.
    OptionError
        ``baseline`` is not a category.
    """
    _check_weights(weights)
    if spec.bound:
        if trials is not None:
            raise OptionError("Give either cbind() on the left-hand side or trials=, not both.")
        counts = _bound_counts(spec, environment)
    else:
        counts = _single(spec, environment, ones, trials)
    counts = _with_baseline(counts, baseline)
    counts, diagnostics = _without_empty_categories(counts, weights, spec)
    return _response(spec.name, counts, weights), diagnostics


def _response(name: str, counts: _Counts, weights: Column | None) -> Response:
    family = "binomial" if len(counts.categories) == 2 else "multinomial"
    if len(counts.columns) == 2:
        stacked = counts.columns[1].reshape(-1, 1)
    else:
        stacked = np.empty((counts.trials.shape[0], len(counts.columns) - 1), order="F")
        for k, column in enumerate(counts.columns[1:]):
            stacked[:, k] = column
    return Response(
        family,  # type: ignore[arg-type]
        name,
        counts.categories,
        stacked,
        counts.trials,
        weights,
    )


def _check_weights(weights: Column | None) -> None:
    if weights is not None and not weights.any():
        raise DataError("The weights are all zero.")


# --- forms of response -----------------------------------------------------------------------


def _bound_counts(spec: ResponseSpec, environment: Environment) -> _Counts:
    """``cbind(successes, failures)``, or counts of three or more categories."""
    names = tuple(part.name for part in spec.parts)
    if len(set(names)) < len(names):
        raise DataError(f"{spec.name}: a column is there twice.")
    columns = []
    for part in spec.parts:
        value = evaluate(part.node, environment)
        columns.append(
            _whole_counts(_numbers(value, part.name, environment), part.name, environment)
        )
    if len(columns) == 2:  # successes come first, as in R; the failures are the baseline
        names, columns = names[::-1], columns[::-1]
    trials = columns[0] + columns[1]
    for column in columns[2:]:
        trials = trials + column
    if not trials.any():
        raise DataError(f"{spec.name}: all counts are zero.")
    return _Counts(names, tuple(columns), trials)


def _single(
    spec: ResponseSpec, environment: Environment, ones: Column, trials: Column | None
) -> _Counts:
    value = evaluate(spec.parts[0].node, environment)
    if isinstance(value, Coded):
        value = value.factor
    if isinstance(value, np.ndarray) and value.dtype.kind == "b":
        value = Numeric(value, boolean=True)
    if trials is not None:
        return _out_of_trials(value, spec, environment, trials)
    if isinstance(value, Factor):
        return _categories(value, spec, ones)
    numbers = _numbers(value, spec.name, environment)
    is_boolean = isinstance(value, Numeric) and value.boolean
    _check_zero_one(numbers, spec)
    names = ("False", "True") if is_boolean else ("0", "1")
    return _Counts(names, (ones - numbers, numbers), ones)


def _out_of_trials(
    value: Any, spec: ResponseSpec, environment: Environment, trials: Column
) -> _Counts:
    if isinstance(value, Factor):
        raise DataError(
            f"{spec.name!r} is categorical; with trials= the response is a count of successes."
        )
    successes = _whole_counts(_numbers(value, spec.name, environment), spec.name, environment)
    trials = _whole_counts(trials, "trials", environment)
    above = np.flatnonzero(successes > trials)
    if above.size:
        row = int(above[0])
        raise DataError(
            f"{spec.name!r} is {successes[row]:g} at row {environment.row(row)}, more than its "
            f"{trials[row]:g} trials."
        )
    if not trials.any():
        raise DataError("trials= is zero in every row.")
    return _Counts(("failure", "success"), (trials - successes, successes), trials)


def _categories(factor: Factor, spec: ResponseSpec, ones: Column) -> _Counts:
    factor = factor.used()
    names = factor.labels()
    if len(names) < 2:
        raise _one_class(spec.name, names)
    if len(names) > 100:
        raise DataError(
            f"The response {spec.name!r} has {len(names)} categories; at most 100 are allowed."
        )
    columns = tuple((factor.codes == k).astype(np.float64) for k in range(len(names)))
    return _Counts(names, columns, ones)


def _numbers(value: Any, name: str, environment: Environment) -> Column:
    """Float64 values of an expression on the left-hand side, finite."""
    if isinstance(value, Numeric):
        return value.floats()
    if isinstance(value, (np.ndarray, np.float64)):
        out = np.ascontiguousarray(np.broadcast_to(np.asarray(value, float), environment.n_rows))
        bad = np.flatnonzero(~np.isfinite(out))
        if bad.size:
            row = int(bad[0])
            raise DataError(f"{name!r} is {out[row]:g} at row {environment.row(row)}.")
        return out
    raise DataError(f"{name!r} is not numeric; counts and 0/1 responses are.")


def _whole_counts(values: Column, name: str, environment: Environment) -> Column:
    """Counts: whole and not negative."""
    negative = np.flatnonzero(values < 0)
    if negative.size:
        row = int(negative[0])
        raise DataError(
            f"{name!r} is {values[row]:g} at row {environment.row(row)}: "
            "a count cannot be negative."
        )
    fractional = np.flatnonzero(values != np.floor(values))
    if fractional.size:
        row = int(fractional[0])
        raise DataError(
            f"{name!r} is {values[row]:g} at row {environment.row(row)}: a count must be whole. "
            "For proportions give the number of successes, and the number of trials with trials=."
        )
    return values


def _check_zero_one(values: Column, spec: ResponseSpec) -> None:
    """A numeric response without trials is 0 or 1."""
    ones = int(np.count_nonzero(values == 1.0))
    zeros = int(np.count_nonzero(values == 0.0))
    if ones + zeros == values.shape[0]:
        if not ones or not zeros:
            raise _one_class(spec.name, ("1",) if ones else ("0",))
        return
    distinct = np.unique(values)
    hint = HINT.format(name=spec.name)
    shown = ", ".join(label(v) for v in distinct[:5]) + (", ..." if distinct.size > 5 else "")
    if distinct.size == 1:
        raise _one_class(spec.name, (shown,))
    if distinct[0] >= 0 and distinct[-1] <= 1:
        hint = (
            "Proportions need the number of trials: give counts with trials=, or "
            "cbind(successes, failures)."
        )
    raise DataError(
        f"The numeric response {spec.name!r} has {distinct.size} distinct values ({shown}) where "
        f"0 and 1 are expected. {hint}"
    )


def _one_class(name: str, labels: Sequence[str]) -> DataError:
    only = f" ({labels[0]!r})" if labels else ""
    return DataError(
        f"The response {name!r} has only one class{only}; a model needs two. Check the data, the "
        "weights and the rows that were dropped."
    )


# --- categories ------------------------------------------------------------------------------


def _with_baseline(counts: _Counts, baseline: object) -> _Counts:
    """The same counts, the baseline first."""
    if baseline is None:
        return counts
    wanted = label(baseline)
    if wanted not in counts.categories:
        raise OptionError(
            f"baseline={baseline!r} is not a category. Categories: "
            f"{', '.join(map(repr, counts.categories))}."
        )
    first = counts.categories.index(wanted)
    order = [first, *(k for k in range(len(counts.categories)) if k != first)]
    return _reordered(counts, order)


def _reordered(counts: _Counts, order: Sequence[int]) -> _Counts:
    return _Counts(
        tuple(counts.categories[k] for k in order),
        tuple(counts.columns[k] for k in order),
        counts.trials,
    )


def _without_empty_categories(
    counts: _Counts, weights: Column | None, spec: ResponseSpec
) -> tuple[_Counts, tuple[Diagnostic, ...]]:
    """Categories that never occur cannot be modelled."""
    totals = [_total(column, weights) for column in counts.columns]
    used = [k for k, total in enumerate(totals) if total > 0]
    if len(used) == len(totals):
        return counts, ()
    if len(used) < 2:
        raise _one_class(spec.name, [counts.categories[k] for k in used])
    empty = [counts.categories[k] for k in range(len(totals)) if k not in used]
    shown = ", ".join(map(repr, empty))
    diagnostic = Diagnostic(
        "unused-categories",
        "warning",
        f"The response {spec.name!r} never takes the categor{'y' if len(empty) == 1 else 'ies'} "
        f"{shown}, which the model therefore leaves out.",
        facts={"response": spec.name, "categories": empty},
    )
    return _reordered(counts, used), (diagnostic,)


def _total(column: Column, weights: Column | None) -> float:
    return float(column.sum() if weights is None else column @ weights)
