"""Where formulaic does the work: expansion of terms, coding, transforms, interactions.

Only its public interface is used: parser and operators, ``ModelSpec`` and its materializer. All
that it evaluates has passed :mod:`.safety`. It is imported when it is first needed: that takes
0.25 s, which many models never pay.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache, partial
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from multilogit.data.columns import Column, Factor, label
from multilogit.errors import DataError, FormulaError
from multilogit.formula.evaluate import COMPUTING, Environment, as_value, not_computed
from multilogit.formula.functions import FACTORS, NAMESPACE
from multilogit.formula.limits import MAX_TERMS, MAX_WORDS
from multilogit.formula.natural_splines import ns
from multilogit.formula.safety import alias
from multilogit.formula.spec import Variable
from multilogit.formula.tokens import Token
from multilogit.lazy import pd

Columns = list[tuple[str, NDArray[np.float64]]]

# --- expansion -------------------------------------------------------------------------------


def expand(tokens: Sequence[Token], formula: str) -> tuple[list[tuple[str, ...]], bool]:
    """The terms that a sum expands to, and whether there is an intercept.

    Parameters
    ----------
    tokens
        Names of variables, numbers and operators of terms, nothing else.
    formula
        The whole formula, for errors.

    Raises
    ------
    FormulaError
        Misplaced operators; more terms than :mod:`.limits` allows.
    """
    from formulaic.errors import FormulaicError
    from formulaic.parser.types import Token as Theirs
    from formulaic.parser.utils import merge_operator_tokens, replace_tokens

    if len(tokens) > MAX_WORDS:
        raise FormulaError(f"The formula has more than {MAX_WORDS:,} words.", formula, 0)
    kinds = {"number": "value", "op": "operator", "name": "name"}
    one, plus, minus = Theirs("1", kind="value"), *(Theirs(s, kind="operator") for s in "+-")
    given = [one, plus]
    for kind, text, start, end in tokens:
        theirs = Theirs(":" if text == "%in%" else text, kind=kinds[kind], source=formula)
        theirs.source_start, theirs.source_end = start, end - 1
        theirs.kind = Theirs.Kind.CONTEXT if kind == "op" and text in "()" else theirs.kind
        given.append(theirs)
    without_zeros = replace_tokens(given, "0", [minus, one], kind=Theirs.Kind.VALUE)
    signed = merge_operator_tokens(without_zeros, symbols={"+", "-"})
    try:
        tree = _parser().get_ast_from_tokens(signed, context={})
        terms = _parser().get_terms_from_ast(tree, context={}).root
    except FormulaicError as error:
        what, _, place = str(error).partition("\n\n")  # the formula, the token in ⧛...⧚
        if what.startswith("Operator"):
            what = "A term is missing beside this operator."
        raise FormulaError(what, formula, max(place.find("⧛"), 0)) from None
    found = [tuple(f.expr for f in term.factors if f.expr != "1") for term in terms]
    return [term for term in dict.fromkeys(found) if term], () in found


@cache
def _parser() -> Any:
    """formulaic's parser, whose operators refuse to make too many terms."""
    from formulaic.parser import DefaultFormulaParser, DefaultOperatorResolver

    class Bounded(DefaultOperatorResolver):  # type: ignore[misc]
        @property
        def operators(self) -> list[Any]:
            operators: list[Any] = super().operators
            for operator in operators:
                operator.to_terms = partial(_bounded, operator.symbol, operator.to_terms)
            return operators

    return DefaultFormulaParser(operator_resolver=Bounded())


def _bounded(symbol: str, make: Callable[..., Any], *terms: Any, context: Any = None) -> Any:
    size = math.prod(map(len, terms))
    if symbol in ("^", "**"):
        size = len(terms[0]) ** int(next(iter(terms[1])).factors[0].expr)
    made = make(*terms, context=context) if size <= 10 * MAX_TERMS else ()
    if size > 10 * MAX_TERMS or len(made) > MAX_TERMS:
        raise FormulaError(f"The formula expands to more than {MAX_TERMS:,} terms.")
    return made


# --- materialisation -------------------------------------------------------------------------


class Coded(NamedTuple):
    """How a variable is handed to formulaic: as the expression ``text``.

    ``value`` is that of a column, or of a factor, which goes by ``name`` in ``text``; ``full``:
    a column for every level of it, not contrasts.
    """

    variable: Variable
    text: str
    value: Column | None = None
    name: str = ""
    full: bool = False


