"""CSV and Parquet files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from multilogit.data.columns import Column
from multilogit.data.csv_layout import (
    CsvLayout,
    check_ragged,
    csv_layout,
    not_text,
    open_text,
    ragged,
)
from multilogit.data.plain_csv import plain_columns
from multilogit.errors import DataError
from multilogit.lazy import pd, was_imported

PARQUET = (".parquet", ".pq")
TEXT = (".csv", ".tsv", ".txt", ".dat", ".gz")


def read_file(path: Path) -> pd.DataFrame | dict[str, Column]:
    """Read a CSV or Parquet file, by its extension.

    A small CSV file is read without pandas if the program has not imported it yet. Either way the
    columns are the same.

    Raises
    ------
    DataError
        Missing, unreadable or empty file, unknown extension, ragged CSV.
    """
    if not path.exists():
        formula = "~" in path.name[1:]
        hint = " It reads like a formula: are the data and the formula in each other's place?"
        raise DataError(f"There is no file {str(path)!r}.{hint * formula}")
    if path.is_dir():
        raise DataError(f"{str(path)!r} is a directory, not a file.")
    if path.suffix.lower() in PARQUET:
        return _read_parquet(path)
    if path.suffix.lower() not in TEXT:
        raise DataError(
            f"{str(path)!r}: unknown kind of file. Use one of {', '.join(TEXT + PARQUET)}."
        )
    plain = None if was_imported("pandas") else plain_columns(path)
    return read_csv(path) if plain is None else plain


def _read_parquet(path: Path) -> pd.DataFrame:
    try:
        return pd.read_parquet(path)
    except ImportError:
        raise DataError("Reading Parquet needs pyarrow: pip install pyarrow.") from None
    except Exception as error:  # each engine has exceptions of its own
        raise DataError(f"{str(path)!r} cannot be read as Parquet: {error}") from None


def read_csv(path: Path) -> pd.DataFrame:
    """Read a CSV file; :mod:`multilogit.data.csv_layout` says what is detected.

    Raises
    ------
    DataError
        Empty or unreadable file, header only, or a line with a wrong number of fields.
    """
    layout = csv_layout(path)
    with _reading(path, layout.separator), open_text(path) as file:
        frame: pd.DataFrame = pd.read_csv(file, **layout.options())
    # A line that is too short shows as a missing value in the last column.
    if len(frame) and frame.iloc[:, -1].isna().any():
        check_ragged(path, layout.separator)
    return frame


@contextmanager
def _reading(path: Path, separator: str) -> Iterator[None]:
    """What goes wrong while a CSV file is read, in words."""
    try:
        yield
    except pd.errors.ParserError:
        raise ragged(path, separator) from None
    except (OSError, UnicodeError, EOFError) as error:
        raise not_text(path, error) from None


def csv_chunks(
    path: Path, layout: CsvLayout, text: Sequence[str], rows: int
) -> Iterator[pd.DataFrame]:
    """All rows, at most ``rows`` at a time; raises as :func:`read_csv`.

    ``text``: columns that are no numbers, whatever their values look like.
    """
    with _reading(path, layout.separator), open_text(path) as file:
        # All columns: of some of them alone, pandas reads lines with too many fields.
        yield from pd.read_csv(file, **layout.options(text), chunksize=rows)
