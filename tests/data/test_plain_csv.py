"""Small CSV files read without pandas: the columns are those that pandas finds."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from multilogit.data import plain_csv
from multilogit.data.columns import Factor, Numeric
from multilogit.data.files import read_csv
from multilogit.data.ingest import read_table
from multilogit.data.plain_csv import plain_columns

NUMBERS = ("0", "1", "-3", "+7", "007", "1.5", "-.25", "5.", "1e-3", "2E+05", "0.1", "1e400")
LONG = ("123456789012345678", "12345678901234567890", "0.1234567890123456789", "9007199254740993")
MISSING = ("", "NA", "NaN", "null")
TEXT = ("a", "b", "a b", " x", "-", "1-2", "e", "1x", "é", "NA ", "1_000", "0x1F", "None", '"a"')
UNSURE = ("True", "FALSE", "inf", "-Infinity", " 1", "1 ", "1e", "--1", ".", "1.2.3", "1 2")
KINDS = (NUMBERS, ("0", "1", "2"), (*NUMBERS, *MISSING), (*TEXT, *MISSING), (*TEXT, *NUMBERS))
COLUMN = st.sampled_from(
    (*KINDS, LONG, UNSURE, (*UNSURE, *MISSING), (*UNSURE, *TEXT), MISSING, ("True", "False"))
).flatmap(lambda values: st.lists(st.sampled_from(values), min_size=6, max_size=6))

# One directory for all examples: each writes its file anew.
SHARED = [HealthCheck.function_scoped_fixture]


def same(plain: Numeric | Factor, other: Numeric | Factor) -> None:
    assert type(plain) is type(other)
    if isinstance(plain, Factor) and isinstance(other, Factor):
        assert plain.levels == other.levels
        np.testing.assert_array_equal(plain.codes, other.codes)
    elif isinstance(plain, Numeric) and isinstance(other, Numeric):
        assert plain.boolean == other.boolean
        assert plain.values.dtype == other.values.dtype
        np.testing.assert_array_equal(plain.values, other.values)


@settings(max_examples=150, deadline=None, suppress_health_check=SHARED)
@given(
    columns=st.lists(COLUMN, min_size=2, max_size=4),
    quoting=st.sampled_from((csv.QUOTE_MINIMAL, csv.QUOTE_NONNUMERIC, csv.QUOTE_ALL)),
    separator=st.sampled_from(",;\t"),
)
def test_the_columns_are_those_of_pandas(
    tmp_path: Path, columns: list[list[str]], quoting: int, separator: str
) -> None:
    path = tmp_path / "data.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, quoting=quoting, delimiter=separator)  # type: ignore[arg-type]
        writer.writerow([f"x{k}" for k in range(len(columns))])
        writer.writerows(zip(*columns, strict=True))
    plain = plain_columns(path)
    if plain is None:
        return
    table = read_table(read_csv(path))
    assert tuple(plain) == table.names
    for name, column in plain.items():
        same(column, table.column(name))


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "data.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_numbers_text_and_missing_values(tmp_path: Path) -> None:
    text = '"y","x","g","n"\n1,0.5,"b",3\n0,,"a",NA\n\n1,-2e1,"b",5\n'
    found = plain_columns(written(tmp_path, text))
    assert found is not None
    same(found["y"], Numeric(np.array([1, 0, 1])))
    same(found["x"], Numeric(np.array([0.5, np.nan, -20.0])))
    same(found["g"], Factor(np.array([1, 0, 1], np.int32), ("a", "b")))
    same(found["n"], Numeric(np.array([3.0, np.nan, 5.0])))


@pytest.mark.parametrize(
    "text",
    [
        "y,x\n1,True\n0,False\n",  # truth values
        "y,x\n1,2\n0\n",  # a short line
        "y,x\n1,2\n0,3,4\n",  # a long one
        "y;x\n1;2,5\n0;3,5\n",  # decimal commas
        "y\n1\n0\n",  # a single column: an empty line may be a missing value
        'y,x\n1,"a\n0,b\n',  # a quote that does not end
        "y,x\n1,12345678901234567890\n0,1\n",  # beyond 64 bits
        "y,x\n1, 2\n0,3\n",  # a space before a number
        "y,x\n",  # no rows
    ],
)
def test_whatever_is_not_plain_is_left_to_pandas(tmp_path: Path, text: str) -> None:
    assert plain_columns(written(tmp_path, text)) is None


def test_large_and_compressed_files_are_left_to_pandas(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = written(tmp_path, "y,x\n1,2\n0,3\n")
    assert plain_columns(path) is not None
    assert plain_columns(path.rename(tmp_path / "data.csv.gz")) is None
    monkeypatch.setattr(plain_csv, "LARGEST", 5)
    assert plain_columns(written(tmp_path, "y,x\n1,2\n0,3\n")) is None
