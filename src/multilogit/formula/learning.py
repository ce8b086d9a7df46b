"""Transforms that learn from the data: which they are, and what of it adds up over parts."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from multilogit.data.columns import Column, Numeric
from multilogit.errors import DataError, FormulaError
from multilogit.formula.evaluate import Environment, State, evaluate
from multilogit.formula.functions import LEARNING, signature
from multilogit.formula.safety import called
from multilogit.formula.spec import FormulaSpec, Variable

_CENTRED = ("center", "scale", "standardize")
"""Transforms that learn a mean, and perhaps a standard deviation."""
_KNOTTED = ("bs", "ns", "cr", "cs", "cc")
"""Transforms that learn their range where their knots are given."""


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


def summed(a: Mapping[str, Moments], b: Mapping[str, Moments]) -> dict[str, Moments]:
    """The moments of two parts of the data, call by call; a part without rows has none."""
    return {**a, **b, **{call: a[call] + b[call] for call in a if call in b}}


def learning_calls(spec: FormulaSpec) -> list[tuple[str, ast.Call]]:
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


def is_centred(call: ast.Call) -> bool:
    """Whether a transform learns nothing but moments."""
    return called(call) in _CENTRED


def check_learnable(call: ast.Call) -> None:
    """Refuse a transform that cannot be learnt from parts of the data.

    Raises
    ------
    FormulaError
        It needs all rows at once.
    """
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


def learnt_from(
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


def corrected(call: ast.Call, state: State, moments: Moments) -> State:
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
