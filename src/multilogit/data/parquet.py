"""Parquet files, one or many, read a chunk of rows at a time.

The footers of all files are read first: a file that is truncated, or that has other columns than
the first one, is found before any work is done.
"""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from multilogit.data.files import PARQUET
from multilogit.data.ingest import Table, read_table
from multilogit.errors import DataError
from multilogit.lazy import pd
from multilogit.paths import at_home

_BUFFER = 1 << 22
"""Bytes of a column that are read from a file at once."""
_INDEX = re.compile(r"__index_level_\d+__")


def parquet_paths(data: object) -> tuple[Path, ...] | None:
    """The files that a directory, a pattern such as ``"data/*.parquet"`` or a list stands for.

    In a list, the order given; otherwise sorted by name. None: ``data`` is none of these, and no
    path of a Parquet file.

    Raises
    ------
    DataError
        There is no such file, or one that is not a Parquet file.
    """
    if isinstance(data, list | tuple):
        if not data or not all(isinstance(item, str | os.PathLike) for item in data):
            return None
        return tuple(path for item in data for path in _paths(at_home(item)))
    if not isinstance(data, str | os.PathLike) or data == "":  # Path("") is the directory
        return None
    path = at_home(data)
    several = path.is_dir() or (not path.exists() and glob.has_magic(str(path)))
    return _paths(path) if several or path.suffix.lower() in PARQUET else None


def _paths(path: Path) -> tuple[Path, ...]:
    if path.is_dir():
        found = sorted(p for p in path.rglob("*") if p.suffix.lower() in PARQUET)
        what = f"no file {' or '.join('*' + suffix for suffix in PARQUET)} in the directory"
    elif not path.exists() and glob.has_magic(str(path)):
        found = sorted(map(Path, glob.glob(str(path), recursive=True)))
        what = "no file that matches"
    else:
        found = [path] if path.exists() else []
        what = "no file"
    if not found:
        raise DataError(f"There is {what} {str(path)!r}.")
    for each in found:
        if each.suffix.lower() not in PARQUET:
            raise DataError(
                f"{str(each)!r} is not a Parquet file ({', '.join(PARQUET)}). Several files are "
                "read together, and files larger than memory, where they are in that format."
            )
    return tuple(found)


@dataclass(frozen=True, slots=True)
class ParquetFiles:
    """Files of the same columns, as one table that is read in chunks.

    Attributes
    ----------
    paths
        At least one.
    names
        Columns, in the order of the first file; without a nameless index of pandas.
    n_rows
        Rows of all files.
    bytes
        About what they take in memory.
    """

    paths: tuple[Path, ...]
    names: tuple[str, ...]
    n_rows: int
    bytes: int

    @classmethod
    def opened(cls, paths: Sequence[Path]) -> ParquetFiles:
        """The files, their footers checked.

        Raises
        ------
        DataError
            A file is damaged or truncated, differs from the first one in its columns, or none
            has rows; pyarrow is not installed.
        """
        first: Any = None
        n_rows = n_bytes = 0
        for path in paths:
            metadata = _metadata(path)
            schema = metadata.schema.to_arrow_schema()
            if first is None:
                first = schema
            _check_schema(path, schema, paths[0], first)
            n_rows += metadata.num_rows
            groups = (metadata.row_group(k) for k in range(metadata.num_row_groups))
            n_bytes += sum(group.total_byte_size for group in groups)
        if n_rows == 0:
            raise DataError(f"{str(paths[0])!r}: the data have no rows.")
        n_bytes = max(n_bytes, 8 * n_rows * len(first.names))
        names = tuple(name for name in first.names if not _INDEX.fullmatch(name))
        return cls(tuple(paths), names, n_rows, n_bytes)

    def whole(self) -> Table:
        """All rows, in memory: each column is read when it is asked for, and not kept."""
        position = {name: k for k, name in enumerate(self.names)}
        return Table(position, self.n_rows, lambda k: self._column(self.names[k]))

    def _column(self, name: str) -> pd.Series:
        """One column of all files."""
        from pyarrow import ArrowException, concat_tables, default_memory_pool
        from pyarrow.parquet import read_table as read_parquet

        tables = []
        for path in self.paths:
            try:
                tables.append(read_parquet(path, columns=[name], partitioning=None))
            except (OSError, ArrowException) as error:
                raise _damaged(path, error) from None
        together = concat_tables(tables, promote_options="default").unify_dictionaries()
        del tables
        column = together.to_pandas(ignore_metadata=True, split_blocks=True, self_destruct=True)
        del together
        default_memory_pool().release_unused()  # Arrow would keep it for later
        return column.iloc[:, 0]

    def head(self) -> Table:
        """The first rows, with all columns."""
        return next(self.chunks(self.names, 100))

    def chunks(self, names: Sequence[str], rows: int) -> Iterator[Table]:
        """Some columns of all rows, in the order of the files, at most ``rows`` at a time.

        Raises
        ------
        DataError
            A file cannot be read, though its footer could.
        """
        from pyarrow import ArrowException
        from pyarrow.parquet import ParquetFile

        for path in self.paths:
            try:
                with ParquetFile(path, buffer_size=_BUFFER, pre_buffer=False) as file:
                    for batch in file.iter_batches(rows, columns=list(names)):
                        if batch.num_rows:
                            yield read_table(batch.to_pandas(ignore_metadata=True))
            except (OSError, ArrowException) as error:
                raise _damaged(path, error) from None


def _metadata(path: Path) -> Any:
    """The footer of a file, which must lie behind all of its columns."""
    try:
        from pyarrow import ArrowException
        from pyarrow.parquet import read_metadata
    except ImportError:
        raise DataError("Reading Parquet needs pyarrow: pip install pyarrow.") from None
    try:
        metadata = read_metadata(path)
    except (OSError, ArrowException) as error:
        raise _damaged(path, error) from None
    size = path.stat().st_size
    for k in range(metadata.num_row_groups):
        group = metadata.row_group(k)
        for j in range(group.num_columns):
            column = group.column(j)
            start = column.dictionary_page_offset or column.data_page_offset
            if start + column.total_compressed_size > size:
                raise _damaged(path, f"column {column.path_in_schema!r} ends behind the file")
    return metadata


def _damaged(path: Path, why: object) -> DataError:
    return DataError(
        f"{str(path)!r} is not a whole Parquet file: it is damaged or truncated ({why}). Write or "
        "copy it again, or leave it out."
    )


def _check_schema(path: Path, schema: Any, first_path: Path, first: Any) -> None:
    if schema.equals(first):
        return
    here, there = (
        dict(zip(schema.names, schema.types, strict=True)),
        dict(zip(first.names, first.types, strict=True)),
    )
    for name in [*there, *here]:
        if here.get(name) != there.get(name):
            raise DataError(
                f"{str(path)!r} does not go with {str(first_path)!r}: column {name!r} is "
                f"{here.get(name, 'missing')} in the one and {there.get(name, 'missing')} in the "
                "other. Files that are read together need the same columns."
            )
