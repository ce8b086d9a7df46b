"""Paths that cannot be used: said in one sentence, before any work."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

import multilogit as ml
from multilogit.paths import as_path

DATA = {"y": [0, 1, 0, 1, 1, 0], "x": [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]}
FIT = ml.fit("y ~ x", DATA)


@pytest.mark.parametrize("wrong", [3, True, b"fit.json", ["fit.json"], "", "fit\0.json"])
@pytest.mark.parametrize(
    ("option", "use"),
    [
        ("path", FIT.save),
        ("path", ml.load),
        ("path", FIT.report),
        ("path", FIT.plot.coefficients),
        ("path", lambda path: FIT.bootstrap(2, path=path)),
        ("checkpoint", lambda path: ml.fit("y ~ x", DATA, checkpoint=path)),
    ],
)
def test_what_is_no_path_is_refused_by_name(
    wrong: object, option: str, use: Callable[[object], object]
) -> None:
    expected = ml.ModelFileError if use is ml.load else ml.OptionError
    with pytest.raises(expected, match=f"^{option}=.*give the path of a file"):
        use(wrong)


@pytest.mark.parametrize("use", [FIT.save, ml.load, FIT.report])
def test_no_path_at_all_is_refused(use: Callable[[object], object]) -> None:
    with pytest.raises(ml.InputError, match="path=None"):
        use(None)


def test_texts_and_paths_are_paths() -> None:
    assert as_path("a/b.json") == as_path(Path("a") / "b.json") == Path("a/b.json")


def test_a_table_in_place_of_a_path_is_not_printed() -> None:
    with pytest.raises(ml.OptionError) as refused:
        as_path({"y": list(range(10_000))})
    assert len(str(refused.value)) < 200


def test_a_bootstrap_whose_file_cannot_be_written_is_not_begun(tmp_path: Path) -> None:
    with pytest.raises(ml.InputError, match="no such directory"):
        FIT.bootstrap(2, path=tmp_path / "nowhere" / "replicates.npz")


def test_an_empty_path_of_data_is_not_the_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "other.parquet").write_text("not of this fit")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ml.DataError, match="path of the data is empty"):
        ml.fit("y ~ x", "")
    with pytest.raises(ml.DataError, match="reads like a formula"):
        ml.fit("data.csv", "y ~ x")


def test_a_tilde_is_the_home_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pyarrow")
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "data.csv").write_text(
        "y,x\n" + "\n".join(["0,1", "1,2", "0,3", "1,4", "1,5", "0,6"])
    )
    pd.DataFrame(DATA).to_parquet(tmp_path / "data.parquet")
    for data in ("~/data.csv", Path("~/data.parquet"), "~/*.parquet", ["~/data.parquet"]):
        assert ml.fit("y ~ x", data).loglik == pytest.approx(FIT.loglik, rel=1e-12)
    FIT.save("~/fit.json")
    assert len(ml.load("~/fit.json").predict("~/data.csv")) == 6
    assert as_path("~nobody-at-all/x") == Path("~nobody-at-all/x")