def materialize(terms: Sequence[tuple[Coded, ...]], environment: Environment) -> list[Columns]:
    """Names and columns of every term; in training, what was learnt is added to the states.

    Raises
    ------
    DataError
        What the transforms refuse.
    """
    from formulaic import ModelSpec
    from formulaic.errors import FactorEvaluationError, FormulaicError
    from formulaic.parser.types import Factor as Named
    from formulaic.parser.types import Term as Product

    coded = {v.text: v for term in terms for v in term}
    methods = {text: "lookup" if text.isidentifier() else "python" for text in coded}
    formula = [Product([Named(v.text, eval_method=methods[v.text]) for v in t]) for t in terms]
    spec = ModelSpec(
        formula,
        ensure_full_rank=False,  # the coding is R's already
        na_action="ignore",  # there are no missing values
        output="pandas",
        transform_state={key: _revived(value) for key, value in environment.states.items()},
    )
    data = _data(coded.values(), environment)
    try:
        with np.errstate(all="ignore"):  # non-finite results are looked for afterwards
            matrix = spec.get_model_matrix(data, context=_context())
            made = [
                [(r_name, _floats(matrix[name])) for name, r_name in _r_names(entry, coded)]
                for entry in matrix.model_spec.structure
            ]
    except FactorEvaluationError as error:
        text = re.findall(r"`(.*?)`\. \[", str(error))[0]
        raise not_computed(coded[text].variable, environment, error.__cause__ or error) from None
    except (FormulaicError, *COMPUTING) as error:
        raise DataError(f"The terms cannot be computed: {error}") from None
    if environment.training:
        states = matrix.model_spec.transform_state
        environment.states.update({key: _plain(state) for key, state in states.items() if state})
    return made


def _data(coded: Iterable[Coded], environment: Environment) -> pd.DataFrame:
    data: dict[str, Any] = {}
    for variable, _, value, name, _ in coded:
        if isinstance(value, Factor):
            data[name] = as_value(value)
        else:
            for column in variable.columns:
                data[alias(column.text)] = as_value(environment.columns[column.text])
    return pd.DataFrame(data, copy=False)


def _floats(column: pd.Series) -> NDArray[np.float64]:
    return np.ascontiguousarray(column.to_numpy(), dtype=np.float64)


@cache
def _context() -> dict[str, Any]:
    """What formulaic evaluates with, before its own transforms."""
    from formulaic.transforms import TRANSFORMS, stateful_transform

    def poly(data: Any, degree: int = 1, raw: bool = False, _state: Any = None) -> Any:
        x = np.asarray(data)
        if not _state and np.unique(x[: 4096 * degree]).size <= degree >= np.unique(x).size:
            raise ValueError(f"degree {degree} needs more than {degree} distinct values.")
        made = np.asarray(TRANSFORMS["poly"](x, degree, raw, _state=_state))
        return {str(k + 1): made[:, k] for k in range(degree)}

    def coded(data: Any, contrast: Any, full: bool) -> Any:
        levels = list(data.cat.categories)
        if isinstance(getattr(contrast, "base", None), int | float):
            contrast = replace(contrast, base=label(contrast.base))  # levels are texts
        matrix = contrast.get_coding_matrix(levels, reduced_rank=not full)
        names = list(matrix.columns) if full else _r_levels(contrast, levels)
        by_level = matrix.to_numpy(np.float64)[data.cat.codes]
        return dict(zip(names, by_level.T, strict=True))

    own = {"coded": coded, "poly": stateful_transform(poly), "ns": stateful_transform(ns)}
    return {name: f for name, f in NAMESPACE.items() if name not in FACTORS} | own


def _r_levels(contrast: Any, levels: list[str]) -> list[str]:
    """R's names of the columns of a contrast."""
    kind = type(contrast).__name__
    if kind in ("SumContrasts", "HelmertContrasts"):
        return [str(k) for k in range(1, len(levels))]
    if kind == "DiffContrasts":
        return [f"{b}-{a}" for a, b in pairwise(levels)]
    return list(contrast.get_coding_column_names(levels, reduced_rank=True))


def _r_names(entry: Any, coded: Mapping[str, Coded]) -> Iterator[tuple[str, str]]:
    """formulaic's names of the columns of a term, ``a[level]:b[1]``, and R's."""
    texts = sorted((factor.expr for factor in entry.term.factors), key=len, reverse=True)
    piece = re.compile(rf"(?:^|:)({'|'.join(map(re.escape, texts))})(?:\[(.*?)\](?=:|$))?")
    found = [piece.findall(column) for column in entry.columns]
    different = {pair for pieces in found for pair in pieces}
    several = {t for t in texts if coded[t].value or sum(text == t for text, _ in different) > 1}
    for column, pieces in zip(entry.columns, found, strict=True):
        named = (coded[t].variable.name + level * (t in several) for t, level in pieces)
        yield column, ":".join(named)


# --- what has been learnt --------------------------------------------------------------------


def _plain(value: Any) -> Any:
    """A state as JSON can hold it."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value


def _revived(value: Any) -> Any:
    """A state as the transforms left it: poly() numbers by degree, cr() a matrix."""
    if isinstance(value, dict):
        return {int(k) if k.isdigit() else k: _revived(item) for k, item in value.items()}
    matrix = isinstance(value, list) and value and isinstance(value[0], list)
    return np.array(value) if matrix else value
