"""From terms to columns of a design matrix, in the order and under the names of R."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from multilogit.data.columns import Factor, Numeric, factor_of, is_finite
from multilogit.data.model_frame import FixedColumns, Levels
from multilogit.errors import DataError
from multilogit.formula.bridge import Coded, Columns, materialize
from multilogit.formula.evaluate import Environment, evaluate
from multilogit.formula.functions import recode, truths
from multilogit.formula.limits import MANY_CELLS, MANY_LEVELS, MAX_CELLS, MAX_COLUMNS
from multilogit.formula.spec import INTERCEPT, Terms, Variable, label

Product = tuple[Coded, ...]


def build_columns(
    terms: Terms, environment: Environment, ones: NDArray[np.float64], *, compact: bool = False
) -> FixedColumns:
    """All columns of a sum of terms.

    Plain numeric columns are the user's own memory, factors alone are indicators of levels; the
    rest is made by formulaic.

    Parameters
    ----------
    terms
        The expanded terms.
    environment
        Columns and states; in training, the states are filled.
    ones
        Shape ``(n,)``: the intercept.
    compact
        Whether, in training, a factor of very many levels may be kept without columns.

    Raises
    ------
    DataError
        A level that was not there in training, a factor with one level, a column that was
        numeric in training and is not now, a result that is not finite, more columns than
        :mod:`.limits` allows, and what functions refuse.
    """
    products = coded_products(terms, environment, compact=compact)
    without = next((k for k, p in enumerate(products) if _compact(p, environment)), None)
    own = [None if k == without else _without_formulaic(p) for k, p in enumerate(products)]
    rest = [p for k, p in enumerate(products) if k != without and own[k] is None]
    made = iter(materialize(rest, environment) if rest else ())
    columns = [ones] * terms.intercept
    names = [INTERCEPT] * terms.intercept
    owners = [INTERCEPT] * terms.intercept
    levels = None
    for k, (term, product) in enumerate(zip(terms.terms, products, strict=True)):
        owner = label(term)
        if k == without:
            levels = _levels(owner, product[0], terms.intercept, len(columns))
            continue
        found = own[k]
        if found is None:
            found = next(made)
            _check_finite(owner, term, found, environment)
        names += [name for name, _ in found]
        columns += [column for _, column in found]
        owners += [owner] * len(found)
    return FixedColumns(tuple(columns), tuple(names), tuple(owners), levels)


def _keep_compact(
    terms: Terms, coded: Mapping[tuple[str, str], Coded], environment: Environment
) -> None:
    """Let the factor with the most levels be kept without columns, if they are very many.

    It must stand alone, be coded by treatment contrasts, and be part of no other term; without an
    intercept it must be the first factor, which gets one coefficient per level.
    """
    most = max(MANY_LEVELS - 1, MANY_CELLS // max(1, environment.n_rows))
    chosen, factors = None, 0
    for term in terms.terms:
        values = [coded[v.key].value for v in term]
        only = values[0]
        if len(term) == 1 and isinstance(only, Factor) and not term[0].contrast:
            alone = sum(term[0].key in [v.key for v in other] for other in terms.terms) == 1
            if alone and len(only.levels) > most and (terms.intercept or not factors):
                most, chosen = len(only.levels), term[0]
        factors += sum(isinstance(value, Factor) for value in values)
    if chosen:
        environment.states[chosen.expression]["compact"] = True


def _compact(product: Product, environment: Environment) -> bool:
    """Whether a term is the factor that is kept without columns."""
    state = environment.states.get(product[0].variable.expression, {})
    return len(product) == 1 and bool(state.get("compact"))


def _levels(term: str, piece: Coded, intercept: bool, column: int) -> Levels:
    assert isinstance(piece.value, Factor)
    names = tuple(f"{piece.variable.name}{level}" for level in piece.value.levels)
    return Levels(term, piece.value.codes, names, not intercept, column)


def coded_products(
    terms: Terms, environment: Environment, *, compact: bool = False
) -> list[Product]:
    """The variables of every term, coded as the term needs them."""
    coded = {v.key: _coded(v, f"_v{k}", environment) for k, v in enumerate(terms.variables)}
    if compact:
        _keep_compact(terms, coded, environment)
    return _contrasts(terms, coded, environment)


def _without_formulaic(product: Product) -> Columns | None:
    """Names and columns of a term that is a numeric column, or a factor without own contrasts."""
    piece = product[0]
    variable, value = piece.variable, piece.value
    if len(product) > 1 or value is None or variable.contrast:
        return None
    if isinstance(value, Numeric):
        return [(variable.name, value.floats())]
    levels = list(enumerate(value.levels))[0 if piece.full else 1 :]
    return [
        (f"{variable.name}{level}", (value.codes == k).astype(np.float64)) for k, level in levels
    ]


def _coded(variable: Variable, name: str, environment: Environment) -> Coded:
    """How formulaic is to see a variable: categories and truth values are factors, as in R."""
    if variable.kind not in ("column", "factor"):
        return Coded(variable, variable.expression)
    value = evaluate(variable, environment)
    levels = environment.states.get(variable.expression, {}).get("levels", [])
    if isinstance(value, Numeric) and value.boolean and not (levels or environment.training):
        value = Numeric(value.floats())  # it was 0 and 1 in training
    if isinstance(value, Numeric) and (value.boolean or levels == ["FALSE", "TRUE"]):
        value = truths(value)
    elif isinstance(value, Numeric) and levels:
        value = factor_of(value)
    elif isinstance(value, Numeric):
        return Coded(variable, variable.expression, value)
    elif not levels and not environment.training:
        raise DataError(f"{variable.name!r} was numeric in training; here it is categorical.")
    try:
        levels = levels or _learn_levels(variable, value, environment)
        codes = recode(value, levels, "which the training data do not hold")
    except DataError as error:
        raise DataError(f"Column {variable.name!r} {error}") from None
    return Coded(variable, "", Factor(codes, tuple(levels)), name)


def _learn_levels(variable: Variable, factor: Factor, environment: Environment) -> list[str]:
    levels = list(dict.fromkeys(factor.used().labels()))
    if len(levels) < 2:
        only = f" ({levels[0]!r})" if levels else ""
        raise DataError(f"has only one level{only}; remove it from the formula.")
    environment.states[variable.expression] = {"levels": levels}
    return levels


def _contrasts(
    terms: Terms, coded: Mapping[tuple[str, str], Coded], environment: Environment
) -> list[Product]:
    """Each term with its factors coded by contrasts, or by one indicator per level.

    R's rule (``TermCode`` in model.c): contrasts where the term without the factor is part of an
    earlier term (or empty). Without an intercept, the first factor that occurs gets indicators.
    """
    products: list[Product] = []
    earlier: dict[frozenset[tuple[str, str]], None] = {}
    factor_seen, width = terms.intercept, int(terms.intercept)
    for term in terms.terms:
        keys = frozenset(v.key for v in term)
        product, columns = [], 1
        for variable in term:
            piece = coded[variable.key]
            n_columns = variable.width
            if isinstance(piece.value, Factor):
                rest = keys - {variable.key}
                marginal = rest in earlier or not rest or any(rest <= t for t in earlier)
                full, factor_seen = not (marginal and factor_seen), True
                text = f"coded({piece.name}, {variable.contrast or 'contr.treatment()'}, {full})"
                n_columns = len(piece.value.levels) - 1 + full
                piece = piece._replace(text=text, full=full)
            columns *= n_columns
            product.append(piece)
        width += 0 if _compact(tuple(product), environment) else columns
        earlier[keys] = None
        products.append(tuple(product))
    allowed = min(MAX_COLUMNS, MAX_CELLS // max(1, environment.n_rows))
    if width > allowed:
        raise DataError(
            f"The terms make {width:,} columns; at most {allowed:,} are allowed for this many "
            "rows. A column with many levels may belong into a bar: (1 | column). As a fixed "
            "effect it can have very many where it is a term of its own, in a binomial model "
            "without random effects and priors."
        )
    return products


def _check_finite(
    name: str, term: Sequence[Variable], made: Columns, environment: Environment
) -> None:
    for _, column in made:
        if is_finite(column):
            continue
        bad = ~np.isfinite(column)
        row = int(np.flatnonzero(bad)[0])
        sources = {c.text: environment.columns[c.text] for v in term for c in v.columns}
        inputs = [f"{n} = {s.values[row]:g}" for n, s in sources.items() if isinstance(s, Numeric)]
        advice = "Change the expression, or remove or correct the row."
        environment.refuse(repr(name), column, bad, f" ({', '.join(inputs)}). {advice}")
