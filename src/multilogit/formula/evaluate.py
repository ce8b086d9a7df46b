"""Walks a checked expression over the columns of the data."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from multilogit.data.columns import Column, Factor, Numeric
from multilogit.errors import DataError
from multilogit.formula.functions import FUNCTIONS, Basis, Coded, State, Value, call
from multilogit.formula.safety import Apply, Checked, Operation
from multilogit.formula.syntax import Name, Number, Text

_OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    "*": np.multiply,
    "/": np.divide,
    "//": np.floor_divide,
    "%": np.mod,
    "^": np.power,
    "==": np.equal,
    "!=": np.not_equal,
    "<": np.less,
    "<=": np.less_equal,
    ">": np.greater,
    ">=": np.greater_equal,
}


@dataclass(frozen=True, slots=True)
class Environment:
    """What an expression is evaluated in.

    Attributes
    ----------
    columns
        The columns it may read, without missing values.
    n_rows
        Their common length.
    rows
        Row numbers in the user's data, or None where all are there.
    states
        What functions have learnt, by the text of the call; filled in training.
    training
        Whether functions learn, or use what they have learnt.
    """

    columns: Mapping[str, Column]
    n_rows: int
    rows: np.ndarray[Any, np.dtype[np.int64]] | None = None
    states: dict[str, State] = field(default_factory=dict)
    training: bool = True

    def row(self, index: int) -> int:
        """Row number in the user's data."""
        return index if self.rows is None else int(self.rows[index])


def evaluate(node: Checked, environment: Environment) -> Value:
    """The value of a checked expression.

    Raises
    ------
    DataError
        A factor in arithmetic, or arguments that a function rejects.
    """
    if isinstance(node, Name):
        return environment.columns[node.text]
    if isinstance(node, Number):
        return np.float64(node.value)
    if isinstance(node, Apply):
        return _apply(node, environment)
    if isinstance(node, Operation):
        return _operate(node, environment)
    raise AssertionError(f"unchecked node {node!r}")  # Text is only ever compared


def _apply(node: Apply, environment: Environment) -> Value:
    function = FUNCTIONS[node.function]
    if function.categorical:
        data: tuple[Any, ...] = (evaluate(node.arguments[0], environment),)
    elif node.function == "I":
        value = evaluate(node.arguments[0], environment)
        data = (value,)
    else:
        data = tuple(
            np.broadcast_to(numbers(argument, environment), environment.n_rows)
            for argument in node.arguments
        )
    if environment.training:
        state = environment.states.setdefault(node.key, {})
    else:
        state = copy.deepcopy(environment.states.get(node.key, {}))
    value = call(node.function, state, data, dict(node.options), node.key)
    if environment.training and not state:
        del environment.states[node.key]
    return value


def numbers(node: Checked, environment: Environment) -> Any:
    """The value of an expression as float64 or bool, an array or one number.

    Raises
    ------
    DataError
        The expression is a factor, or has several columns.
    """
    value = evaluate(node, environment)
    if isinstance(value, Numeric):
        return value.values.astype(bool) if value.boolean else value.floats()
    if isinstance(value, (Factor, Coded, Basis)):
        what = "several columns" if isinstance(value, Basis) else "categorical"
        named = f"Column {node.text!r}" if isinstance(node, Name) else "A function's result"
        raise DataError(f"{named} is {what}: it cannot be used in arithmetic.")
    return value


def _operate(node: Operation, environment: Environment) -> Value:
    with np.errstate(all="ignore"):  # non-finite results are looked for afterwards
        if node.op in ("==", "!=") and any(isinstance(side, Text) for side in node.operands):
            return _compare_level(node, environment)
        values = [numbers(operand, environment) for operand in node.operands]
        if node.op in ("not", "&", "|"):
            truths = [np.asarray(value) != 0 for value in values]
            if node.op == "not":
                return np.asarray(np.logical_not(truths[0]))
            return np.asarray((np.logical_and if node.op == "&" else np.logical_or)(*truths))
        values = [np.asarray(value, dtype=np.float64) for value in values]
        if node.op == "sum":
            total = values[0]
            for sign, value in zip(node.signs[1:], values[1:], strict=True):
                total = total + value if sign == "+" else total - value
            return np.asarray(total)
        if node.op in ("+", "-") and len(values) == 1:
            return np.asarray(-values[0] if node.op == "-" else values[0])
        return np.asarray(_OPERATORS[node.op](*values))


def _compare_level(node: Operation, environment: Environment) -> Value:
    """``factor == "level"``."""
    left, right = node.operands
    if isinstance(left, Text):
        left, right = right, left
    if isinstance(left, Text) or not isinstance(right, Text):
        raise DataError("Two texts are compared with each other; compare a column with a text.")
    value = evaluate(left, environment)
    factor = value.factor if isinstance(value, Coded) else value
    if not isinstance(factor, Factor):
        raise DataError(f"A numeric column is compared with the text {right.text!r}.")
    names = factor.labels()
    if right.text not in names:
        raise DataError(f"{right.text!r} is not a level. Levels: {', '.join(names[:20])}.")
    equal = factor.codes == names.index(right.text)
    return np.asarray(equal if node.op == "==" else ~equal)
