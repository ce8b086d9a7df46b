"""From variables to columns of a design matrix, coded and named as R's ``model.matrix`` does."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from multilogit.data.columns import Factor, Numeric, is_finite
from multilogit.data.model_frame import Column
from multilogit.errors import DataError
from multilogit.formula.evaluate import Environment, evaluate
from multilogit.formula.functions import Basis, Coded, Contrast, Value
from multilogit.formula.limits import MAX_CELLS, MAX_COLUMNS
from multilogit.formula.parse import INTERCEPT, Terms, Variable, bits

TREATMENT = Contrast("treatment")
BOOLEAN_LABELS = ("FALSE", "TRUE")


@dataclass(frozen=True, slots=True)
class NumericCoding:
    """A variable of one or several numeric columns; ``suffixes`` are what their names end in."""

    suffixes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FactorCoding:
    """A categorical variable: what is needed to code it again on new data.

    Attributes
    ----------
    levels
        Labels, the reference of treatment contrasts first.
    contrast
        Kind of contrast.
    matrix
        Shape ``(k, m)``: row j codes level j.
    suffixes
        m texts that the columns' names end in.
    """

    levels: tuple[str, ...]
    contrast: str
    matrix: tuple[tuple[float, ...], ...]
    suffixes: tuple[str, ...]


Coding = NumericCoding | FactorCoding


@dataclass(frozen=True, slots=True)
class Encoded:
    """A variable, evaluated: numeric columns, or the codes of a factor."""

    name: str
    coding: Coding
    columns: tuple[Column, ...] = ()
    codes: NDArray[np.int32] | None = None

    def coded(self, full: bool) -> list[tuple[str, Column]]:
        """Names and columns, by contrasts or (``full``) one indicator per level."""
        if self.codes is None:
            suffixes = self.coding.suffixes
            return [(self.name + s, c) for s, c in zip(suffixes, self.columns, strict=True)]
        assert isinstance(self.coding, FactorCoding)
        if full:
            return [
                (self.name + text, (self.codes == k).astype(np.float64))
                for k, text in enumerate(self.coding.levels)
            ]
        if self.coding.contrast == "treatment":
            return [
                (self.name + text, (self.codes == k + 1).astype(np.float64))
                for k, text in enumerate(self.coding.suffixes)
            ]
        matrix = np.array(self.coding.matrix)
        return [
            (self.name + text, matrix[self.codes, k]) for k, text in enumerate(self.coding.suffixes)
        ]

    def width(self, full: bool) -> int:
        """Number of columns of :meth:`coded`."""
        if full and isinstance(self.coding, FactorCoding):
            return len(self.coding.levels)
        return len(self.coding.suffixes)


def encode(variable: Variable, environment: Environment, learnt: dict[str, Coding]) -> Encoded:
    """Evaluate a variable; in training, note its coding in ``learnt``.

    Raises
    ------
    DataError
        A level that was not there in training, a factor with one level, a result that is not
        finite, a column that was numeric in training and is not now (or the other way round).
    """
    value = evaluate(variable.node, environment)
    known = None if environment.training else learnt[variable.key]
    if isinstance(value, np.ndarray) and value.dtype.kind == "b":
        value = Numeric(np.ascontiguousarray(np.broadcast_to(value, environment.n_rows)), True)
    if isinstance(known, NumericCoding) and isinstance(value, (Factor, Coded)):
        raise DataError(f"{variable.name!r} was numeric in training; here it is categorical.")
    if isinstance(value, Numeric) and not _as_factor(value, known):
        encoded = Encoded(variable.name, known or NumericCoding(("",)), (value.floats(),))
    elif isinstance(value, (Factor, Coded, Numeric)):
        encoded = _encode_factor(variable, value, known)
    else:
        encoded = _encode_numbers(variable, value, known, environment)
    if environment.training:
        learnt[variable.key] = encoded.coding
    return encoded


def _as_factor(value: Numeric, known: Coding | None) -> bool:
    """Truth values enter as a factor; on new data, what was one in training does."""
    return value.boolean if known is None else isinstance(known, FactorCoding)


def _encode_numbers(
    variable: Variable, value: Value, known: Coding | None, environment: Environment
) -> Encoded:
    if isinstance(value, Basis):
        columns = value.columns
        suffixes = value.suffixes if len(columns) > 1 else ("",)
    else:
        number = np.asarray(value, dtype=np.float64)
        columns = (np.ascontiguousarray(np.broadcast_to(number, environment.n_rows)),)
        suffixes = ("",)
    for column in columns:
        if not is_finite(column):
            raise _not_finite(variable, column, environment)
    return Encoded(variable.name, known or NumericCoding(suffixes), columns)


def _not_finite(variable: Variable, column: Column, environment: Environment) -> DataError:
    row = int(np.flatnonzero(~np.isfinite(column))[0])
    inputs = []
    for name in dict.fromkeys(c.text for c in variable.columns):
        source = environment.columns[name]
        if isinstance(source, Numeric):
            inputs.append(f"{name} = {source.values[row]:g}")
    where = f" ({', '.join(inputs)})" if inputs else ""
    return DataError(
        f"{variable.name!r} is {column[row]:g} at row {environment.row(row)}{where}. "
        "Change the expression, or remove or correct the row."
    )


def _encode_factor(
    variable: Variable, value: Factor | Coded | Numeric, known: Coding | None
) -> Encoded:
    contrast = TREATMENT
    if isinstance(value, Coded):
        factor, contrast = value.factor, value.contrast
    elif isinstance(value, Numeric):
        factor = Factor((value.values != 0).astype(np.int32), BOOLEAN_LABELS)
    else:
        factor = value
    if known is None:
        factor = factor.used()
        coding = _factor_coding(variable.name, factor.labels(), contrast)
        return Encoded(variable.name, coding, codes=_recode(factor, coding, variable))
    if not isinstance(known, FactorCoding):
        raise DataError(f"{variable.name!r} was numeric in training; here it is categorical.")
    return Encoded(variable.name, known, codes=_recode(factor, known, variable))


def _recode(factor: Factor, coding: FactorCoding, variable: Variable) -> NDArray[np.int32]:
    """Codes of the rows in the order of the coding's levels."""
    labels = factor.labels()
    if labels == coding.levels:
        return factor.codes
    position = {text: k for k, text in enumerate(coding.levels)}
    if not set(labels) <= set(position):
        new = [text for text in factor.used().labels() if text not in position]
        if new:
            shown = ", ".join(map(repr, new[:5]))
            raise DataError(
                f"Column {variable.name!r} has the level{'s' * (len(new) > 1)} {shown}, which "
                f"the training data do not hold (levels: {', '.join(coding.levels[:20])})."
            )
    rank = np.array([position.get(text, -1) for text in labels] + [-1], dtype=np.int32)
    return rank[factor.codes]


