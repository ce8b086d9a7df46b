"""Exact derivatives of checked expressions: forward-mode automatic differentiation.

A :class:`Dual` is a value with its derivative in one column of the data. NumPy's functions take it
where they take an array (through ``__array_ufunc__``), so that an expression that has passed
:mod:`.safety` is differentiated by evaluating it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin
from numpy.typing import NDArray
from scipy.special import expit, logit

Floats = NDArray[np.float64]

_LN2, _LN10 = np.log(2.0), np.log(10.0)


def _nothing(x: Floats, y: Floats) -> float:
    return 0.0


_ONE: dict[Any, Callable[[Floats, Floats], Any]] = {
    np.positive: lambda x, y: 1.0,
    np.negative: lambda x, y: -1.0,
    np.log: lambda x, y: 1.0 / x,
    np.log2: lambda x, y: 1.0 / (_LN2 * x),
    np.log10: lambda x, y: 1.0 / (_LN10 * x),
    np.log1p: lambda x, y: 1.0 / (1.0 + x),
    np.exp: lambda x, y: y,
    np.exp2: lambda x, y: _LN2 * y,
    np.expm1: lambda x, y: y + 1.0,
    np.sqrt: lambda x, y: 0.5 / y,
    np.cbrt: lambda x, y: 1.0 / (3.0 * y * y),
    np.square: lambda x, y: 2.0 * x,
    np.absolute: lambda x, y: np.sign(x),
    np.sin: lambda x, y: np.cos(x),
    np.cos: lambda x, y: -np.sin(x),
    np.tan: lambda x, y: 1.0 + y * y,
    np.arcsin: lambda x, y: 1.0 / np.sqrt(1.0 - x * x),
    np.arccos: lambda x, y: -1.0 / np.sqrt(1.0 - x * x),
    np.arctan: lambda x, y: 1.0 / (1.0 + x * x),
    np.sinh: lambda x, y: np.cosh(x),
    np.cosh: lambda x, y: np.sinh(x),
    np.tanh: lambda x, y: 1.0 - y * y,
    np.sign: _nothing,
    np.floor: _nothing,
    np.ceil: _nothing,
    np.rint: _nothing,
    expit: lambda x, y: y * (1.0 - y),
    logit: lambda x, y: 1.0 / (x * (1.0 - x)),
}
"""dy/dx of functions of one argument."""

_TWO: dict[Any, Callable[[Floats, Floats, Floats], tuple[Any, Any]]] = {
    np.add: lambda a, b, y: (1.0, 1.0),
    np.subtract: lambda a, b, y: (1.0, -1.0),
    np.multiply: lambda a, b, y: (b, a),
    np.divide: lambda a, b, y: (1.0 / b, -y / b),
    np.floor_divide: lambda a, b, y: (0.0, 0.0),
    np.remainder: lambda a, b, y: (1.0, -np.floor(a / b)),
    np.maximum: lambda a, b, y: (a >= b, a < b),
    np.minimum: lambda a, b, y: (a <= b, a > b),
    np.power: lambda a, b, y: (b * a ** (b - 1.0), np.where(a > 0.0, y * np.log(a), 0.0)),
    np.arctan2: lambda a, b, y: (b / (a * a + b * b), -a / (a * a + b * b)),
    np.hypot: lambda a, b, y: (a / y, b / y),
}
"""∂y/∂a and ∂y/∂b of functions of two arguments."""


class Dual(NDArrayOperatorsMixin):
    """A value and its derivative.

    Parameters
    ----------
    value, tangent
        Shape ``(n,)``.
    """

    def __init__(self, value: Any, tangent: Any) -> None:
        self.value = value
        self.tangent = tangent

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
        """The chain rule; comparisons and truth values have no derivative."""
        if method != "__call__" or options:
            return NotImplemented
        values = [np.asarray(value_of(x), dtype=np.float64) for x in inputs]
        made = ufunc(*values)
        if ufunc in _ONE:
            return Dual(made, _ONE[ufunc](values[0], made) * tangent_of(inputs[0]))
        if ufunc in _TWO:
            by_a, by_b = _TWO[ufunc](values[0], values[1], made)
            return Dual(made, by_a * tangent_of(inputs[0]) + by_b * tangent_of(inputs[1]))
        return made if made.dtype.kind == "b" else NotImplemented

    def __array_function__(self, function: Any, types: Any, args: Any, options: Any) -> Any:
        """``where`` and ``round``, which are no ufuncs."""
        if function is np.where and len(args) == 3:
            condition = np.asarray(value_of(args[0])) != 0
            value = np.where(condition, value_of(args[1]), value_of(args[2]))
            return Dual(value, np.where(condition, tangent_of(args[1]), tangent_of(args[2])))
        if function is np.round:
            return Dual(np.round(self.value), 0.0)
        return NotImplemented


def value_of(x: Any) -> Any:
    """The value of a dual number, or of anything else."""
    return x.value if isinstance(x, Dual) else x


def tangent_of(x: Any) -> Any:
    """The derivative of a dual number; anything else has none."""
    return x.tangent if isinstance(x, Dual) else 0.0
