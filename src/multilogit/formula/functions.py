"""The functions that a formula may call. There are no others.

Arithmetic is NumPy's; splines, polynomials, scaling and contrasts are formulaic's.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from multilogit.data.columns import Factor, Numeric, as_column, factor_of, label
from multilogit.errors import DataError
from multilogit.formula.natural_splines import ns
from multilogit.lazy import special

_BARE = (
    *("log", "log10", "log2", "log1p", "exp", "exp2", "expm1", "sqrt", "abs", "sign"),
    *("floor", "round", "sin", "cos", "tan"),
)
_NUMPY = (
    *(*_BARE, "cbrt", "square", "ceil", "arcsin", "arccos", "arctan", "sinh", "cosh", "tanh"),
    *("maximum", "minimum", "power", "arctan2", "hypot", "where"),
)
_LOGICAL = ("logical_and", "logical_or", "logical_not")


def _logit(x: Any) -> Any:
    return special.logit(x)


def _expit(x: Any) -> Any:
    return special.expit(x)


ARITHMETIC: dict[str, Callable[..., Any]] = {
    **{name: getattr(np, name) for name in _BARE},
    **{f"np.{name}": getattr(np, name) for name in _NUMPY},
    "ifelse": np.where,
    "ceiling": np.ceil,
    "pmax": np.maximum,
    "pmin": np.minimum,
    "logit": _logit,
    "qlogis": _logit,
    "expit": _expit,
    "plogis": _expit,
}
"""Functions of columns, element by element."""
ARITY = {name: getattr(f, "nin", 3 if f is np.where else 1) for name, f in ARITHMETIC.items()}
ARITY["I"] = 1
LEARNING = ("poly", "bs", "ns", "cr", "cs", "cc", "scale", "standardize", "center")
"""Functions of one column that learn from the training data: formulaic's, and ``ns``."""
BLOCKS = ("poly", "bs", "ns", "cr", "cs", "cc")
"""Those that make several columns."""
CONTRASTS = (
    *(f"contr.{kind}" for kind in ("treatment", "SAS", "sum", "helmert", "poly", "diff")),
    *("Treatment", "Sum", "Helmert", "Poly", "Diff"),
)
"""formulaic's contrasts, by the names that R and patsy give them."""


Levels = Sequence[object] | None


def _C(data: Any, contrasts: Any = None, levels: Levels = None, base: object = None) -> Factor:
    """``C(x, contrasts, levels)``: the values of x as a factor of text levels.

    Contrasts, and the base level, are left to formulaic, see :mod:`.bridge`.
    """
    column = data if isinstance(data, Factor) else as_column(data, "")
    factor = truths(column) if isinstance(column, Numeric) and column.boolean else factor_of(column)
    wanted = factor.labels() if levels is None else tuple(map(label, levels))
    return Factor(recode(factor, wanted, "which levels= lacks"), tuple(dict.fromkeys(wanted)))


def _factor(data: Any, levels: Levels = None, contrasts: Any = None, base: Any = None) -> Factor:
    """``factor(x, levels)``: the same, in R's order of arguments."""
    return _C(data, contrasts, levels, base)


def _relevel(data: Any, ref: object) -> Factor:
    """``relevel(x, ref)``: x as a factor with another reference level."""
    levels = _C(data).levels
    if label(ref) not in levels:
        raise DataError(f"{label(ref)!r} is not a level. Levels: {', '.join(levels)}.")
    return _C(data, levels=(ref, *(level for level in levels if level != label(ref))))


FACTORS: dict[str, Callable[..., Factor]] = {"C": _C, "factor": _factor, "relevel": _relevel}
"""Functions of one column that make a factor."""
FUNCTIONS = (*ARITHMETIC, *FACTORS, *LEARNING, "I")
INSTEAD = {
    **dict.fromkeys(("as.factor", "as.character", "ordered"), "Write factor(x)."),
    **dict.fromkeys(("s", "te", "rcs"), "Splines of as many columns as df= says: ns(x, df=)."),
    "interaction": "Write a:b.",
    "us": "Write (1 + x | g): the effects of one bar are correlated.",
    "diag": "Write (1 + x || g): the effects are independent.",
}
"""What to write in place of functions that people know from elsewhere."""
NUMPY = SimpleNamespace(**{name: getattr(np, name) for name in (*_NUMPY, *_LOGICAL)})
NAMESPACE: dict[str, Any] = {**ARITHMETIC, **FACTORS, "np": NUMPY}
"""What expressions are evaluated with, but for what learns."""
OF_NEW_DATA: dict[str, Any] = {**NAMESPACE, "relevel": lambda data, ref: _C(data)}
"""The same for new data, which need not hold the reference level: training has learnt the order."""


def signature(name: str) -> inspect.Signature:
    """The arguments that a function which takes options may be given."""
    if name in FACTORS:
        return inspect.signature(FACTORS[name])
    if name == "ns":
        return inspect.signature(ns)
    from formulaic.transforms import TRANSFORMS  # deferred: 0.25 s that most models never pay

    first, _, rest = name.partition(".")
    return inspect.signature(getattr(TRANSFORMS[first], rest) if rest else TRANSFORMS[first])


def truths(column: Numeric) -> Factor:
    """Truth values as R's factor of them."""
    return Factor((column.values != 0).astype(np.int32), ("FALSE", "TRUE"))


def recode(factor: Factor, levels: Sequence[str], lacking: str) -> NDArray[np.int32]:
    """Codes of the rows among other levels.

    Raises
    ------
    DataError
        A level that occurs is not among them.
    """
    position = {text: k for k, text in enumerate(dict.fromkeys(levels))}
    labels = factor.labels()
    if labels == tuple(position):
        return factor.codes
    if not set(labels) <= set(position):
        new = [text for text in factor.used().labels() if text not in position]
        if new:
            shown, known = ", ".join(map(repr, new[:5])), ", ".join([*position][:20])
            what = "the level" if len(new) == 1 else "the levels"
            raise DataError(f"has {what} {shown}, {lacking} (levels: {known}).")
    rank = np.array([position.get(text, -1) for text in labels] + [-1], dtype=np.int32)
    return rank[factor.codes]
