"""The functions that a formula may call. There are no others.

Each takes one or more data arguments (columns or arithmetic on them) and options, which are
literals. Splines, polynomials and scaling are formulaic's; their state, learnt from the
training data, is kept as plain numbers.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit

from multilogit.data.columns import Column, Factor, Numeric, factor_of, label
from multilogit.errors import DataError
from multilogit.formula.limits import MAX_OPTION
from multilogit.formula.syntax import Option

Array = NDArray[Any]
State = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Contrast:
    """A coding of factors: its kind and, for treatment contrasts, the reference level."""

    kind: str
    base: str | None = None


@dataclass(frozen=True, slots=True)
class Coded:
    """A factor and the contrast asked for with ``C()``."""

    factor: Factor
    contrast: Contrast


@dataclass(frozen=True, slots=True)
class Basis:
    """Several numeric columns from one function, with the suffixes of their names."""

    columns: tuple[NDArray[np.float64], ...]
    suffixes: tuple[str, ...]


Value = Array | np.float64 | Column | Coded | Basis
OptionValue = Option | Contrast


@dataclass(frozen=True, slots=True)
class Function:
    """A function that formulas may call.

    Attributes
    ----------
    compute
        ``compute(state, *data, **options)``; ``state`` is an empty dict in training, where
        the function notes what it learns, and a copy of that dict on new data.
    n_data
        Number of data arguments.
    options
        Names of the options, in the order in which they may follow without a name.
    categorical
        Whether the data argument may be a factor.
    """

    compute: Callable[..., Value]
    n_data: int = 1
    options: tuple[str, ...] = ()
    categorical: bool = False


def _elementwise(ufunc: Callable[..., Any]) -> Callable[..., Value]:
    def compute(_state: State, *data: Array) -> Value:
        return np.asarray(ufunc(*data))

    return compute


def _identity(_state: State, x: Value) -> Value:
    return x


# --- factors ---------------------------------------------------------------------------------


def _factor(
    state: State,
    x: Value,
    contrasts: OptionValue = None,
    levels: OptionValue = None,
    base: OptionValue = None,
) -> Coded:
    """``C(x, contrasts, levels=)``: x as a factor, coded by a contrast."""
    if isinstance(x, Coded):
        factor, contrast = x.factor, x.contrast
    else:
        factor, contrast = factor_of(_as_column(x)), Contrast("treatment")
    if levels is not None:
        factor = _declared_levels(factor, levels)
    if isinstance(contrasts, Contrast):
        contrast = contrasts
    elif isinstance(contrasts, str) and contrasts in CONTRASTS:
        contrast = Contrast(CONTRASTS[contrasts])
    elif contrasts is not None:
        raise DataError(f"{contrasts!r} is not a contrast. Listed: {', '.join(CONTRASTS)}.")
    if base is not None:
        contrast = Contrast("treatment", label(base))
    return Coded(factor, contrast)


def _declared_levels(factor: Factor, levels: OptionValue) -> Factor:
    """The factor with its levels in a declared order; every value must be among them."""
    wanted = [label(v) for v in levels] if isinstance(levels, tuple) else [label(levels)]
    position = {name: k for k, name in enumerate(wanted)}
    unknown = [name for name in factor.used().labels() if name not in position]
    if unknown:
        raise DataError(f"levels= lacks {', '.join(map(repr, unknown))}, which the data hold.")
    rank = np.array([position.get(name, -1) for name in factor.labels()] + [-1], dtype=np.int32)
    return Factor(rank[factor.codes], tuple(wanted))


def _relevel(state: State, x: Value, ref: OptionValue = None) -> Coded:
    """``relevel(x, ref)``: x with another reference level."""
    coded = _factor(state, x)
    names = coded.factor.labels()
    if label(ref) not in names:
        raise DataError(f"relevel(): {ref!r} is not a level. Levels: {', '.join(names)}.")
    first = names.index(label(ref))
    order = [first, *(k for k in range(len(names)) if k != first)]
    levels = tuple(coded.factor.levels[k] for k in order)
    rank = np.append(np.argsort(order), -1).astype(np.int32)
    return Coded(Factor(rank[coded.factor.codes], levels), coded.contrast)


def _as_column(x: Value) -> Column:
    if isinstance(x, (Numeric, Factor)):
        return x
    if isinstance(x, np.ndarray) and x.ndim == 1:
        return Numeric(x, x.dtype.kind == "b")
    raise DataError("A factor needs one column.")


# --- bases, from formulaic -------------------------------------------------------------------


def _transforms() -> Mapping[str, Any]:
    from formulaic.transforms import TRANSFORMS  # deferred: 0.25 s that most models never pay

    transforms: Mapping[str, Any] = TRANSFORMS
    return transforms


def _basis(name: str, options: tuple[str, ...]) -> Function:
    def compute(state: State, x: Array, **given: Any) -> Value:
        for option in ("df", "degree"):
            if option in given:
                given[option] = _small_integer(name, option, given[option])
        if isinstance(given.get("knots"), tuple):
            given["knots"] = list(given["knots"])
        made = _transforms()[name](x, **given, _state=state)
        made = getattr(made, "__wrapped__", made)
        columns = made.values() if isinstance(made, dict) else np.asarray(made).T
        arrays = tuple(np.ascontiguousarray(c, dtype=np.float64) for c in columns)
        return Basis(arrays, tuple(str(k + 1) for k in range(len(arrays))))

    return Function(compute, 1, options)


def _small_integer(function: str, option: str, value: object) -> int | None:
    if value is None:
        return None
    if not isinstance(value, float) or value != math.floor(value) or not 0 < value <= MAX_OPTION:
        raise DataError(f"{function}(): {option}= must be an integer from 1 to {MAX_OPTION}.")
    return int(value)


def _poly(state: State, x: Array, degree: OptionValue = 1.0, raw: OptionValue = False) -> Value:
    """Orthogonal polynomials (formulaic's, R's signs and scale), or powers if ``raw``."""
    k = _small_integer("poly", "degree", degree) or 1
    suffixes = tuple(str(j) for j in range(1, k + 1))
    if raw:
        return Basis(tuple(x ** float(j) for j in range(1, k + 1)), suffixes)
    if not state and np.unique(x[: 4096 * k]).size <= k and np.unique(x).size <= k:
        raise DataError(f"poly(): degree {k} needs more than {k} distinct values.")
    # Its state maps degrees to numbers; ours is lists, which survive JSON.
    inner = {name: dict(enumerate(values)) for name, values in state.items()}
    made = np.asarray(_transforms()["poly"](x, k, _state=inner))
    for name, by_degree in inner.items():
        state[name] = [float(by_degree[j]) for j in sorted(by_degree)]
    return Basis(tuple(np.ascontiguousarray(c) for c in made.T), suffixes)


def _scaled(name: str, options: tuple[str, ...]) -> Function:
    def compute(state: State, x: Array, **given: OptionValue) -> Value:
        out = np.asarray(_transforms()[name](x, **given, _state=state), dtype=np.float64)
        for key, value in state.items():
            state[key] = None if value is None else float(value)
        return out

    return Function(compute, 1, options)


# --- the list --------------------------------------------------------------------------------

CONTRASTS = {
    "contr.treatment": "treatment",
    "contr.sum": "sum",
    "contr.helmert": "helmert",
    "contr.poly": "poly",
    "contr.SAS": "sas",
    "contr.sas": "sas",
    "contr.diff": "diff",
    "Treatment": "treatment",
    "Sum": "sum",
    "Helmert": "helmert",
    "Poly": "poly",
    "Diff": "diff",
}
"""Contrasts by the names that R and patsy give them."""

_BARE: tuple[str, ...] = (
    *("log", "log10", "log2", "log1p", "exp", "exp2", "expm1", "sqrt", "abs", "sign"),
    *("floor", "round", "sin", "cos", "tan"),
)
_NUMPY_UNARY: tuple[str, ...] = (
    *_BARE,
    *("cbrt", "square", "ceil", "arcsin", "arccos", "arctan", "sinh", "cosh", "tanh"),
)
_NUMPY_BINARY = ("maximum", "minimum", "power", "arctan2", "hypot")
_FACTOR = Function(_factor, 1, ("contrasts", "levels", "base"), categorical=True)

FUNCTIONS: dict[str, Function] = {
    **{f"np.{name}": Function(_elementwise(getattr(np, name))) for name in _NUMPY_UNARY},
    **{f"np.{name}": Function(_elementwise(getattr(np, name)), 2) for name in _NUMPY_BINARY},
    **{name: Function(_elementwise(getattr(np, name))) for name in _BARE},
    "np.where": Function(_elementwise(np.where), 3),
    "ifelse": Function(_elementwise(np.where), 3),
    "ceiling": Function(_elementwise(np.ceil)),
    "pmax": Function(_elementwise(np.maximum), 2),
    "pmin": Function(_elementwise(np.minimum), 2),
    "logit": Function(_elementwise(logit)),
    "expit": Function(_elementwise(expit)),
    "plogis": Function(_elementwise(expit)),
    "qlogis": Function(_elementwise(logit)),
    "I": Function(_identity),
    "C": _FACTOR,
    "factor": Function(_factor, 1, ("levels", "contrasts", "base"), categorical=True),
    "relevel": Function(_relevel, 1, ("ref",), categorical=True),
    "poly": Function(_poly, 1, ("degree", "raw")),
    "bs": _basis(
        "bs",
        (
            "df",
            "knots",
            "degree",
            "include_intercept",
            "lower_bound",
            "upper_bound",
            "extrapolation",
        ),
    ),
    **{
        name: _basis(name, ("df", "knots", "lower_bound", "upper_bound", "extrapolation"))
        for name in ("cr", "cs", "cc")
    },
    "scale": _scaled("scale", ("center", "scale", "ddof")),
    "standardize": _scaled("standardize", ("center", "rescale", "ddof")),
    "center": _scaled("center", ()),
}
"""Every function that may be called on the right-hand side of a formula."""


def call(name: str, state: State, data: tuple[Value, ...], options: State, text: str) -> Value:
    """Call a listed function; what it rejects becomes a DataError that quotes ``text``."""
    try:
        with np.errstate(all="ignore"):  # non-finite results are looked for afterwards
            return FUNCTIONS[name].compute(state, *data, **copy.copy(options))
    except DataError as error:
        raise DataError(f"In {text!r}: {error}") from None
    except (ValueError, TypeError, KeyError, IndexError) as error:
        raise DataError(f"{text!r} cannot be computed: {error}") from None
