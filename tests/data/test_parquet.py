"""Parquet files: what they are, and that damage is found before any work is done."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from multilogit.data.parquet import ParquetFiles, parquet_paths
from multilogit.errors import DataError

pytest.importorskip("pyarrow")


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    for k in range(3):
        frame = pd.DataFrame({"x": np.arange(1_000) + 1_000 * k, "f": list("ab") * 500})
        frame.to_parquet(tmp_path / f"{k}.parquet", row_group_size=300)
    return tmp_path


def opened(data: object) -> ParquetFiles:
    return ParquetFiles.opened(parquet_paths(data) or ())


def test_directories_patterns_lists_and_single_files(directory: Path) -> None:
    every = tuple(directory / f"{k}.parquet" for k in range(3))
    assert parquet_paths(directory) == every
    assert parquet_paths(f"{directory}/*.parquet") == every
    assert parquet_paths(f"{directory}/**/[01].parquet") == every[:2]
    assert parquet_paths([str(every[1]), every[0]]) == (every[1], every[0])
    assert parquet_paths(every[2]) == (every[2],)
    for other in ("data.csv", {"x": [1]}, [1, 2], [], 3):
        assert parquet_paths(other) is None


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("{}/*.nothing", "no file that matches"),
        ("{}/missing.parquet", "no file"),
        ("{}/empty", r"no file \*.parquet or \*.pq in the directory"),
        ("{}/*", "is not a Parquet file"),
    ],
)
def test_no_such_files(directory: Path, data: str, message: str) -> None:
    (directory / "empty").mkdir()
    (directory / "notes.txt").write_text("", encoding="utf-8")
    with pytest.raises(DataError, match=message):
        parquet_paths(data.format(directory))


def test_chunks_are_all_rows_in_order(directory: Path) -> None:
    files = opened(directory)
    assert (files.n_rows, files.names) == (3_000, ("x", "f"))
    chunks = list(files.chunks(["x"], 400))
    assert max(chunk.n_rows for chunk in chunks) <= 400
    assert chunks[0].names == ("x",)
    together = np.concatenate([chunk.column("x").floats() for chunk in chunks])  # type: ignore[union-attr]
    np.testing.assert_array_equal(together, np.arange(3_000))
    whole = files.whole()
    np.testing.assert_array_equal(whole.column("x").floats(), together)  # type: ignore[union-attr]
    assert files.head().names == ("x", "f")


@pytest.mark.parametrize("left", [0.3, 0.9, 0.999])
def test_a_truncated_file_is_named_before_any_chunk_is_read(directory: Path, left: float) -> None:
    path = directory / "1.parquet"
    content = path.read_bytes()
    path.write_bytes(content[: int(left * len(content))])
    with pytest.raises(DataError, match=r"1.parquet' is not a whole Parquet file"):
        opened(directory)


def test_a_file_whose_middle_is_missing(directory: Path) -> None:
    path = directory / "2.parquet"
    content = path.read_bytes()
    path.write_bytes(content[:4] + content[-3_000:])  # its footer is whole
    with pytest.raises(DataError, match=r"2.parquet' is not a whole Parquet file.*ends behind"):
        opened(directory)


def test_damage_within_a_file(directory: Path) -> None:
    path = directory / "2.parquet"
    content = bytearray(path.read_bytes())
    content[4:2_000] = bytes(1_996)
    path.write_bytes(bytes(content))
    files = opened(directory)
    with pytest.raises(DataError, match=r"2.parquet' is not a whole Parquet file"):
        list(files.chunks(["x", "f"], 500))
    whole = files.whole()
    with pytest.raises(DataError, match=r"2.parquet' is not a whole Parquet file"):
        [whole.column(name) for name in whole.names]


def test_files_of_different_columns(directory: Path) -> None:
    pd.DataFrame({"x": [1.5], "f": ["a"]}).to_parquet(directory / "3.parquet")
    with pytest.raises(DataError, match=r"3.parquet' does not go with .*0.parquet': column 'x' is"):
        opened(directory)


def test_files_without_rows(tmp_path: Path) -> None:
    pd.DataFrame({"x": np.zeros(0)}).to_parquet(tmp_path / "a.parquet")
    with pytest.raises(DataError, match="no rows"):
        opened(tmp_path)
