"""Whether data are read in chunks."""

from __future__ import annotations

from dataclasses import dataclass
from os import PathLike
from pathlib import Path

from multilogit.data.csv_file import CsvFile
from multilogit.data.files import TEXT
from multilogit.data.parquet import ParquetFiles, parquet_paths
from multilogit.errors import OptionError
from multilogit.outofcore.memory import LIBRARIES, parse_memory, physical_memory
from multilogit.paths import at_home

_LARGE = 200_000_000
"""Bytes of data in memory that are read straight into parts, and not kept as columns."""
_LARGE_CSV = 20_000_000
"""Bytes of a CSV file, perhaps compressed, that may be as much in memory."""
_IN_MEMORY = 3
"""A fit in memory takes so many times the data: read, as columns of the model, in the core."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """Parquet files, or a CSV file.

    Attributes
    ----------
    files
        They themselves.
    memory
        Bytes that are there for the data when they are read in chunks; None: they are read into
        memory.
    """

    files: ParquetFiles | CsvFile
    memory: int | None

    @property
    def large(self) -> bool:
        """Whether columns beside what the core makes of them would be a waste of memory."""
        return self.memory is None and self.files.bytes > _LARGE


def chosen_files(data: object, memory: object) -> Chosen | None:
    """The files that ``data`` names, and how to read them; None: as other data are.

    Raises
    ------
    DataError
        There is no such file, or one that is damaged.
    OptionError
        ``memory`` is no size, or was given with data that are not in files.
    """
    budget = None if memory is None else parse_memory(memory)
    files = _files(data, budget is not None)
    if files is None:
        if budget is not None:
            raise OptionError(
                "memory= is for data in files: the path of a CSV file or of a Parquet file, or a "
                "directory, a pattern or a list of Parquet files. Data in memory are there already."
            )
        return None
    physical = physical_memory()
    if budget is None and physical is not None and _IN_MEMORY * files.bytes > physical // 2:
        budget = max(physical // 2, parse_memory("500MB"))
    return Chosen(files, None if budget is None else budget - LIBRARIES)


def _files(data: object, limited: bool) -> ParquetFiles | CsvFile | None:
    """Files that may be read in chunks; of CSV files large ones, or where memory is limited."""
    paths = parquet_paths(data)
    if paths is not None:
        return ParquetFiles.opened(paths)
    if not isinstance(data, str | PathLike) or Path(data).suffix.lower() not in TEXT:
        return None
    path = at_home(data)
    worthwhile = limited or (path.is_file() and path.stat().st_size > _LARGE_CSV)
    return CsvFile.opened(path) if worthwhile else None
