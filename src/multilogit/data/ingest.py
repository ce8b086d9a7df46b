"""Every kind of table that a user may pass, behind one small reading surface."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from multilogit.data.columns import Column, Factor, Numeric, as_column, is_pandas_column
from multilogit.data.files import read_file
from multilogit.errors import DataError
from multilogit.lazy import pd, was_imported
from multilogit.paths import at_home

ACCEPTED = (
    "a pandas, polars or pyarrow table (or any frame that narwhals knows), a dict of arrays, "
    "or the path of a CSV or Parquet file"
)


@dataclass(frozen=True, slots=True)
class Table:
    """Named columns of equal length, converted one by one when asked for.

    Attributes
    ----------
    position
        Position of each column by its name.
    n_rows
        Number of rows, at least one.
    raw
        Returns the source's own column by position.
    index
        Labels of the rows, where the source is of pandas; else None.
    """

    position: Mapping[str, int]
    n_rows: int
    raw: Callable[[int], Any]
    index: pd.Index | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """Column names, in order."""
        return tuple(self.position)

    def __contains__(self, name: object) -> bool:
        return name in self.position

    def column(self, name: str) -> Column:
        """The column ``name``, as numbers or as a factor.

        Raises
        ------
        DataError
            No such column, or one of a type that cannot be used.
        """
        if name not in self.position:
            raise DataError(f"The data have no column {name!r}.")
        return as_column(self.raw(self.position[name]), name)


def read_table(data: Any) -> Table:
    """Accept any supported table.

    Parameters
    ----------
    data
        A pandas, polars or pyarrow table, any frame that narwhals supports, a mapping from
        names to one-dimensional arrays (or to one value for all rows), or the path (``str`` or
        ``Path``) of a CSV or Parquet file. See :func:`multilogit.data.files.read_csv` for how CSV
        files are read.

    Returns
    -------
    Table

    Raises
    ------
    DataError
        Unsupported type, unreadable or empty file, ragged CSV, duplicate column names, columns
        of unequal length, no rows.
    """
    if isinstance(data, Table):
        return data
    if isinstance(data, (str, Path)):
        if data == "":
            raise DataError("The path of the data is empty.")
        data = read_file(at_home(data))
    if was_imported("pandas") and isinstance(data, pd.DataFrame):
        return _from_pandas(data)
    if isinstance(data, Mapping):
        return _from_mapping(data)
    return _from_narwhals(data)


def check_aligned(values: Any, index: pd.Index | None, what: str) -> None:
    """Refuse a pandas object whose rows are labelled otherwise than those it goes with.

    Values are taken by position. Of a Series that was sorted or filtered apart from the data that
    would be, silently, the values of other rows. (Another length is refused elsewhere.)

    Raises
    ------
    DataError
        The labels differ.
    """
    if index is None or not isinstance(values, (pd.Series, pd.DataFrame)):
        return
    own = values.index
    if len(own) != len(index) or own.equals(index):
        return
    row = next((k for k, (a, b) in enumerate(zip(own, index, strict=True)) if a != b), 0)
    found, expected = (labels[row : row + 1].tolist()[0] for labels in (own, index))
    raise DataError(
        f"{what} has another index than the data: its row {row} is labelled {found!r}, that of "
        f"the data {expected!r}. Bring it into the order of the data, as in "
        "series.loc[data.index]; where the order is right, pass series.to_numpy()."
    )


def _table(
    names: Sequence[str],
    n_rows: int,
    raw: Callable[[int], Any],
    index: pd.Index | None = None,
) -> Table:
    """A table, if it has columns of different names, and rows."""
    position = {name: k for k, name in enumerate(names)}
    if not names:
        raise DataError("The data have no columns.")
    if len(position) < len(names):
        twice = [name for k, name in enumerate(names) if position[name] != k]
        shown = ", ".join(map(repr, dict.fromkeys(twice)))
        raise DataError(f"Column names occur twice: {shown}. Rename them.")
    if n_rows == 0:
        raise DataError("The data have no rows.")
    return Table(position, n_rows, raw, index)


def _from_pandas(frame: pd.DataFrame) -> Table:
    labels = list(frame.columns)
    texts = all(isinstance(label, str) for label in labels)  # then by name, which is faster
    raw = (lambda k: frame[labels[k]]) if texts else (lambda k: frame.iloc[:, k])
    return _table([str(label) for label in labels], len(frame), raw, frame.index)


def _from_mapping(data: Mapping[Any, Any]) -> Table:
    named = {str(key): value for key, value in data.items()}
    single = {name: v for name, v in named.items() if isinstance(v, (str, int, float, np.generic))}
    arrays = {name: _one_dimensional(v, name) for name, v in named.items() if name not in single}
    lengths = {name: len(value) for name, value in arrays.items()}
    if len(set(lengths.values())) > 1:
        text = ", ".join(f"{name!r}: {n}" for name, n in lengths.items())
        raise DataError(f"The columns have different lengths ({text}).")
    n_rows = next(iter(lengths.values()), len(single) and 1)
    arrays |= {name: _repeated(value, n_rows) for name, value in single.items()}
    arrays = {name: arrays[name] for name in named}  # in the order given
    values = tuple(arrays.values())
    labelled = filter(is_pandas_column, values)
    index = next((value.index for value in labelled if isinstance(value, pd.Series)), None)
    for name, value in arrays.items():
        check_aligned(value, index, f"Column {name!r}")
    return _table(list(arrays), n_rows, lambda k: values[k], index)


def _repeated(value: Any, n: int) -> np.ndarray[Any, Any]:
    """One value for all rows."""
    return np.full(n, value, dtype=object if isinstance(value, str) else None)


def _one_dimensional(value: Any, name: str) -> Any:
    """A column that is one, or a NumPy array; lists of mixed values become objects, not text."""
    if isinstance(value, Numeric | Factor) or is_pandas_column(value):
        return value
    if not isinstance(value, np.ndarray):
        if isinstance(value, (str, bytes)) or not hasattr(value, "__len__"):
            raise DataError(f"Column {name!r} is a single value; pass one value per row.")
        value = _array_of(value)
    if value.ndim != 1:
        raise DataError(f"Column {name!r} has {value.ndim} dimensions; it must have one.")
    if isinstance(value, np.ma.MaskedArray):
        known = np.array(value.data, dtype=object)
        known[np.ma.getmaskarray(value)] = None
        return known
    return value


def _array_of(value: Any) -> np.ndarray[Any, Any]:
    if hasattr(value, "__array__"):
        return np.asarray(value)
    items = list(value)
    array = np.empty(len(items), dtype=object)
    array[:] = items
    return array


def _from_narwhals(data: Any) -> Table:
    # A frame of a library that was never imported cannot exist; so before importing narwhals
    # (50 ms) make sure that the object at least looks like a table.
    if data is None or isinstance(data, (int, float, list, tuple, set, np.ndarray)):
        raise _unsupported(data)
    if is_pandas_column(data):
        raise _unsupported(data)
    import narwhals as nw

    try:
        frame: Any = nw.from_native(data)
    except TypeError:
        raise _unsupported(data) from None
    if isinstance(frame, nw.LazyFrame):
        frame = frame.collect()
    names = [str(name) for name in frame.columns]
    if "pandas" in str(frame.implementation).lower() and was_imported("pandas"):
        native = frame.to_native()
        if isinstance(native, pd.DataFrame):
            return _from_pandas(native)
    return _table(names, len(frame), lambda k: frame[names[k]])


def _unsupported(data: Any) -> DataError:
    kind = type(data)
    return DataError(
        f"Data of type {kind.__module__}.{kind.__qualname__} are not supported. Pass {ACCEPTED}."
    )
