"""The left-hand side: every form of response as counts out of trials."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from multilogit.data.columns import Factor, label
from multilogit.data.model_frame import Column, Response
from multilogit.errors import DataError, Diagnostic, OptionError
from multilogit.formula.evaluate import Environment, evaluate, numbers
from multilogit.formula.spec import ResponseSpec

HINT = (
    "For counts out of trials write trials=, or cbind(successes, failures) on the left; for "
    "categories make the column categorical, e.g. C({name})."
)

_MOST = 1e15
"""Above this a count of one more is not seen, and sums of squares overflow sooner or later."""
_EXACT = 2.0**53
"""Whole numbers up to this add up without rounding."""
_TOO_MANY = ", and at most 1e15 is possible. Divide all of them by the same number."


@dataclass(frozen=True, slots=True)
class _Counts:
    """Counts of every category but the first: shape ``(n,)`` each.

    ``absent`` were declared, but never occur.
    """

    categories: tuple[str, ...]
    others: tuple[Column, ...]
    trials: Column
    absent: tuple[str, ...] = ()

    def column(self, k: int) -> Column:
        """The counts of category k."""
        return self.others[k - 1] if k > 0 else self.trials - sum(self.others)

    def totals(self, weights: Column | None) -> list[float]:
        """The weighted count of each category over all rows."""
        if weights is not None or (n := float(self.trials.sum())) > _EXACT:
            every = [self.column(k) for k in range(len(self.categories))]
            return [float(c.sum() if weights is None else c @ weights) for c in every]
        others = [float(column.sum()) for column in self.others]
        return [n - sum(others), *others]


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
    if weights is not None and not weights.any():
        raise DataError("The weights are all zero.")
    if spec.bound and trials is not None:
        raise OptionError("Give either cbind() on the left-hand side or trials=, not both.")
    if spec.bound:
        counts = _bound_counts(spec, environment)
    elif trials is not None:
        counts = _out_of_trials(spec, environment, trials)
    else:
        counts = _single(spec, environment, ones)
    if not counts.trials.any():
        if trials is not None:
            raise DataError("trials= is zero in every row.")
        raise DataError(f"{spec.name}: all counts are zero.")
    counts = _with_baseline(counts, baseline)
    counts, diagnostics = _without_empty_categories(counts, weights, spec)
    return _response(spec.name, counts, weights), diagnostics


def part_response(
    spec: ResponseSpec,
    environment: Environment,
    categories: Sequence[str],
    *,
    ones: Column,
    trials: Column | None,
    weights: Column | None,
) -> Response:
    """The left-hand side of a part of the data, in the categories of all of them.

    Parameters
    ----------
    categories
        As :func:`build_response` has found them, the baseline first; some need not occur here.
    spec, environment, ones, trials, weights
        As there.

    Raises
    ------
    DataError
        Numbers other than 0 and 1 without ``trials``; negative or fractional counts; successes
        above trials.
    """
    if spec.bound:
        counts = _bound_counts(spec, environment)
    elif trials is not None:
        counts = _out_of_trials(spec, environment, trials)
    else:
        counts = _part_of_single(spec, environment, categories, ones)
    order = [counts.categories.index(category) for category in categories]
    return _response(spec.name, _reordered(counts, order), weights)


def _part_of_single(
    spec: ResponseSpec, environment: Environment, categories: Sequence[str], ones: Column
) -> _Counts:
    value = evaluate(spec.parts[0], environment)
    if isinstance(value, Factor):
        labels = value.labels()
        columns = [
            (value.codes == labels.index(name)).astype(np.float64)
            if name in labels
            else np.zeros(len(value))
            for name in categories[1:]
        ]
        return _Counts(tuple(categories), tuple(columns), ones)
    values = numbers(spec.parts[0], environment)
    if not np.isin(values, (0.0, 1.0)).all():
        _check_zero_one(values, spec)
    return _Counts(tuple(sorted(categories)), (values,), ones)


def _response(name: str, counts: _Counts, weights: Column | None) -> Response:
    family = "binomial" if len(counts.categories) == 2 else "multinomial"
    if family == "binomial":
        stacked = counts.others[0].reshape(-1, 1)
    else:
        stacked = np.empty((counts.trials.shape[0], len(counts.others)), order="F")
        for k, column in enumerate(counts.others):
            stacked[:, k] = column
    return Response(
        family,  # type: ignore[arg-type]
        name,
        counts.categories,
        stacked,
        counts.trials,
        weights,
    )


# --- forms of response -----------------------------------------------------------------------


def _bound_counts(spec: ResponseSpec, environment: Environment) -> _Counts:
    """``cbind(successes, failures)``, or counts of three or more categories."""
    names = tuple(part.name for part in spec.parts)
    if len(set(names)) < len(names):
        raise DataError(f"{spec.name}: a column is there twice.")
    columns = [
        _whole(numbers(part, environment), repr(part.name), environment) for part in spec.parts
    ]
    if len(columns) == 2:  # successes come first, as in R; the failures are the baseline
        names, columns = names[::-1], columns[::-1]
    return _Counts(names, tuple(columns[1:]), sum(columns[1:], columns[0]))


def _out_of_trials(spec: ResponseSpec, environment: Environment, trials: Column) -> _Counts:
    name = repr(spec.name)
    if isinstance(evaluate(spec.parts[0], environment), Factor):
        raise DataError(f"{name} is categorical; with trials= it is the count of successes.")
    successes = _whole(numbers(spec.parts[0], environment), name, environment)
    trials = _whole(trials, "trials=", environment)
    above = successes > trials
    if above.any():
        most = f", more than its {trials[np.argmax(above)]:g} trials."
        environment.refuse(name, successes, above, most)
    return _Counts(("failure", "success"), (successes,), trials)


def _single(spec: ResponseSpec, environment: Environment, ones: Column) -> _Counts:
    value = evaluate(spec.parts[0], environment)
    if isinstance(value, Factor):
        return _categories(value, spec, ones)
    values = numbers(spec.parts[0], environment)
    _check_zero_one(values, spec)
    names = ("False", "True") if value.boolean else ("0", "1")
    return _Counts(names, (values,), ones)


def _categories(factor: Factor, spec: ResponseSpec, ones: Column) -> _Counts:
    declared, factor = factor.labels(), factor.used()
    names = factor.labels()
    if len(names) < 2:
        raise _one_class(spec.name, names)
    if len(names) > 100:
        raise DataError(
            f"The response {spec.name!r} has {len(names)} categories; at most 100 are allowed."
        )
    others = tuple((factor.codes == k).astype(np.float64) for k in range(1, len(names)))
    absent = tuple(name for name in declared if name not in names)
    return _Counts(names, others, ones, absent)


def _whole(values: Column, name: str, environment: Environment) -> Column:
    """Counts: whole and not negative."""
    environment.refuse(name, values, values < 0, ": a count cannot be negative.")
    advice = "For proportions give the number of successes, and that of trials with trials=."
    fractional = values != np.floor(values)
    environment.refuse(name, values, fractional, f": a count must be whole. {advice}")
    environment.refuse(name, values, values > _MOST, _TOO_MANY)
    return values


def check_weights(values: Column, environment: Environment) -> None:
    """Frequency weights: not negative, and not beyond all counting.

    Raises
    ------
    DataError
        If one is.
    """
    name = "weights="
    environment.refuse(name, values, values < 0, ": weights cannot be negative.")
    environment.refuse(name, values, values > _MOST, _TOO_MANY)


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
    if wanted in counts.absent:
        raise OptionError(
            f"baseline={baseline!r} never occurs in the data; choose one of "
            f"{', '.join(map(repr, counts.categories))}."
        )
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
        tuple(counts.column(k) for k in order[1:]),
        counts.trials,
        counts.absent,
    )


def _without_empty_categories(
    counts: _Counts, weights: Column | None, spec: ResponseSpec
) -> tuple[_Counts, tuple[Diagnostic, ...]]:
    """Categories that never occur cannot be modelled."""
    totals = counts.totals(weights)
    used = [k for k, total in enumerate(totals) if total > 0]
    if len(used) == len(totals) and not counts.absent:
        return counts, ()
    if len(used) < 2:
        raise _one_class(spec.name, [counts.categories[k] for k in used])
    empty = [counts.categories[k] for k in range(len(totals)) if k not in used]
    empty += counts.absent
    shown = ", ".join(map(repr, empty[:10])) + (", ..." if len(empty) > 10 else "")
    diagnostic = Diagnostic(
        "unused-categories",
        "warning",
        f"The response {spec.name!r} never takes the categor{'y' if len(empty) == 1 else 'ies'} "
        f"{shown}, which the model therefore leaves out: predictions give "
        f"{'it' if len(empty) == 1 else 'them'} no probability.",
        "Nothing can be learnt about a category without observations: take it out of the "
        "column's categories, merge it with another one, or collect some.",
        facts={"response": spec.name, "categories": empty},
    )
    return _reordered(counts, used), (diagnostic,)
