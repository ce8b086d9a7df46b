"""Small CSV files, read without pandas, whose import takes longer than the fit to such a file."""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from multilogit.data.columns import Column, Numeric, factor_of_text
from multilogit.data.csv_layout import MISSING, csv_layout, open_text

LARGEST = 5_000_000
"""Bytes of a file that pandas reads faster, its import counted."""

_WHOLE = re.compile(r"[-+]?[0-9]{1,18}")
_NUMBER = re.compile(
    rf"{_WHOLE.pattern}|[-+]?([0-9]+\.|[0-9]*\.[0-9]+|[0-9]+(?=[eE]))([eE][-+]?[0-9]{{1,3}})?"
)
_WORDS = ("", "e", "true", "false", "inf", "infinity", "nan")
"""What is left of a text that may be a number or a truth value when its digits are taken away."""


def plain_columns(path: Path) -> dict[str, Column] | None:
    """The columns of a CSV file, the same that pandas finds; None: leave the file to pandas.

    That is a large file, and any with something that is not plainly a number, text or missing:
    truth values, spaces around numbers, integers beyond 64 bits, lines of unequal length.

    Raises
    ------
    DataError
        As :func:`multilogit.data.csv_layout.csv_layout`.
    """
    if path.suffix.lower() == ".gz" or path.stat().st_size > LARGEST:
        return None
    layout = csv_layout(path)
    if layout.decimal != ".":
        return None
    try:
        with open_text(path) as file:
            _, *rows = filter(None, csv.reader(file, delimiter=layout.separator, strict=True))
    except (csv.Error, OSError, UnicodeError):
        return None
    n_columns = len(layout.names)
    if not rows or n_columns == 1 or any(len(row) != n_columns for row in rows):
        return None
    columns = {}
    for name, texts in zip(layout.names, zip(*rows, strict=True), strict=True):
        column = factor_of_text(texts, MISSING) if name in layout.text else _column(texts)
        if column is None:
            return None
        columns[name] = column
    return columns


def _column(texts: Sequence[str]) -> Column | None:
    """Whole numbers, numbers or text; None: neither plainly."""
    found = set(texts)
    given = found.difference(MISSING)
    if len(given) == len(found) and all(map(_WHOLE.fullmatch, given)):
        return Numeric(np.fromiter(map(int, texts), np.int64, len(texts)))
    if all(map(_NUMBER.fullmatch, given)):
        values = {text: float(text) for text in given} | dict.fromkeys(MISSING, np.nan)
        return Numeric(np.fromiter(map(values.__getitem__, texts), np.float64, len(texts)))
    if any(text.strip("0123456789+-. \t").lower() not in _WORDS for text in given):
        return factor_of_text(texts, MISSING)
    return None
