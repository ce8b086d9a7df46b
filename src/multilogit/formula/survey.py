"""What a formula must know of all rows before it can make columns of some of them.

Data that are read part by part are read twice. The first pass makes a :class:`Survey` of every
part, and surveys add. A survey keeps the rows that show everything there is to learn: one for each
level of each factor and of the response, and those of the least and the largest number. The formula
learns from these few rows what it would learn from all. What depends on every row, means and
standard deviations, is added up beside them (:mod:`multilogit.formula.learning`).

The second pass makes the frame of each part with what was learnt
(:mod:`multilogit.formula.layout`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from multilogit.data.columns import Column, Factor, Numeric, sorted_levels
from multilogit.data.ingest import Table
from multilogit.errors import DataError, Diagnostic
from multilogit.formula.design import Design, Learnt
from multilogit.formula.evaluate import Environment, evaluate
from multilogit.formula.frame import (
    learn_frame,
    remembered_offset,
    rows_dropped,
    split_keywords,
)
from multilogit.formula.layout import CompletePart, Layout, Question, complete_part
from multilogit.formula.learning import (
    Moments,
    corrected,
    is_centred,
    learning_calls,
    learnt_from,
    summed,
)
from multilogit.formula.spec import FormulaSpec, Variable

_MOST_SHOWN = 100_000
"""Levels of one factor of which a row is kept."""


@dataclass(frozen=True, slots=True)
class Survey:
    """What a pass over some rows has found; surveys of different rows add.

    Attributes
    ----------
    question
        What was asked.
    n_rows, dropped
        Rows, and those of them with a missing value.
    missing
        Missing values by column.
    columns
        A few rows without missing values, which show all there is to learn.
    moments
        By call of a transform: those of its argument.
    """

    question: Question
    n_rows: int
    dropped: int
    missing: Mapping[str, int]
    columns: Mapping[str, Column]
    moments: Mapping[str, Moments]

    @property
    def n_shown(self) -> int:
        """Rows that were kept."""
        return len(next(iter(self.columns.values()), ()))

    def __add__(self, other: Survey) -> Survey:
        columns = self.columns if self.n_shown else other.columns
        if self.n_shown and other.n_shown:
            columns = {c: _joined(c, self.columns[c], other.columns[c]) for c in self.columns}
            columns = _kept(columns, _showing(self.question.spec, columns))
        return Survey(
            self.question,
            self.n_rows + other.n_rows,
            self.dropped + other.dropped,
            {name: count + other.missing[name] for name, count in self.missing.items()},
            columns,
            summed(self.moments, other.moments),
        )

    def learn(self, baseline: object = None, missing: str = "drop") -> Layout:
        """What the formula learns from all rows of the survey.

        Raises
        ------
        DataError, OptionError
            As :func:`multilogit.formula.build_frame`.
        """
        noticed: tuple[Diagnostic, ...] = ()
        if self.dropped:
            counts = {name: count for name, count in self.missing.items() if count}
            noticed = (rows_dropped(self.dropped, self.n_rows, counts),)
            if missing == "raise":
                raise DataError(
                    f"{noticed[0].message.replace(' were dropped', ' have missing values')} "
                    "Remove or fill them, or use missing='drop'."
                )
        spec = self.question.spec
        shown, learnt = learn_frame(spec, self.columns, self.n_shown, baseline=baseline)
        states = learnt.states | {
            text: corrected(call, learnt.states[text], self.moments[text])
            for text, call in learning_calls(spec)
            if text in self.moments
        }
        about_few = {"rare-category", "one-level", "one-row-per-group"}
        kept = [found for found in shown.diagnostics if found.code not in about_few]
        frame = replace(shown, n_input_rows=self.n_rows, diagnostics=(*noticed, *kept))
        offset = remembered_offset(self.question.given["offset"])
        return Layout(self.question, frame, Design(spec, Learnt(states, {}), offset))


def survey(table: Table, question: Question) -> Survey:
    """What is to be learnt from one part of the data.

    Parameters
    ----------
    table
        The part.
    question
        The formula and the columns of its keywords.

    Raises
    ------
    DataError
        A column is not there, is of a type that cannot be used, or is infinite.
    """
    return survey_complete(complete_part(table, question), question)


def survey_complete(part: CompletePart, question: Question) -> Survey:
    """What is to be learnt from the complete rows of a part; raises as :func:`survey`."""
    columns, n, n_rows, missing = part.columns, part.n, part.n_rows, part.missing
    if n == 0:
        return Survey(question, n_rows, n_rows, missing, {}, {})
    shown = _without_groups(question.spec, _kept(columns, _showing(question.spec, columns)))
    moments = {
        text: Moments.of(learnt_from(call, columns, question.spec))
        for text, call in learning_calls(question.spec)
        if is_centred(call)
    }
    return Survey(question, n_rows, n_rows - n, missing, shown, moments)


# --- rows that show what there is ---------------------------------------------------------------


def _showing(spec: FormulaSpec, columns: Mapping[str, Column]) -> NDArray[np.int64]:
    """Rows that show every level and both ends of every number."""
    n = len(next(iter(columns.values())))
    named, keywords = split_keywords(columns)
    environment = Environment(named, n)
    weights = keywords.get("weights")
    counted = None if weights is None else np.flatnonzero(weights > 0)
    found = [*(_ends_or_levels(evaluate(v, environment), None) for v in _plain_variables(spec))]
    found += [_ends_or_levels(column, None) for column in _numbers(spec, named)]
    for part in spec.response.parts:
        found.append(_ends_or_levels(evaluate(part, environment), counted))
    for _, call in learning_calls(spec):
        found.append(_ends(learnt_from(call, named, spec)))
    if "trials" in keywords:
        found.append(_ends(keywords["trials"]))
    if counted is not None:
        found.append(counted[:1])
    return np.unique(np.concatenate([np.array([0]), *found]))


def _plain_variables(spec: FormulaSpec) -> Iterator[Variable]:
    """Variables of the right-hand side that may be factors."""
    return (v for v in spec.right_variables() if v.kind in ("column", "factor"))


def _numbers(spec: FormulaSpec, columns: Mapping[str, Column]) -> Iterator[Column]:
    for name in dict.fromkeys(column.text for column in spec.right_columns()):
        if isinstance(columns[name], Numeric):
            yield columns[name]


def _ends_or_levels(value: Column, rows: NDArray[np.int64] | None) -> NDArray[np.int64]:
    """Of some rows (None: all) one for each level, or those of the least and largest number."""
    chosen = value if rows is None else value.take(rows)
    if not len(chosen):
        return np.zeros(0, dtype=np.int64)
    if isinstance(chosen, Factor):
        found = _first_of_each(chosen)[:_MOST_SHOWN]
    else:
        found = _ends(chosen.values)
    return found if rows is None else rows[found]


def _first_of_each(factor: Factor) -> NDArray[np.int64]:
    """The first row of each level that occurs."""
    first = np.full(len(factor.levels), -1)
    first[factor.codes[::-1]] = np.arange(len(factor) - 1, -1, -1)  # the last one written stays
    return first[first >= 0]


def _ends(values: NDArray[Any]) -> NDArray[np.int64]:
    return np.array([values.argmin(), values.argmax()])


def _without_groups(spec: FormulaSpec, columns: dict[str, Column]) -> dict[str, Column]:
    """Columns that are nothing but grouping factors without the levels of other rows."""
    alone = {column.text for column in spec.group_columns()}
    alone -= {column.text for column in spec.right_columns()}
    return {
        name: column.used() if name in alone and isinstance(column, Factor) else column
        for name, column in columns.items()
    }


def _kept(columns: Mapping[str, Column], rows: NDArray[np.int64]) -> dict[str, Column]:
    return {name: column.take(rows) for name, column in columns.items()}


def _joined(name: str, a: Column, b: Column) -> Column:
    """The values of two parts of a column, one after the other."""
    if isinstance(a, Numeric) and isinstance(b, Numeric):
        return Numeric(np.concatenate([a.values, b.values]), a.boolean and b.boolean)
    if not (isinstance(a, Factor) and isinstance(b, Factor)):
        raise DataError(
            f"Column {name!r} is numeric in one part of the data and categorical in another: give "
            "it one type."
        )
    levels = _all_levels(name, a.levels, b.levels)
    position = {level: k for k, level in enumerate(levels)}
    codes = [
        np.array([position[level] for level in factor.levels], dtype=np.int32)[factor.codes]
        for factor in (a, b)
    ]
    return Factor(np.concatenate(codes), levels)


def _all_levels(name: str, a: Sequence[Any], b: Sequence[Any]) -> tuple[Any, ...]:
    """The levels of two parts, in an order that suits both."""
    if a == b:
        return tuple(a)
    if sorted_levels(a) == list(a) and sorted_levels(b) == list(b):
        return tuple(sorted_levels({*a, *b}))
    raise DataError(
        f"The categories of column {name!r} differ between parts of the data, and are not in "
        "alphabetical order: give every part the same ones, or store it as text."
    )
