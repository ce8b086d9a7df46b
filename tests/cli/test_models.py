"""Saved models on the command line: fit --output, show, predict, compare."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

pytest.importorskip("typer")

from typer.testing import CliRunner

import multilogit as ml
from multilogit.cli import app as application
from multilogit.cli.commands import app
from multilogit.newton import TraceRow

FORMULA = "y ~ x + (1 | g)"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Data, and models of them."""
    folder = tmp_path_factory.mktemp("models")
    rng = np.random.default_rng(11)
    g, x = np.repeat(np.arange(15), 12), rng.normal(size=180)
    eta = 0.8 * x + rng.normal(size=15)[g]
    y = (rng.random(180) < 1 / (1 + np.exp(-eta))).astype(int)
    data = pd.DataFrame({"y": y, "x": x, "g": g, "c": rng.choice(["bus", "car", "walk"], 180)})
    data.to_csv(folder / "data.csv", index=False)
    data.head(5).assign(x=[0.5, np.nan, 1.0, 0.0, -1.0]).to_csv(folder / "new.csv", index=False)
    for name, formula in (("fit", FORMULA), ("null", "y ~ 1 + (1 | g)"), ("multi", "c ~ x")):
        assert run("fit", folder / "data.csv", formula, "--output", folder / f"{name}.json")
    run("fit", folder / "data.csv", FORMULA, "--max-iterations", 1, "--output", folder / "bad.json")
    return folder


def run(*arguments: object) -> Any:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_a_fit_is_saved_and_shown(folder: Path) -> None:
    shown = run("show", folder / "fit.json")
    assert shown.exit_code == 0
    assert shown.stdout == str(ml.load(folder / "fit.json").summary()) + "\n"
    document = json.loads(run("show", folder / "fit.json", "--json").stdout)
    assert document["glance"]["loglik"] == ml.fit(FORMULA, folder / "data.csv").loglik
    assert run("show", folder / "bad.json").exit_code == 1


def test_a_saved_prior_is_shown(folder: Path, tmp_path: Path) -> None:
    arguments = ("fit", folder / "data.csv", FORMULA, "--prior", "relative-entropy")
    fitted = json.loads(run(*arguments, "--json", "--output", tmp_path / "fit.json").stdout)
    shown = json.loads(run("show", tmp_path / "fit.json", "--json").stdout)
    assert shown == fitted
    assert shown["strength"] == 2.0


@pytest.mark.parametrize("level", ["conditional", "population", "marginal"])
def test_predictions_are_those_of_the_fit(folder: Path, level: str) -> None:
    result = run("predict", folder / "fit.json", folder / "new.csv", "--level", level)
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert lines[0] == "response"
    expected = ml.fit(FORMULA, folder / "data.csv").predict(folder / "new.csv", level=level)
    found = [float(line) if line != '""' else np.nan for line in lines[1:]]
    np.testing.assert_array_equal(found, expected)
    assert np.isnan(found[1])


def test_predictions_with_errors_and_intervals(folder: Path) -> None:
    arguments = ("predict", folder / "fit.json", folder / "new.csv", "--se", "--interval", 0.9)
    document = json.loads(run(*arguments, "--json").stdout)
    fit = ml.load(folder / "fit.json")
    expected = fit.predict(folder / "new.csv", se=True, interval=0.9)
    assert list(document["predictions"]) == list(expected.columns)
    assert document["predictions"]["se"][0] == expected["se"][0]
    assert document["predictions"]["se"][1] is None
    assert document["n"] == 5
    assert document["formula"] == FORMULA


def test_predictions_of_several_categories(folder: Path) -> None:
    arguments = ("predict", folder / "multi.json", folder / "new.csv")
    assert run(*arguments).stdout.splitlines()[0] == "bus,car,walk"
    assert run(*arguments, "--kind", "class").stdout.splitlines()[0] == "class"
    header = run(*arguments, "--se").stdout.splitlines()[0]
    assert header == "estimate[bus],estimate[car],estimate[walk],se[bus],se[car],se[walk]"
    found = json.loads(run(*arguments, "--se", "--json").stdout)["predictions"]
    assert set(found) == {"estimate", "se"}
    assert sum(found["estimate"][name][0] for name in ("bus", "car", "walk")) == pytest.approx(1.0)


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".json"])
def test_predictions_are_written_to_files(folder: Path, tmp_path: Path, suffix: str) -> None:
    output = tmp_path / f"made{suffix}"
    result = run("predict", folder / "fit.json", folder / "new.csv", "--output", output)
    assert result.exit_code == 0
    assert result.stdout == ""
    expected = ml.load(folder / "fit.json").predict(folder / "new.csv")
    if suffix == ".json":
        found = json.loads(output.read_text())["predictions"]["response"]
        found = [np.nan if value is None else value for value in found]
    else:
        read = pd.read_csv if suffix == ".csv" else pd.read_parquet
        found = read(output, **({"skip_blank_lines": False} if suffix == ".csv" else {}))
        found = found["response"].to_numpy()
    np.testing.assert_array_equal(found, expected)


