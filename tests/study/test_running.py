"""Runs: the same results whatever the batches, processes and interruptions."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest

from multilogit.study import Results, Store, StudyError, load_design, run
from multilogit.study.replicate import compute
from multilogit.study.runner import plan

BY = ["cell", "estimator", "replicate"]


def sorted_fits(results: Results) -> pd.DataFrame:
    """Fits without what is not reproducible: the seconds."""
    return results.fits.drop(columns="seconds").sort_values(BY, ignore_index=True)


def sorted_parameters(results: Results) -> pd.DataFrame:
    return results.parameters.sort_values([*BY, "parameter"], ignore_index=True)


def stored(directory: Path) -> set[Path]:
    """Batches that count."""
    return set(directory.glob("parts/fits-*.parquet"))


def assert_same(a: Results, b: Results) -> None:
    pd.testing.assert_frame_equal(sorted_fits(a), sorted_fits(b), check_exact=True)
    pd.testing.assert_frame_equal(sorted_parameters(a), sorted_parameters(b), check_exact=True)


def test_everything_is_there(results: Results) -> None:
    assert len(results.fits) == 2 * 2 * 6
    assert not results.fits.duplicated(BY).any()
    assert len(results.parameters) == 3 * len(results.fits)
    assert set(results.fits["replicate"]) == set(range(6))


def test_batches_do_not_matter(tiny: Path, results: Results) -> None:
    design = load_design(tiny)
    cell = design.cells[1]
    fits, parameters = compute(design, cell, "relative-entropy", 3, 6)
    stored = results.fits.query("cell == @cell.name and estimator == 'relative-entropy'")
    stored = stored[stored["replicate"] >= 3].reset_index(drop=True)
    assert fits.drop(columns="seconds").equals(stored.drop(columns="seconds"))
    assert len(parameters) == 9


def test_a_second_run_computes_nothing(tiny: Path, directory: Path, results: Results) -> None:
    written = {path: path.stat().st_mtime_ns for path in directory.glob("parts/*")}
    again = run(tiny, directory)
    assert {path: path.stat().st_mtime_ns for path in directory.glob("parts/*")} == written
    assert_same(again.results(), results)
    assert len(again.sessions()) >= 2
    assert all("ended" in session for session in again.sessions())


def test_replicates_may_follow_later(tiny: Path, results: Results, tmp_path: Path) -> None:
    first = run(tiny, tmp_path, replicates=1, estimators=["ml"]).results()
    assert set(first.fits["replicate"]) == {0, 1, 2, 3}
    assert set(first.fits["estimator"]) == {"ml"}
    assert_same(run(tiny, tmp_path).results(), results)


def test_an_unfinished_batch_does_not_count(tiny: Path, directory: Path, tmp_path: Path) -> None:
    store = Store(tmp_path)
    whole = run(tiny, tmp_path, estimators=["ml"]).results()
    fits = sorted(tmp_path.glob("parts/fits-*"))
    fits[0].unlink()  # killed between the two renames
    assert len(store.results().fits) < len(whole.fits)
    assert_same(run(tiny, tmp_path, estimators=["ml"]).results(), whole)


def test_other_content_is_another_cell(tiny: Path, tmp_path: Path) -> None:
    run(tiny, tmp_path / "out", replicates=4, estimators=["ml"])
    changed = tmp_path / "tiny.toml"
    text = tiny.read_text(encoding="utf-8").replace("group_size = 5", "group_size = 4")
    changed.write_text(text, encoding="utf-8")
    again = run(changed, tmp_path / "out", replicates=4, estimators=["ml"]).results()
    assert len(again.fits) == 8  # none of the older ones
    assert_same(again, run(changed, tmp_path / "new", replicates=4, estimators=["ml"]).results())


def test_directories_belong_to_one_design(tiny: Path, directory: Path, tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="'tiny'"):
        run("small", directory)
    with pytest.raises(StudyError, match="not a directory of results"):
        Store(tmp_path).results()


def test_what_cannot_be_run_is_named(tiny: Path, tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="'nowhere'"):
        run(tiny, tmp_path, cells=["nowhere"])
    with pytest.raises(StudyError, match="'mle'"):
        run(tiny, tmp_path, estimators=["mle"])
    with pytest.raises(StudyError, match="replicates"):
        run(tiny, tmp_path, replicates=0)


def test_heavy_estimators_come_first_in_small_batches() -> None:
    design = load_design("calibration")
    batches = plan(design, estimators=["relative-entropy-fixed"])
    assert {batch.stop - batch.start for batch in batches} == {50}
    steps = [batch for batch in batches if batch.cell == design.cells[0].name]
    assert [batch.start for batch in steps] == list(range(0, 1000, 50))


def test_killed_in_the_middle_and_run_again(tiny: Path, results: Results, tmp_path: Path) -> None:
    """kill -9 of a run with two processes: nothing is lost but what was being computed."""
    longer = tmp_path / "tiny.toml"
    text = tiny.read_text(encoding="utf-8").replace("replicates = 6", "replicates = 4000")
    longer.write_text(text, encoding="utf-8")
    out = tmp_path / "out"
    code = (
        "from multilogit.study import run\n"
        f"if __name__ == '__main__': run({str(longer)!r}, {str(out)!r}, workers=2)\n"
    )
    script = tmp_path / "script.py"
    script.write_text(code, encoding="utf-8")
    process = subprocess.Popen([sys.executable, str(script)])
    deadline = time.monotonic() + 60.0
    while len(stored(out)) < 6:
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    time.sleep(1.0)  # its processes notice, and end
    before = stored(out)
    kept = Store(out).results()
    assert len(kept.fits) == 4 * len(before)
    assert stored(out) == before
    again = run(longer, out, replicates=12, workers=2).results()
    assert len(again.fits) >= len(kept.fits)
    assert before <= stored(out)
    few = again.fits["replicate"] < 6
    shared = Results(
        again.design, again.fits[few], again.parameters[again.parameters["replicate"] < 6]
    )
    assert_same(shared, results)