# --- contrasts -------------------------------------------------------------------------------


def _factor_coding(name: str, levels: tuple[str, ...], contrast: Contrast) -> FactorCoding:
    if len(levels) < 2:
        only = f" ({levels[0]!r})" if levels else ""
        raise DataError(f"{name!r} has only one level{only}; remove it from the formula.")
    if contrast.base is not None:
        if contrast.base not in levels:
            raise DataError(
                f"{name!r} has no level {contrast.base!r}. Levels: {', '.join(levels)}."
            )
        levels = (contrast.base, *(text for text in levels if text != contrast.base))
    if contrast.kind == "treatment":
        return FactorCoding(levels, "treatment", (), levels[1:])
    matrix = _contrast_matrix(contrast.kind, len(levels))
    rows = tuple(tuple(float(v) for v in row) for row in matrix)
    return FactorCoding(levels, contrast.kind, rows, _suffixes(contrast.kind, levels))


def _contrast_matrix(kind: str, k: int) -> NDArray[np.float64]:
    """R's contr.sum, contr.helmert, contr.poly, contr.SAS, MASS's contr.sdif: formulaic's."""
    from formulaic.transforms import contrasts  # deferred: 0.25 s that most models never pay

    classes: Mapping[str, Callable[[], Any]] = {
        "sum": contrasts.SumContrasts,
        "helmert": contrasts.HelmertContrasts,
        "poly": contrasts.PolyContrasts,
        "sas": contrasts.SASContrasts,
        "diff": contrasts.DiffContrasts,
    }
    matrix = classes[kind]().get_coding_matrix([str(j) for j in range(k)], reduced_rank=True)
    return np.asarray(matrix, dtype=np.float64)