def test_expected_counts_and_new_groups(folder: Path, tmp_path: Path) -> None:
    new = pd.DataFrame({"x": [0.0, 1.0], "g": [0, 99], "size": [10, 20]})
    new.to_csv(tmp_path / "new.csv", index=False)
    arguments = ("predict", folder / "fit.json", tmp_path / "new.csv")
    refused = run(*arguments)
    assert refused.exit_code == 2
    assert "'99'" in refused.stderr
    options = ("--new-groups", "population", "--trials")
    fit = ml.load(folder / "fit.json")
    shares = fit.predict(new, new_groups="population").to_numpy()
    for trials, size in (("size", np.array([10, 20])), ("4", 4)):
        lines = run(*arguments, *options, trials).stdout.splitlines()[1:]
        np.testing.assert_array_equal([float(line) for line in lines], shares * size)


def test_a_model_that_is_not_to_be_trusted_predicts_with_a_warning(folder: Path) -> None:
    result = run("predict", folder / "bad.json", folder / "new.csv")
    assert result.exit_code == 1
    assert len(result.stdout.splitlines()) == 6
    assert "not to be trusted" in result.stderr
    assert "max_iterations" in result.stderr


def test_models_are_compared(folder: Path) -> None:
    arguments = ("compare", folder / "fit.json", folder / "null.json")
    text = run(*arguments)
    assert text.exit_code == 0
    assert f"fit0: {FORMULA}  [{folder / 'fit.json'}]" in text.stdout
    document = json.loads(run(*arguments, "--json").stdout)
    names = [row["name"] for row in document["table"]]
    assert names == ["fit1", "fit0"]
    data = folder / "data.csv"
    found = ml.compare(ml.fit(FORMULA, data), ml.fit("y ~ 1 + (1 | g)", data)).table
    assert document["table"][1]["chisq"] == found.loc["fit0", "chisq"]
    assert document["table"][1]["file"] == str(folder / "fit.json")
    plain = json.loads(run(*arguments, "--no-test", "--json").stdout)
    assert plain["table"][1]["chisq"] is None


def test_a_report_of_a_fit_and_of_a_saved_model(folder: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    data, page = folder / "data.csv", tmp_path / "page.html"
    fitted = run("fit", data, FORMULA, "--report", page)
    assert fitted.exit_code == 0
    assert FORMULA in page.read_text(encoding="utf-8")
    page.unlink()
    written = run("report", folder / "fit.json", page, "--title", "Both <kinds>")
    assert written.exit_code == 0
    assert written.stdout == f"Report: {page.resolve()}\n"
    without = page.read_text(encoding="utf-8")
    assert "Both &lt;kinds&gt;" in without
    arguments = ("report", folder / "fit.json", page, "--data", data, "--json")
    document = json.loads(run(*arguments).stdout)
    assert document["report"] == str(page.resolve())
    assert document["converged"] is True
    assert len(page.read_text(encoding="utf-8")) > len(without)
    assert run("report", folder / "bad.json", page).exit_code == 1


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["report", "fit.json", "no/page.html"], "Cannot write"),
        (["show", "nowhere.json"], "nowhere.json"),
        (["show", "data.csv"], "not JSON"),
        (["predict", "fit.json", "nowhere.csv"], "nowhere.csv"),
        (["predict", "fit.json", "new.csv", "--kind", "odds"], "kind='odds'"),
        (["predict", "fit.json", "new.csv", "--interval", "95"], "95"),
        (["predict", "fit.json", "new.csv", "--output", "made.xlsx"], ".csv, .parquet or .json"),
        (["predict", "fit.json", "new.csv", "--output", "no/made.csv"], "Cannot write"),
        (["compare", "fit.json"], "at least two"),
        (["compare", "fit.json", "multi.json"], "not fits of the same data"),
        (["fit", "data.csv", "y ~ x", "--output", "no/fit.json"], "Cannot write"),
    ],
)
def test_bad_input_is_one_message_and_exit_code_two(
    folder: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], named: str
) -> None:
    monkeypatch.chdir(folder)
    result = run(*arguments)
    assert result.exit_code == 2
    assert named in result.stderr
    assert "Traceback" not in result.output


def test_every_command_explains_itself() -> None:
    listed = run("--help").stdout
    for command in app.registered_commands:
        name = command.name or ""
        assert f"  {name} " in listed
        described = run(name, "-h").stdout
        assert "--json" in described
        assert "Exit code" in described or name == "demo"


# --- progress ----------------------------------------------------------------------------------


class Terminal:
    """A stderr that says it is a terminal."""

    def __init__(self) -> None:
        self.text = ""

    def shows(self, text: str) -> bool:
        """Whether a text appears within some seconds."""
        end = time.monotonic() + 10.0
        while text not in self.text and time.monotonic() < end:
            time.sleep(0.005)
        return text in self.text

    def isatty(self) -> bool:
        return True

    def write(self, text: str) -> int:
        self.text += text
        return len(text)

    def flush(self) -> None:
        pass


def test_long_work_shows_that_it_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(application, "_QUIET_SECONDS", 0.01)
    with application.working("Reading the data") as iteration:
        assert terminal.shows("Reading the data")
        iteration(TraceRow(3, -1.0, 1.0, 0.5, 0.0, 1.0, 0.1))
        assert terminal.shows("Newton iteration 3")


def test_short_work_shows_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    before = threading.active_count()
    with application.working("Reading the data"):
        pass
    assert terminal.text == ""
    assert threading.active_count() <= before + 1
