"""How a CSV file is written, told by its first lines.

A CSV file is text in UTF-8 with a header line. What is detected, from its first lines:

* the separator: the one of ``, ; tab |`` that splits the header into most fields;
* a decimal comma, where the separator is a semicolon;
* columns of quoted values: they stay text even if they look like numbers (a level ``"1"`` is
  not a number), unless every column of the file is quoted, when quotes say nothing.

Missing values are empty fields and ``NA``, ``N/A``, ``NaN``, ``nan``, ``NULL``, ``null``.
"""

from __future__ import annotations

import csv
import gzip
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import IO, Any

from multilogit.errors import DataError
from multilogit.lazy import pd

MISSING = ["", "NA", "N/A", "NaN", "nan", "NULL", "null"]
SEPARATORS = ",;\t|"
SAMPLE_ROWS = 100


@dataclass(frozen=True, slots=True)
class CsvLayout:
    """How a CSV file is written.

    Attributes
    ----------
    names
        Columns.
    separator, decimal
        Characters between fields, and in numbers.
    text
        Columns whose values are quoted: they are no numbers.
    line
        Bytes of a line, on average, of the first ones.
    """

    names: tuple[str, ...]
    separator: str
    decimal: str
    text: tuple[str, ...]
    line: float

    def options(self, text: Sequence[str] = ()) -> dict[str, Any]:
        """Arguments of ``pandas.read_csv``; ``text``: further columns that are no numbers."""
        return {
            "header": 0,
            "names": list(self.names),
            "sep": self.separator,
            "decimal": self.decimal,
            "dtype": dict.fromkeys((*self.text, *text), str),
            "na_values": MISSING,
            "keep_default_na": False,
            "low_memory": False,
            **_exact_numbers(),
        }


def _exact_numbers() -> dict[str, str]:
    """Numbers as Python reads them, so that both readers agree; pandas 3 has no other way."""
    return {"float_precision": "round_trip"} if int(pd.__version__.split(".")[0]) < 3 else {}


def csv_layout(path: Path) -> CsvLayout:
    """The layout of a CSV file, from its first lines."""
    try:
        with open_text(path) as file:
            lines = list(islice(file, SAMPLE_ROWS + 1))
    except (OSError, UnicodeError) as error:
        raise not_text(path, error) from None
    if not any(line.strip() for line in lines):
        raise DataError(f"{str(path)!r} is empty.")
    separator = _separator(lines)
    names, first = _header(lines, separator, path)
    if len(first) > len(names):  # pandas would take the first column for row names
        raise ragged(path, separator)
    quoted = _quoted_columns(lines, separator, len(names))
    decimal = "," if separator == ";" and _decimal_comma(lines) else "."
    line = sum(len(line.encode()) for line in lines) / len(lines)
    return CsvLayout(tuple(names), separator, decimal, tuple(names[k] for k in quoted), line)


def open_text(path: Path) -> IO[str]:
    """A text file, perhaps compressed."""
    if path.suffix.lower() == ".gz":
        return gzip.open(path, "rt", encoding="utf-8-sig", newline="")
    return path.open(encoding="utf-8-sig", newline="")


def _separator(lines: list[str]) -> str:
    header = next(line for line in lines if line.strip())
    bare = re.sub(r'"[^"]*"', "", header)
    return max(SEPARATORS, key=bare.count)  # the first, a comma, where none occurs


def _header(lines: list[str], separator: str, path: Path) -> tuple[list[str], list[str]]:
    """Column names, and the fields of the first line below them."""
    rows = (row for row in csv.reader(lines, delimiter=separator) if row)
    names = [name.strip() for name in next(rows)]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        shown = ", ".join(map(repr, twice))
        raise DataError(f"{str(path)!r}: column names occur twice in the header: {shown}.")
    return names, next(rows, [])


def _quoted_columns(lines: list[str], separator: str, n_columns: int) -> list[int]:
    """Columns whose values are all quoted in the sample, unless that is every column."""
    field = re.compile(rf'(?:^|{re.escape(separator)})\s*("(?:[^"]|"")*"|[^{separator}"]*)')
    rows = [field.findall(line.rstrip("\r\n")) for line in lines[1:] if line.strip()]
    rows = [row for row in rows if len(row) == n_columns]
    quoted = []
    for k in range(n_columns):
        values = [row[k] for row in rows if row[k].strip() not in MISSING]
        if values and all(value.startswith('"') for value in values):
            quoted.append(k)
    return [] if len(quoted) == n_columns else quoted


def _decimal_comma(lines: list[str]) -> bool:
    return any(re.search(r"(?:^|;)\s*-?\d+,\d+\s*(?:;|$)", line) for line in lines[1:])


def check_ragged(path: Path, separator: str) -> None:
    """Raise at the first line whose number of fields differs from the header's."""
    with open_text(path) as file:
        reader = csv.reader(file, delimiter=separator)
        n_header = None
        for row in reader:
            if not row:
                continue
            if n_header is None:
                n_header = len(row)
            elif len(row) != n_header:
                raise DataError(
                    f"{str(path)!r}, line {reader.line_num}: {len(row)} fields where the header "
                    f"has {n_header} (separator {separator!r}). Correct or remove the line."
                )


def not_text(path: Path, error: Exception) -> DataError:
    """The error of a file that is not text in UTF-8."""
    what = f"{str(path)!r} cannot be read as UTF-8 text: {error}"
    if isinstance(error, UnicodeError):
        what += (
            ". Save it as UTF-8, or read it yourself: "
            f"pandas.read_csv({path.name!r}, encoding='latin-1')."
        )
    return DataError(what)


def ragged(path: Path, separator: str) -> DataError:
    """The error of a file that cannot be read as CSV, with its first line of another length."""
    try:
        check_ragged(path, separator)
    except DataError as error:
        return error
    except csv.Error as error:
        return DataError(f"{str(path)!r} cannot be read as CSV: {error}.")
    return DataError(f"{str(path)!r} cannot be read as CSV.")