def _suffixes(kind: str, levels: tuple[str, ...]) -> tuple[str, ...]:
    k = len(levels)
    if kind == "sas":
        return levels[:-1]
    if kind == "poly":
        named = (".L", ".Q", ".C")
        return tuple(named[j] if j < 3 else f"^{j + 1}" for j in range(k - 1))
    if kind == "diff":
        return tuple(f"{levels[j + 1]}-{levels[j]}" for j in range(k - 1))
    return tuple(str(j + 1) for j in range(k - 1))


# --- terms to columns ------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Columns:
    """Columns of a sum of terms; ``terms`` names each column's term."""

    columns: tuple[Column, ...]
    names: tuple[str, ...]
    terms: tuple[str, ...]


def build_columns(terms: Terms, encoded: Sequence[Encoded], ones: Column) -> Columns:
    """All columns of a sum of terms, in R's order and under R's names.

    Parameters
    ----------
    terms
        The expanded terms.
    encoded
        ``terms.variables``, evaluated.
    ones
        Shape ``(n,)``: the intercept.

    Raises
    ------
    DataError
        More columns than :mod:`.limits` allows.
    """
    full = _full_codings(terms, encoded)
    width = _width(terms, encoded, full)
    allowed = min(MAX_COLUMNS, MAX_CELLS // max(1, ones.shape[0]))
    if width > allowed:
        raise DataError(
            f"The terms make {width:,} columns; at most {allowed:,} are allowed for this many "
            "rows. A column with many levels may belong into a bar: (1 | column)."
        )
    columns: list[Column] = [ones] if terms.intercept else []
    names = [INTERCEPT] if terms.intercept else []
    owners = [INTERCEPT] if terms.intercept else []
    for term, owner, codings in zip(terms.terms, terms.names(), full, strict=True):
        made = _product([encoded[k].coded(codings[k]) for k in bits(term)])
        names += [name for name, _ in made]
        columns += [column for _, column in made]
        owners += [owner] * len(made)
    return Columns(tuple(columns), tuple(names), tuple(owners))


def _product(parts: list[list[tuple[str, Column]]]) -> list[tuple[str, Column]]:
    """Products of one column from each part; the first part varies fastest, as in R."""
    made = parts[0]
    for part in parts[1:]:
        made = [(f"{a}:{b}", x * y) for b, y in part for a, x in made]
    return made


def _width(terms: Terms, encoded: Sequence[Encoded], full: list[dict[int, bool]]) -> int:
    total = int(terms.intercept)
    for term, codings in zip(terms.terms, full, strict=True):
        product = 1
        for k in bits(term):
            product *= encoded[k].width(codings[k])
        total += product
    return total


def _full_codings(terms: Terms, encoded: Sequence[Encoded]) -> list[dict[int, bool]]:
    """Per term and variable: one indicator per level (True), or contrasts?

    R's rule (``TermCode`` in model.c): contrasts where the term without the variable is part
    of an earlier term (or empty). Without an intercept, the first factor that occurs gets
    indicators.
    """
    full: list[dict[int, bool]] = []
    factor_seen = terms.intercept
    for j, term in enumerate(terms.terms):
        codings: dict[int, bool] = {}
        for k in bits(term):
            rest = term & ~(1 << k)
            codings[k] = bool(rest) and not any(rest & ~t == 0 for t in terms.terms[:j])
            if not factor_seen and isinstance(encoded[k].coding, FactorCoding):
                factor_seen = codings[k] = True
        full.append(codings)
    return full
