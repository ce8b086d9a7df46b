"""A CSV file that is read a chunk of rows at a time.

Which columns hold numbers, truth values or text is told by the first rows, and holds for all.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from multilogit.data.csv_layout import CsvLayout, csv_layout
from multilogit.data.files import csv_chunks, read_csv
from multilogit.data.ingest import Table, read_table
from multilogit.errors import DataError
from multilogit.lazy import pd

Kind = Literal["numbers", "truth values", "text"]

_FIRST = 10_000
"""Rows that tell what the columns hold."""
_COMPRESSED = 4
"""A compressed file holds about so many times its bytes."""


@dataclass(frozen=True, slots=True)
class CsvFile:
    """A CSV file as a table that is read in chunks.

    Attributes
    ----------
    path
        The file.
    layout
        How it is written.
    kinds
        What each column holds; a column without values so far is not there.
    n_rows
        Rows: an estimate.
    bytes
        About what they take in memory.
    """

    path: Path
    layout: CsvLayout
    kinds: dict[str, Kind]
    n_rows: int
    bytes: int

    @property
    def names(self) -> tuple[str, ...]:
        """Columns."""
        return self.layout.names

    @classmethod
    def opened(cls, path: Path) -> CsvFile:
        """The file, its first rows read.

        Raises
        ------
        DataError
            It is not there, empty, or not a CSV file.
        """
        if not path.exists():
            raise DataError(f"There is no file {str(path)!r}.")
        layout = csv_layout(path)
        first = next(csv_chunks(path, layout, (), _FIRST), pd.DataFrame())
        if first.empty:
            raise DataError(f"{str(path)!r}: the data have no rows.")
        found = {name: _kind(first[name]) for name in layout.names}
        size = path.stat().st_size * (_COMPRESSED if path.suffix.lower() == ".gz" else 1)
        n_rows = max(int(size / layout.line), 1)
        kinds = {name: kind for name, kind in found.items() if kind is not None}
        return cls(path, layout, kinds, n_rows, max(size, 8 * n_rows * len(layout.names)))

    def whole(self) -> Table:
        """All rows and columns, in memory."""
        return read_table(read_csv(self.path))

    def head(self) -> Table:
        """The first rows, with all columns."""
        return next(self.chunks(self.names, 100))

    def chunks(self, names: Sequence[str], rows: int) -> Iterator[Table]:
        """Some columns of all rows, at most ``rows`` at a time.

        Raises
        ------
        DataError
            A line with a wrong number of fields; a value of another kind than those of the first
            rows.
        """
        text = [name for name, kind in self.kinds.items() if kind == "text"]
        rows = max(rows * len(names) // len(self.names), 1_000)  # all columns are read
        done = 0
        for chunk in csv_chunks(self.path, self.layout, text, rows):
            for name in names:
                self._check(chunk[name], name, done)
            done += len(chunk)
            yield read_table(chunk[list(names)])

    def _check(self, column: pd.Series, name: str, done: int) -> None:
        """Refuse a column that is not of its kind; ``done``: rows before these."""
        kind, wanted = _kind(column), self.kinds.get(name, "numbers")
        if kind is None or kind == wanted:
            return
        fits = column.isna() | column.isin([True, False])
        if wanted == "numbers":
            texts = column.astype(str).str.replace(self.layout.decimal, ".")
            fits = column.isna() | pd.to_numeric(texts, errors="coerce").notna()
        at = int(np.argmin(fits.to_numpy()))
        raise DataError(
            f"{str(self.path)!r}: column {name!r} holds {wanted} in its first {_FIRST} rows, and "
            f"{column.iloc[at]!r} in row {done + at}. Correct the value; quote the column, which "
            "makes it text; or write the file as Parquet, whose columns have types."
        )


def _kind(column: pd.Series) -> Kind | None:
    """What a column holds; None: nothing."""
    if not column.notna().any():
        return None
    if pd.api.types.is_bool_dtype(column.dtype):
        return "truth values"
    if pd.api.types.is_numeric_dtype(column.dtype):
        return "numbers"
    inferred = pd.api.types.infer_dtype(column, skipna=True)
    return "truth values" if inferred == "boolean" else "text"
