"""One column of the user's data in one of two internal forms: numbers or a factor.

Whatever the source (pandas, polars, Arrow, NumPy), a column becomes a :class:`Numeric`, whose
values stay in the user's memory where they can, or a :class:`Factor`: codes and levels.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from multilogit.errors import DataError
from multilogit.lazy import pd, was_imported

Rows = NDArray[np.int64]
Codes = NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class Numeric:
    """Numbers, one per row.

    Attributes
    ----------
    values
        Shape ``(n,)``, contiguous; float64, an integer type or bool. May be the user's own
        memory: never write to it. NaN marks a missing value.
    boolean
        True where the source holds truth values (they enter a design as a factor, as in R).
    """

    values: NDArray[Any]
    boolean: bool = False

    def __len__(self) -> int:
        return int(self.values.shape[0])

    def floats(self) -> NDArray[np.float64]:
        """The values as contiguous float64; no copy if they already are."""
        return np.ascontiguousarray(self.values, dtype=np.float64)

    def take(self, rows: Rows) -> Numeric:
        """Only these rows."""
        return Numeric(self.values[rows], self.boolean)

    def missing(self, name: str) -> NDArray[np.bool_] | None:
        """Mask of NaN, or None when there is none (one cheap pass).

        Raises
        ------
        DataError
            An infinite value; ``name`` says where.
        """
        if is_finite(self.values):
            return None
        infinite = np.flatnonzero(np.isinf(self.values))
        if infinite.size:
            raise DataError(
                f"Column {name!r} is infinite at row {infinite[0]}. Remove or correct the row."
            )
        return np.asarray(np.isnan(self.values))


@dataclass(frozen=True, slots=True)
class Factor:
    """A categorical column: ``levels[codes[i]]`` is the value of row i.

    Attributes
    ----------
    codes
        Shape ``(n,)``, int32; -1 marks a missing value.
    levels
        The values, in order. Some may not occur.
    """

    codes: Codes
    levels: tuple[Any, ...]

    def __len__(self) -> int:
        return int(self.codes.shape[0])

    def take(self, rows: Rows) -> Factor:
        """Only these rows; the levels stay."""
        return Factor(self.codes[rows], self.levels)

    def missing(self, name: str) -> NDArray[np.bool_] | None:
        """Mask of missing values, or None when there is none (a level is never infinite)."""
        if self.codes.size == 0 or int(self.codes.min()) >= 0:
            return None
        return self.codes < 0

    def labels(self) -> tuple[str, ...]:
        """The levels as text."""
        return tuple(map(label, self.levels))

    def used(self) -> Factor:
        """The same factor without the levels that do not occur."""
        seen = np.zeros(len(self.levels), dtype=bool)
        seen[self.codes] = True
        if seen.all():
            return self
        new_code = (np.cumsum(seen) - 1).astype(np.int32)
        kept = tuple(level for level, here in zip(self.levels, seen, strict=True) if here)
        return Factor(new_code[self.codes], kept)


Column = Numeric | Factor


def label(level: object) -> str:
    """The text of a level: ``1`` and ``1.0`` are both ``"1"``."""
    if isinstance(level, (float, np.floating)) and float(level).is_integer():
        return str(int(level))
    return str(level)


def is_finite(values: NDArray[Any]) -> bool:
    """Whether all values are finite: one sum, a second look only where it overflows."""
    if values.dtype.kind != "f":
        return True
    with np.errstate(over="ignore", invalid="ignore"):
        total = np.add.reduce(values)
    return bool(np.isfinite(total)) or bool(np.isfinite(values).all())


def sorted_levels(values: Iterable[Any]) -> list[Any]:
    """Values in their natural order; values that do not compare, by type and text."""
    values = list(values)
    try:
        return sorted(values)
    except TypeError:
        return sorted(values, key=lambda v: (type(v).__name__, str(v)))


def factorize(values: Any, order: Sequence[Any] | None = None) -> Factor:
    """A factor from any array of hashable values; levels sorted unless ``order`` is given."""
    codes, uniques = pd.factorize(values)
    found = uniques.tolist()
    levels = sorted_levels(found) if order is None else list(order)
    position = {level: k for k, level in enumerate(levels)}
    # One slot more than levels: code -1 (missing) reads the last one.
    rank = np.array([position.get(level, -1) for level in found] + [-1], dtype=np.int32)
    return Factor(rank[codes], tuple(levels))


def factor_of_text(texts: Sequence[str], missing: Collection[str]) -> Factor:
    """A factor from texts, some of which mark missing values; levels sorted."""
    levels = sorted(set(texts).difference(missing))
    position = {level: k for k, level in enumerate(levels)}
    codes = np.fromiter((position.get(text, -1) for text in texts), np.int32, len(texts))
    return Factor(codes, tuple(levels))


def factor_of(column: Column) -> Factor:
    """A column as a factor: distinct numbers become levels in increasing order."""
    if isinstance(column, Factor):
        return column
    values = column.values
    if column.boolean:
        codes = np.where(np.isnan(values), -1, values == 1)
        return Factor(codes.astype(np.int32), (False, True))
    if values.dtype.kind in "iu" and values.size:
        codes, found = distinct_integers(values)
        return Factor(codes, tuple(found.tolist()))
    factor = factorize(values)
    if all(isinstance(v, float) and v.is_integer() for v in factor.levels):
        return Factor(factor.codes, tuple(int(v) for v in factor.levels))
    return factor


def distinct_integers(values: NDArray[Any]) -> tuple[Codes, NDArray[Any]]:
    """Codes of integers, and the integers that occur, in increasing order.

    Counted where their range is small, hashed where it is wide.
    """
    low, high = int(values.min()), int(values.max())
    if high - low > 4 * values.size + 1000:
        codes, found = pd.factorize(values, sort=True)
        return codes.astype(np.int32), np.asarray(found)
    shifted = values if low == 0 else values - values.dtype.type(low)
    shifted = shifted.astype(np.intp, copy=False)
    seen = np.zeros(high - low + 1, dtype=bool)
    seen[shifted] = True
    found = np.flatnonzero(seen)
    if found.size == seen.size:
        return shifted.astype(np.int32), found + low
    rank = (np.cumsum(seen) - 1).astype(np.int32)
    return rank[shifted], found + low


# --- from the user's own types ---------------------------------------------------------------


def as_column(raw: Any, name: str) -> Column:
    """One raw column (NumPy array, pandas or narwhals series) in internal form; one that is stays.

    Raises
    ------
    DataError
        The column's type is neither numeric nor categorical (dates, lists, bytes, ...).
    """
    if isinstance(raw, Numeric | Factor):
        return raw
    if isinstance(raw, np.ndarray):
        return _from_numpy(raw, name)
    if is_pandas_column(raw):
        return _from_pandas(raw, name)
    return _from_narwhals(raw, name)


def is_pandas_column(raw: object) -> bool:
    """Whether this is a column of pandas, which is not imported for the question."""
    return was_imported("pandas") and isinstance(
        raw, (pd.Series, pd.Index, pd.api.extensions.ExtensionArray)
    )


def _from_numpy(values: NDArray[Any], name: str) -> Column:
    if values.ndim != 1:
        raise DataError(f"Column {name!r} has {values.ndim} dimensions; it must have one.")
    kind = values.dtype.kind
    if kind == "f":
        return Numeric(np.ascontiguousarray(values, dtype=np.float64))
    if kind in "iub":
        return Numeric(np.ascontiguousarray(values), kind == "b")
    if kind == "O":
        return _from_objects(values, name)
    if kind in "UT":
        return factorize(values.astype(object))
    raise _unsupported(name, values.dtype)


def _from_objects(values: NDArray[Any], name: str) -> Column:
    inferred = pd.api.types.infer_dtype(values, skipna=True)
    if inferred in ("string", "mixed", "mixed-integer"):
        try:
            return factorize(values)
        except TypeError:
            raise _unsupported(name, inferred) from None
    if inferred in ("integer", "floating", "mixed-integer-float", "decimal", "boolean", "empty"):
        missing = pd.isna(values)
        if not missing.any() and inferred in ("integer", "boolean"):
            try:
                return _from_numpy(np.array(values.tolist()), name)
            except OverflowError:  # integers beyond 64 bits
                pass
        numbers = np.array(
            [np.nan if m else float(v) for v, m in zip(values, missing, strict=True)]
        )
        return Numeric(numbers, inferred == "boolean")
    raise _unsupported(name, inferred)


def _from_pandas(series: Any, name: str) -> Column:
    dtype = series.dtype
    if isinstance(dtype, np.dtype):
        return _from_numpy(series.to_numpy(), name)
    if isinstance(dtype, pd.CategoricalDtype):
        values = series.array if isinstance(series, (pd.Series, pd.Index)) else series
        return Factor(values.codes.astype(np.int32), tuple(dtype.categories.tolist()))
    if pd.api.types.is_bool_dtype(dtype) or pd.api.types.is_numeric_dtype(dtype):
        boolean = pd.api.types.is_bool_dtype(dtype)
        if pd.api.types.is_integer_dtype(dtype) and not series.isna().any():
            return Numeric(np.ascontiguousarray(series.to_numpy(dtype=np.int64)))
        return Numeric(series.to_numpy(dtype=np.float64, na_value=np.nan), boolean)
    if isinstance(dtype, pd.StringDtype) or pd.api.types.is_string_dtype(dtype):
        return factorize(series)
    if str(dtype).startswith("dictionary"):
        return factorize(series.astype(object))
    raise _unsupported(name, dtype)


def _from_narwhals(series: Any, name: str) -> Column:
    dtype = series.dtype
    kind = type(dtype).__name__ if not isinstance(dtype, type) else dtype.__name__
    if kind == "Categorical" and "polars" not in str(series.implementation).lower():
        native = series.to_native()  # Arrow's own conversion keeps the declared categories
        return _from_pandas((native if hasattr(native, "to_pandas") else series).to_pandas(), name)
    if kind in ("String", "Categorical", "Enum"):
        # The categories of a polars Categorical are in no order of their own: sorted.
        text = np.array(series.cast(_narwhals().String).to_list(), dtype=object)
        return factorize(text, dtype.categories if kind == "Enum" else None)
    if kind == "Boolean":
        if series.null_count():
            series = series.cast(_narwhals().Float64)
        return Numeric(np.array(series.to_numpy(), copy=None), boolean=True)
    if kind == "Object":
        return _from_objects(np.array(series.to_list(), dtype=object), name)
    if dtype.is_numeric():
        if series.null_count() or not (dtype.is_integer() or dtype.is_float()):
            series = series.cast(_narwhals().Float64)
        return _from_numpy(np.asarray(series.to_numpy()), name)
    raise _unsupported(name, dtype)


def _narwhals() -> Any:
    import narwhals as nw  # deferred: 50 ms that a pandas user never pays

    return nw


def _unsupported(name: str, dtype: object) -> DataError:
    return DataError(
        f"Column {name!r} is of type {dtype}, which is neither numeric nor categorical. "
        "Convert it to numbers, text or categories first."
    )
