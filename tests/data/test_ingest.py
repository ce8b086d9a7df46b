"""Every kind of table becomes the same columns; every broken one a clear error."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from multilogit.data import read_table
from multilogit.data.columns import Column, Factor, Numeric
from multilogit.errors import DataError

FRAME = pd.DataFrame(
    {
        "x": [1.5, np.nan, -2.0, 0.0],
        "n": [3, 1, 2, 2],
        "s": ["b", "a", None, "b"],
        "t": [True, False, True, True],
    }
)


def described(column: Column) -> list[object]:
    """The values of a column, missing ones as None."""
    if isinstance(column, Factor):
        return [column.levels[c] if c >= 0 else None for c in column.codes]
    values = column.values.tolist()
    return [None if isinstance(v, float) and np.isnan(v) else v for v in values]


SOURCES = {
    "pandas": lambda: FRAME,
    "pandas-nullable": lambda: FRAME.convert_dtypes(),
    "pandas-object": lambda: FRAME.astype(object),
    "polars": lambda: pl.from_pandas(FRAME, nan_to_null=True),
    "polars-lazy": lambda: pl.from_pandas(FRAME).lazy(),
    "arrow": lambda: pa.Table.from_pandas(FRAME),
    "dict": lambda: {name: FRAME[name].to_numpy() for name in FRAME},
    "dict-of-lists": lambda: {
        "x": [1.5, None, -2, 0.0],
        "n": [3, 1, 2, 2],
        "s": ["b", "a", None, "b"],
        "t": [True, False, True, True],
    },
}


@pytest.mark.parametrize("source", SOURCES)
def test_all_sources_agree(source: str) -> None:
    table = read_table(SOURCES[source]())
    assert table.n_rows == 4
    assert table.names == ("x", "n", "s", "t")
    assert described(table.column("x")) == [1.5, None, -2.0, 0.0]
    assert described(table.column("n")) == [3, 1, 2, 2]
    assert described(table.column("s")) == ["b", "a", None, "b"]
    truths = table.column("t")
    assert isinstance(truths, Numeric)
    assert truths.boolean
    assert described(truths) == [1, 0, 1, 1]


def test_float64_is_read_in_place() -> None:
    values = np.arange(4.0)
    column = read_table({"x": values}).column("x")
    assert isinstance(column, Numeric)
    assert np.shares_memory(column.values, values)
    frame = pl.DataFrame({"x": values})
    column = read_table(frame).column("x")
    assert isinstance(column, Numeric)
    assert np.shares_memory(column.values, frame["x"].to_numpy())


@pytest.mark.parametrize(
    "data",
    [
        pd.DataFrame({"f": pd.Categorical(["lo", "hi", "lo"], categories=["lo", "mid", "hi"])}),
        pl.DataFrame({"f": pl.Series(["lo", "hi", "lo"], dtype=pl.Enum(["lo", "mid", "hi"]))}),
        pa.Table.from_pandas(
            pd.DataFrame({"f": pd.Categorical(["lo", "hi", "lo"], categories=["lo", "mid", "hi"])})
        ),
    ],
    ids=["pandas", "polars", "arrow"],
)
def test_declared_order_of_categories_is_kept(data: object) -> None:
    column = read_table(data).column("f")
    assert isinstance(column, Factor)
    assert column.levels == ("lo", "mid", "hi")
    assert column.codes.tolist() == [0, 2, 0]


def test_polars_categorical_is_sorted() -> None:
    data = pl.DataFrame({"f": pl.Series(["b", "c", "a"], dtype=pl.Categorical)})
    column = read_table(data).column("f")
    assert isinstance(column, Factor)
    assert column.levels == ("a", "b", "c")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (3, "not supported"),
        ([1, 2], "not supported"),
        (None, "not supported"),
        (pd.Series([1]), "not supported"),
        (object(), "not supported"),
        ({}, "no columns"),
        ({"x": []}, "no rows"),
        (pd.DataFrame({"x": []}), "no rows"),
        ({"x": [1, 2], "y": [1]}, "different lengths"),
        ({"x": None}, "single value"),
        ({"x": b"abc"}, "single value"),
        ({"x": np.zeros((2, 2))}, "2 dimensions"),
        (pd.DataFrame([[1, 2]], columns=["x", "x"]), "'x'"),
        ("/no/such/file.csv", "no file"),
        (".", "directory"),
    ],
)
def test_refused_with_a_reason(data: object, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_table(data)


@pytest.mark.parametrize(
    "values",
    [
        pd.to_datetime(["2024-01-01", "2024-01-02"]),
        np.array([1j, 2j]),
        np.array([b"a", b"b"]),
        np.array([[1], [2]], dtype=object)[:, 0:0].tolist(),
    ],
)
def test_unusable_types_are_named_when_used(values: object) -> None:
    table = read_table({"when": values, "x": [1, 2]})
    assert described(table.column("x")) == [1, 2]
    with pytest.raises(DataError, match="when"):
        table.column("when")


# --- files -----------------------------------------------------------------------------------


def write(tmp_path: Path, text: str, name: str = "data.csv") -> Path:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_csv_separators(tmp_path: Path, separator: str) -> None:
    text = "x,s\n1.5,a\n2,b\n".replace(",", separator)
    table = read_table(write(tmp_path, text))
    assert described(table.column("x")) == [1.5, 2.0]
    assert described(table.column("s")) == ["a", "b"]


def test_csv_decimal_comma(tmp_path: Path) -> None:
    table = read_table(str(write(tmp_path, "x;s\n1,5;a\n2;b\n")))
    assert described(table.column("x")) == [1.5, 2.0]


def test_csv_quoted_values_stay_text(tmp_path: Path) -> None:
    table = read_table(write(tmp_path, 'x,"g"\n1,"07"\n2,"1"\n3,NA\n'))
    assert described(table.column("g")) == ["07", "1", None]
    assert described(table.column("x")) == [1, 2, 3]


def test_csv_quotes_everywhere_say_nothing(tmp_path: Path) -> None:
    table = read_table(write(tmp_path, '"x","g"\n"1","a"\n"2","b"\n'))
    assert described(table.column("x")) == [1, 2]


def test_csv_missing_values(tmp_path: Path) -> None:
    table = read_table(write(tmp_path, "x,s\n1,None\n,\nNA,NaN\n"))
    assert described(table.column("x")) == [1.0, None, None]
    assert described(table.column("s")) == ["None", None, None]


def test_csv_byte_order_mark_and_one_column(tmp_path: Path) -> None:
    table = read_table(write(tmp_path, "\ufeffx\n1\n2\n"))
    assert table.names == ("x",)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "empty"),
        ("\n\n", "empty"),
        ("x,y\n", "no rows"),
        ("x,y\n1,2\n3\n4,5\n", "line 3: 1 fields"),
        ("x,y\n1,2\n3,4,5\n", "line 3: 3 fields"),
        ("x,y\n1,2,3\n4,5,6\n", "line 2: 3 fields"),
        ("x,x\n1,2\n", "twice"),
        ('x,y\n"1,2\n', "cannot be read as CSV|line"),
    ],
)
def test_broken_csv(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_table(write(tmp_path, text))


def test_unreadable_files(tmp_path: Path) -> None:
    binary = tmp_path / "x.csv"
    binary.write_bytes(b"\xff\xfe\x00x")
    with pytest.raises(DataError, match="UTF-8"):
        read_table(binary)
    with pytest.raises(DataError, match="unknown kind"):
        read_table(write(tmp_path, "x", "x.docx"))
    with pytest.raises(DataError, match="Parquet"):
        read_table(write(tmp_path, "no parquet", "x.parquet"))


def test_parquet(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    FRAME.to_parquet(path)
    assert described(read_table(path).column("s")) == ["b", "a", None, "b"]


def test_one_value_of_a_dict_is_for_all_rows() -> None:
    table = read_table({"f": "a", "x": [1.0, 2.0], "z": 3, "t": True})
    assert (table.names, table.n_rows) == (("f", "x", "z", "t"), 2)
    assert table.column("f").labels() == ("a",)  # type: ignore[union-attr]
    assert table.column("z").values.tolist() == [3, 3]  # type: ignore[union-attr]
    assert table.column("t").boolean  # type: ignore[union-attr]
    assert read_table({"x": 1.5, "f": "a"}).n_rows == 1


def test_what_is_masked_is_missing() -> None:
    masked = np.ma.array([1.5, 2.0, 3.0], mask=[False, True, False])
    column = read_table({"x": masked}).column("x")
    np.testing.assert_array_equal(column.values, [1.5, np.nan, 3.0])  # type: ignore[union-attr]
