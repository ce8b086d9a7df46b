"""Derivatives of the columns of a design in one column of the data.

A term is a product of variables: its derivative is a sum over those that depend on the column. Of
expressions it is exact (:mod:`.dual`); splines and polynomials, which are (piecewise) polynomials,
are differentiated by a five-point difference that does not step over a knot: that is exact but for
rounding up to the fourth degree.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from multilogit.data.columns import Column, Factor, Numeric
from multilogit.data.model_frame import FixedColumns
from multilogit.errors import DataError
from multilogit.formula.bridge import Coded, Columns, materialize
from multilogit.formula.coding import coded_products
from multilogit.formula.dual import Dual, tangent_of, value_of
from multilogit.formula.evaluate import COMPUTING, Environment, State, as_value, not_computed
from multilogit.formula.functions import BLOCKS, NAMESPACE
from multilogit.formula.safety import alias, called
from multilogit.formula.spec import INTERCEPT, Name, Terms, Variable, label

Floats = NDArray[np.float64]
Block = list[Floats]

_CENTRAL = ((-2.0, 1.0), (-1.0, -8.0), (1.0, 8.0), (2.0, -1.0))
_FORWARD = ((0.0, -25.0), (1.0, 48.0), (2.0, -36.0), (3.0, 16.0), (4.0, -3.0))
"""Steps and weights of five-point first differences, times 12h."""
_STEP = 2.0**-11
"""h, as a share of the range of a spline or polynomial."""
_LINEAR = ("scale", "standardize", "center")


def differentiate(terms: Terms, environment: Environment, column: str) -> FixedColumns:
    """∂/∂``column`` of the columns that :func:`.coding.build_columns` makes; names are the same.

    Parameters
    ----------
    terms
        The expanded terms.
    environment
        Columns, and states learnt in training.
    column
        A numeric column of the data.

    Raises
    ------
    DataError
        A derivative is not finite (a square root at 0), or cannot be computed.
    """
    names = [INTERCEPT] * terms.intercept
    owners, made = list(names), [np.zeros(environment.n_rows)] * terms.intercept
    for term, product in zip(terms.terms, coded_products(terms, environment), strict=True):
        owner = label(term)
        pieces = [_piece(piece, environment) for piece in product]
        blocks = [[values for _, values in piece] for piece in pieces]
        slopes = [_slope(piece, environment, column) for piece in product]
        columns = _product_rule(blocks, slopes, environment.n_rows)
        for values in columns:
            name = f"The derivative of {owner!r} in {column!r}"
            environment.refuse(name, values, ~np.isfinite(values))
        made += columns
        owners += [owner] * len(columns)
        names += _names([[name for name, _ in piece] for piece in pieces])
    return FixedColumns(tuple(made), tuple(names), tuple(owners))


def _piece(piece: Coded, environment: Environment) -> Columns:
    """Names and columns of one variable as a term has it."""
    if isinstance(piece.value, Numeric):
        return [(piece.variable.name, piece.value.floats())]
    return materialize([(piece,)], environment)[0]


def _names(pieces: Sequence[Sequence[str]]) -> list[str]:
    """R's names of the columns of a product, those of the first factor varying fastest."""
    names = [""]
    for piece in pieces:
        names = [f"{before}:{name}" if before else name for name in piece for before in names]
    return names


def _product_rule(blocks: Sequence[Block], slopes: Sequence[Block | None], n: int) -> Block:
    total = [np.zeros(n) for _ in _product(blocks, n)]
    for k, slope in enumerate(slopes):
        if slope is not None:
            part = _product([*blocks[:k], slope, *blocks[k + 1 :]], n)
            total = [a + b for a, b in zip(total, part, strict=True)]
    return total


def _product(blocks: Sequence[Block], n: int) -> Block:
    """Products of one column of each block, that of the first varying fastest."""
    columns = [np.ones(n)]
    for block in blocks:
        columns = [before * values for values in block for before in columns]
    return columns


def _slope(piece: Coded, environment: Environment, column: str) -> Block | None:
    """The derivatives of a piece; None where it does not depend on the column."""
    variable = piece.variable
    if column not in [name.text for name in variable.columns] or isinstance(piece.value, Factor):
        return None
    tree = ast.parse(variable.expression, mode="eval").body
    try:
        with np.errstate(all="ignore"):  # non-finite results are looked for afterwards
            if called(tree) in BLOCKS:
                return _block_slope(tree, environment, column)
            return [_tangent(tree, environment, column)[1]]
    except (DataError, *COMPUTING) as error:
        raise not_computed(variable, environment, error) from None


