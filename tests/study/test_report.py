"""The page: its numbers are those of the measures."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from multilogit.cli.commands import app
from multilogit.study import Results, StudyError, run, summarise, summary_of, write_report
from multilogit.study.sections import SECTIONS

RUNNER = CliRunner()


def test_page(directory: Path, results: Results, tmp_path: Path) -> None:
    page = write_report(directory, tmp_path / "tiny.md")
    text = page.read_text(encoding="utf-8")
    measures = summarise(results)
    chosen = measures.query("measure == 'rmse' and parameter == 'x' and estimator == 'ml'")
    chosen = chosen.dropna()
    assert len(chosen) >= 1
    for value, mcse in zip(chosen["value"], chosen["mcse"], strict=True):
        assert f"{value:.2f} ({mcse:.2f})" in text
    assert "Not complete" not in text
    assert "**Not decided.**" in text  # six replicates are too few
    pictures = [line for line in text.splitlines() if line.startswith("![")]
    assert len(pictures) >= 4
    for line in pictures:
        assert (tmp_path / line.split("](")[1].rstrip(")")).is_file()


@pytest.mark.parametrize(
    ("name", "estimators"),
    [
        ("sk-variance", ["ml-20"]),
        ("calibration", ["relative-entropy-fixed"]),
        ("consistency", ["relative-entropy"]),
        ("birthweight", ["ml", "relative-entropy-uniform"]),
    ],
)
def test_pages_of_other_designs(name: str, estimators: list[str], tmp_path: Path) -> None:
    from multilogit.study import available, load_design

    copy = tmp_path / f"{name}.toml"
    text = available()[name].read_text(encoding="utf-8")
    batch = next(line for line in text.splitlines() if line.startswith("batch"))
    copy.write_text(text.replace(batch, "batch = 3"), encoding="utf-8")
    cells = [cell.name for cell in load_design(copy).cells][:2]
    store = run(copy, tmp_path / "out", replicates=3, estimators=estimators, cells=cells)
    page = write_report(store, tmp_path / "page.md").read_text(encoding="utf-8")
    assert "Not complete" in page
    for section in load_design(copy).report:
        assert section in SECTIONS
    assert "| nan" not in page.split("## ")[1]


def test_a_summary_in_one_file_gives_the_same_page(directory: Path, tmp_path: Path) -> None:
    kept = summary_of(directory).save(tmp_path / "kept.parquet")
    again = summary_of(kept)
    assert again.design == summary_of(directory).design
    first = write_report(directory, tmp_path / "a" / "page.md").read_text(encoding="utf-8")
    second = write_report(kept, tmp_path / "b" / "page.md").read_text(encoding="utf-8")
    assert first == second
    with pytest.raises(StudyError, match="not a summary"):
        summary_of(tmp_path / "a" / "page.md")


def test_unknown_sections_are_named(directory: Path, tiny: Path, tmp_path: Path) -> None:
    odd = tmp_path / "odd.toml"
    text = tiny.read_text(encoding="utf-8").replace('"claims"]', '"rumours"]')
    odd.write_text(text, encoding="utf-8")
    store = run(odd, tmp_path / "out", replicates=4, estimators=["ml"])
    with pytest.raises(StudyError, match="'rumours'"):
        write_report(store, tmp_path / "odd.md")


def test_command_line(tiny: Path, directory: Path, tmp_path: Path) -> None:
    listed = RUNNER.invoke(app, ["study", "list"])
    assert listed.exit_code == 0
    assert "stresses" in listed.output
    described = RUNNER.invoke(app, ["study", "describe", "sk-separation"])
    assert "33 cells" in described.output
    done = RUNNER.invoke(app, ["study", "run", str(tiny), "--output", str(directory)])
    assert done.exit_code == 0
    assert "24 fits" in done.output
    page = tmp_path / "page.md"
    reported = RUNNER.invoke(app, ["study", "report", str(directory), "--output", str(page)])
    assert reported.exit_code == 0
    assert page.is_file()
    kept = tmp_path / "kept.parquet"
    assert (
        RUNNER.invoke(app, ["study", "summarise", str(directory), "--output", str(kept)]).exit_code
        == 0
    )
    assert RUNNER.invoke(app, ["study", "report", str(kept), "--output", str(page)]).exit_code == 0
    wrong = RUNNER.invoke(app, ["study", "run", "nothing", "--output", str(tmp_path / "x")])
    assert wrong.exit_code == 2
    assert "There is no design" in wrong.output
