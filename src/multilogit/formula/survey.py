"""What a formula must know of all rows before it can make columns of some of them.

Data that are read part by part are read twice. The first pass makes a :class:`Survey` of every
part, and surveys add. A survey keeps the rows that show everything there is to learn: one for each
level of each factor and of the response, and those of the least and the largest number. The formula
learns from these few rows what it would learn from all. What depends on every row, means and
standard deviations, is added up beside them. Transforms that need all rows at once, such as
quantile knots and orthogonal polynomials, are refused.

The second pass makes the frame of each part with what was learnt.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from multilogit.data.columns import Column, Factor, Numeric, sorted_levels
from multilogit.data.grouping import GroupLevels, group
from multilogit.data.ingest import Table
from multilogit.data.model_frame import Grouping, ModelFrame
from multilogit.errors import DataError, Diagnostic, FormulaError
from multilogit.formula.design import (
    Design,
    Learnt,
    build_design,
    complete_rows,
    total_offset,
)
from multilogit.formula.evaluate import Environment, State, evaluate
from multilogit.formula.frame import (
    KEYWORDS,
    columns_in_use,
    learn_frame,
    parse_for,
    remembered_offset,
    rows_dropped,
    split_keywords,
)
from multilogit.formula.functions import LEARNING, signature
from multilogit.formula.response import part_response
from multilogit.formula.safety import called
from multilogit.formula.spec import FormulaSpec, Variable

_CENTRED = ("center", "scale", "standardize")
"""Transforms that learn a mean, and perhaps a standard deviation."""
_KNOTTED = ("bs", "cr", "cs", "cc")
"""Transforms that learn their range where their knots are given."""
_MOST_SHOWN = 100_000
"""Levels of one factor of which a row is kept."""


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked of the data: the formula, and the columns of the keywords.

    Attributes
    ----------
    spec
        The parsed formula.
    given
        Columns of ``weights``, ``offset`` and ``trials`` by keyword, or None.
    """

    spec: FormulaSpec
    given: Mapping[str, str | None]

    @classmethod
    def of(cls, formula: str, table: Table, **given: str | None) -> Question:
        """The question that a formula asks of tables with these columns.

        Raises
        ------
        FormulaError
            The formula has an error, or needs all rows at once.
        """
        spec = parse_for(formula, table, given)
        for _, call in _learning_calls(spec):
            _check_learnable(call, spec)
        return cls(spec, {key: given.get(key) for key in KEYWORDS})


@dataclass(frozen=True, slots=True)
class Moments:
    """Number, mean, and sum of squares about the mean: they add (Chan, Golub & LeVeque 1983)."""

    n: int
    mean: float
    squares: float

    @classmethod
    def of(cls, values: NDArray[np.float64]) -> Moments:
        """Those of some values."""
        mean = float(values.mean())
        return cls(values.size, mean, float(((values - mean) ** 2).sum()))

    def __add__(self, other: Moments) -> Moments:
        n = self.n + other.n
        apart = other.mean - self.mean
        mean = self.mean + apart * other.n / n
        return Moments(n, mean, self.squares + other.squares + apart**2 * self.n * other.n / n)


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
        calls = dict.fromkeys([*self.moments, *other.moments])
        moments = {call: _sum(self.moments.get(call), other.moments.get(call)) for call in calls}
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
            moments,
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
            text: _corrected(call, learnt.states[text], self.moments[text])
            for text, call in _learning_calls(spec)
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


@dataclass(frozen=True, slots=True)
class CompletePart:
    """A part of the data without the rows that miss a value.

    Attributes
    ----------
    columns
        All that are in use, at the complete rows.
    n_rows, n
        Rows, and those that are complete.
    missing
        Missing values by column.
    """

    columns: Mapping[str, Column]
    n_rows: int
    n: int
    missing: Mapping[str, int]


def complete_part(table: Table, question: Question) -> CompletePart:
    """The complete rows of a part; raises as :func:`survey`."""
    columns = columns_in_use(question.spec, table, question.given)
    rows, masks = complete_rows(columns, table.n_rows)
    missing = {c.lstrip("\0"): int(masks[c].sum()) if c in masks else 0 for c in columns}
    if rows is None:
        return CompletePart(columns, table.n_rows, table.n_rows, missing)
    kept = {name: column.take(rows) for name, column in columns.items()}
    return CompletePart(kept, table.n_rows, rows.shape[0], missing)


def survey_complete(part: CompletePart, question: Question) -> Survey:
    """What is to be learnt from the complete rows of a part; raises as :func:`survey`."""
    columns, n, n_rows, missing = part.columns, part.n, part.n_rows, part.missing
    if n == 0:
        return Survey(question, n_rows, n_rows, missing, {}, {})
    shown = _without_groups(question.spec, _kept(columns, _showing(question.spec, columns)))
    moments = {
        text: Moments.of(_argument(call, columns, question.spec))
        for text, call in _learning_calls(question.spec)
        if called(call) in _CENTRED
    }
    return Survey(question, n_rows, n_rows - n, missing, shown, moments)