# --- expressions -----------------------------------------------------------------------------


def expression_slope(variable: Variable, environment: Environment, column: str) -> Floats:
    """The derivative of a variable that is one numeric expression, such as an offset."""
    made = _slope(Coded(variable, variable.expression), environment, column)
    return np.zeros(environment.n_rows) if made is None else made[0]


def _tangent(tree: ast.expr, environment: Environment, column: str) -> tuple[Floats, Floats]:
    """Value and derivative of a checked expression."""
    read = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    names: dict[str, Any] = {
        alias(name): _seen(name, values, column)
        for name, values in environment.columns.items()
        if alias(name) in read
    }
    plain = ast.unparse(_Linear(environment.states).visit(tree))
    made = eval(plain, {"__builtins__": {}, **NAMESPACE}, names)
    shape = (environment.n_rows,)
    value = np.broadcast_to(np.asarray(value_of(made), dtype=np.float64), shape)
    return value, np.array(np.broadcast_to(tangent_of(made), shape), dtype=np.float64)


def _seen(name: str, values: Column, column: str) -> Any:
    """A column as the expression sees it."""
    if name == column and isinstance(values, Numeric):
        return Dual(values.floats(), 1.0)
    return as_value(values)


class _Linear(ast.NodeTransformer):
    """Writes out ``scale(x)`` and the like with what they have learnt: (x − center)/scale."""

    def __init__(self, states: Mapping[str, State]) -> None:
        self.states = states

    def visit_Call(self, node: ast.Call) -> ast.expr:
        learnt = self.states.get(ast.unparse(node), {}) if called(node) in _LINEAR else {}
        self.generic_visit(node)
        if called(node) not in _LINEAR:
            return node
        made: ast.expr = node.args[0]
        for key, operator in (("center", ast.Sub()), ("scale", ast.Div())):
            if learnt.get(key) is not None:
                made = ast.BinOp(made, operator, ast.Constant(float(learnt[key])))
        return made


# --- splines and polynomials -----------------------------------------------------------------


def _block_slope(tree: ast.expr, environment: Environment, column: str) -> Block:
    """dT(a(x))/dx = T'(a) da/dx for a spline or polynomial T."""
    assert isinstance(tree, ast.Call)
    key = ast.unparse(tree)
    argument, tangent = _tangent(tree.args[0], environment, column)
    tree.args[0] = ast.Name("argument", ast.Load())
    text = ast.unparse(tree)
    variable = Variable(text, text, (Name("argument", 0),), "transform")
    states = dict(environment.states)
    if key in states:
        states[text] = states[key]

    def evaluated(at: Floats) -> Block:
        there = replace(environment, columns={"argument": Numeric(at)}, states=states)
        return [values for _, values in materialize([(Coded(variable, text),)], there)[0]]

    steps = _steps(argument, states.get(text, {}))
    return [slope * tangent for slope in _difference(evaluated, argument, *steps)]


def _steps(a: Floats, state: State) -> tuple[Floats, NDArray[np.bool_]]:
    """h of every row, with its sign, and whether the difference is one-sided, away from a knot."""
    knots = np.unique(np.asarray(state.get("knots") or [], dtype=np.float64))
    if knots.size < 2:
        centre = float(state.get("alpha", {}).get("0", 0.0))
        h = np.full(a.shape, _STEP * max(float(np.abs(a - centre).max(initial=0.0)), 1e-6))
        return np.exp2(np.floor(np.log2(h))), np.zeros(a.shape, dtype=bool)
    low, high = knots[0], knots[-1]
    gap = float(np.diff(knots).min())
    h = np.full(a.shape, np.exp2(np.floor(np.log2(_STEP * gap))))
    nearest = knots[np.abs(a[:, None] - knots).argmin(axis=1)]
    close = np.abs(a - nearest) < 2.5 * h
    backward = (nearest > a) | ((nearest == high) & (a <= high))
    outside = (a < low) | (a > high)
    backward = np.where(outside, a < low, backward)
    return np.where(close & backward, -h, h), close


def _difference(function: Any, a: Floats, h: Floats, one_sided: NDArray[np.bool_]) -> Block:
    """Five-point first differences of all columns of a function."""
    total: Block | None = None
    for central, forward in zip((*_CENTRAL, (0.0, 0.0)), _FORWARD, strict=True):
        step = np.where(one_sided, forward[0], central[0])
        weight = np.where(one_sided, forward[1], central[1]) / (12.0 * h)
        part = [weight * values for values in function(a + step * h)]
        total = part if total is None else [s + v for s, v in zip(total, part, strict=True)]
    assert total is not None
    return total