@dataclass(frozen=True)
class Layout:
    """How columns are made of a part of the data, the same for every part.

    Attributes
    ----------
    question
        The formula and the columns of its keywords.
    shown
        The frame of the few rows that were learnt from: names of columns, categories, bar terms.
    design
        What was learnt; the levels of grouping factors are not in it.
    """

    question: Question
    shown: ModelFrame
    design: Design

    @cached_property
    def spec(self) -> FormulaSpec:
        """The parsed formula."""
        return self.question.spec

    def frame(self, table: Table) -> tuple[ModelFrame, dict[str, GroupLevels]] | None:
        """The frame of a part, and the levels of grouping factors in it; None without rows.

        The groups are numbered within the part.

        Raises
        ------
        DataError
            A value that the formula, or the response, cannot use.
        """
        columns = columns_in_use(self.spec, table, self.question.given)
        rows, _ = complete_rows(columns, table.n_rows)
        n = table.n_rows if rows is None else int(rows.shape[0])
        if n == 0:
            return None
        if rows is not None:
            columns = {name: column.take(rows) for name, column in columns.items()}
        columns, keywords = split_keywords(columns)
        states = self.design.learnt.states
        environment = Environment(columns, n, rows, states, training=False)
        if "weights" in keywords:
            values = keywords["weights"]
            environment.refuse("weights=", values, values < 0, ": weights cannot be negative.")
        fixed, random = build_design(self.spec, environment)
        response = part_response(
            self.spec.response,
            environment,
            self.shown.response.categories,
            ones=np.ones(n),
            trials=keywords.get("trials"),
            weights=keywords.get("weights"),
        )
        groupings, levels = _groups(self.spec, columns)
        extra = Numeric(keywords["offset"]) if "offset" in keywords else None
        frame = ModelFrame(
            response=response,
            fixed=fixed,
            random=random,
            groupings=groupings or None,
            offset=total_offset(self.spec.offsets, environment, extra),
            n_input_rows=table.n_rows,
        )
        return frame, levels


def _groups(
    spec: FormulaSpec, columns: Mapping[str, Column]
) -> tuple[dict[str, Grouping], dict[str, GroupLevels]]:
    groupings, levels = {}, {}
    for bar in spec.bars:
        name, parts = bar.group.name, [column.text for column in bar.group.columns]
        if name not in groupings:
            groupings[name], levels[name] = group(name, parts, [columns[part] for part in parts])
    return groupings, levels


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
    for _, call in _learning_calls(spec):
        found.append(_ends(_argument(call, named, spec)))
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


# --- transforms that learn ----------------------------------------------------------------------


def _learning_calls(spec: FormulaSpec) -> list[tuple[str, ast.Call]]:
    """Every call of a function that learns, as formulaic names it, each once."""
    every = chain(spec.right_variables(), spec.response.parts)
    found = {
        ast.unparse(node): node
        for variable in every
        for node in ast.walk(ast.parse(variable.expression, mode="eval"))
        if isinstance(node, ast.Call) and called(node) in LEARNING and not _is_raw(node)
    }
    return [*found.items()]


def _is_raw(call: ast.Call) -> bool:
    raw = signature(called(call)).parameters.get("raw") and _options(call).get("raw")
    return isinstance(raw, ast.Constant) and raw.value is True


def _options(call: ast.Call) -> dict[str, ast.expr]:
    """The arguments of a call by name."""
    names = [*signature(called(call)).parameters]
    by_name = {option.arg: option.value for option in call.keywords if option.arg}
    return dict(zip(names, call.args, strict=False)) | by_name


def _check_learnable(call: ast.Call, spec: FormulaSpec) -> None:
    name, text = called(call), ast.unparse(call)
    inner = [node for node in ast.walk(call) if node is not call and isinstance(node, ast.Call)]
    if any(called(node) in LEARNING for node in inner):
        raise FormulaError(f"{text} learns from what has been learnt: it needs all rows at once.")
    if name in _KNOTTED and "knots" not in _options(call):
        raise FormulaError(
            f"{text} places its knots at quantiles, for which all rows are needed at once; give "
            f"them for data in parts: {name}(..., knots=[...])."
        )
    if "constraints" in _options(call):
        raise FormulaError(
            f"{text}: constraints= needs all rows at once; leave it out for data in parts."
        )
    if name == "poly":
        raise FormulaError(
            f"{text} makes orthogonal columns, for which all rows are needed at once; for data in "
            "parts use poly(..., raw=True)."
        )


def _argument(
    call: ast.Call, columns: Mapping[str, Column], spec: FormulaSpec
) -> NDArray[np.float64]:
    """The values that a transform learns from."""
    text = ast.unparse(call.args[0])
    used = next(v.columns for v in spec.right_variables() if ast.unparse(call) in _calls(v))
    n = len(next(iter(columns.values())))
    value = evaluate(Variable(text, text, used, "number"), Environment(columns, n))
    if not isinstance(value, Numeric):
        raise DataError(f"{text} is not numeric.")
    return value.floats()


def _calls(variable: Variable) -> set[str]:
    tree = ast.parse(variable.expression, mode="eval")
    return {ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.Call)}


def _corrected(call: ast.Call, state: State, moments: Moments) -> State:
    """The state of a centring transform, from the moments of all rows."""
    options = _options(call)
    state = dict(state)
    if _learns(options.get("center")):
        state["center"] = moments.mean
    if state.get("scale") is not None and _learns(options.get("scale", options.get("rescale"))):
        centre = state["center"] or 0.0
        squares = moments.squares + moments.n * (moments.mean - centre) ** 2
        state["scale"] = float(np.sqrt(squares / (moments.n - state["ddof"])))
    return state


def _learns(option: ast.expr | None) -> bool:
    """Whether an option is left out, or True."""
    return option is None or (isinstance(option, ast.Constant) and option.value is True)


def _sum(a: Moments | None, b: Moments | None) -> Moments:
    if a is None or b is None:
        found = a or b
        assert found is not None
        return found
    return a + b
