"""Fits on a Dask cluster of real processes: the same numbers as in memory, whoever is killed."""

from __future__ import annotations

import gc
import logging
import os
import signal
import time

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

import multilogit as ml
from multilogit.cli.commands import app
from multilogit.distributed.model import distribute
from multilogit.distributed.workers import n_held
from multilogit.estimate import Options

dd = pytest.importorskip("dask.dataframe")
distributed = pytest.importorskip("distributed")

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::DeprecationWarning")


@pytest.fixture(scope="module")
def client():
    cluster = distributed.LocalCluster(
        n_workers=2,
        threads_per_worker=1,
        processes=True,
        dashboard_address=":0",  # any free port
        silence_logs=logging.CRITICAL,
    )
    with cluster, distributed.Client(cluster) as client:
        yield client


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(5)
    n = 6000
    klass = rng.integers(0, 120, n)
    x, colour = rng.normal(size=n), rng.choice(["red", "green", "blue"], n)
    b, s = rng.normal(size=(120, 2)), rng.normal(size=12)
    eta = (
        0.4 + 0.6 * x + 0.5 * (colour == "red") + s[klass % 12] + b[klass, 0] + x * b[klass, 1] / 2
    )
    y = (rng.uniform(size=n) < 1 / (1 + np.exp(-eta))).astype(int)
    place = np.where(y == 1, rng.choice(["bus", "car"], n), "walk")
    frame = pd.DataFrame({"y": y, "x": x, "colour": colour, "klass": klass, "place": place})
    frame["school"] = [f"s{k}" for k in klass % 12]
    frame["size"] = rng.integers(1, 5, n)
    frame["hits"] = rng.binomial(frame["size"], 1 / (1 + np.exp(-eta)))
    frame["tutor"] = rng.integers(0, 7, n)
    frame["twice"] = 2.0 * x
    frame["o"] = 0.1 * rng.normal(size=n)
    frame.loc[::500, "x"] = np.nan
    return frame


@pytest.fixture(scope="module")
def table(data):
    return dd.from_pandas(data, npartitions=5, sort=False)


MODELS = {
    "single": ("y ~ x * colour", {}),
    "grouped": ("y ~ scale(x) + colour + (1 + x | klass)", {}),
    "nested": ("y ~ x + (1 | school) + (1 | klass)", {}),
    "slash": ("y ~ x + (1 + x || school/klass)", {}),
    "aliased": ("y ~ x + twice + (1 | klass)", {}),
    "nodes": ("y ~ x + (1 + x | klass)", {"nodes": 3}),
    "prior": ("y ~ x + colour + (1 | klass)", {"prior": ml.RelativeEntropy()}),
    "trials": ("hits ~ x + (1 | klass)", {"trials": "size"}),
    "counts": ("cbind(hits, size - hits) ~ x + (1 | klass)", {}),
    "multinomial": ("place ~ x + (1 | klass)", {"baseline": "walk"}),
    "multinomial nested": ("place ~ x + (1 | school/klass)", {}),
    "weights": ("y ~ x + (1 | klass)", {"weights": "size", "offset": "o"}),
    "collapsed": ("y ~ colour + (1 | school)", {}),
    "priors": ("y ~ x + (1 | klass)", {"prior": ml.StudentT(2.5) + ml.Wishart()}),
}


@pytest.mark.parametrize("name", MODELS)
def test_the_same_as_in_memory(name, client, data, table):
    formula, options = MODELS[name]
    _same(ml.fit(formula, table, **options), ml.fit(formula, data, **options))


def _same(fit, whole) -> None:
    """Estimates, log-likelihoods, errors, random effects and counts, to 1e-9."""
    assert fit.status is whole.status
    np.testing.assert_allclose(fit.solution.psi, whole.solution.psi, rtol=1e-9, atol=1e-9)
    for number in ("loglik", "null_loglik", "saturated_loglik", "aic", "bic"):
        assert getattr(fit, number) == pytest.approx(getattr(whole, number), rel=1e-9), number
    assert (fit.n_obs, fit.n_groups) == (whole.n_obs, whole.n_groups)
    assert fit.training.digest == whole.training.digest
    np.testing.assert_allclose(fit.vcov, whole.vcov, rtol=1e-8, atol=1e-12)
    assert fit.aliased == whole.aliased
    for mine, theirs in zip(fit.random, whole.random, strict=True):
        assert (mine.group, mine.names) == (theirs.group, theirs.names)
        np.testing.assert_allclose(mine.modes, theirs.modes, rtol=1e-7, atol=1e-9)
        np.testing.assert_allclose(
            mine.mode_covariance, theirs.mode_covariance, rtol=1e-7, atol=1e-9
        )
    assert list(fit.labels.levels) == list(whole.labels.levels)
    for name, levels in whole.labels.levels.items():
        assert fit.labels.levels[name].tolist() == levels.tolist()


class Killer:
    """A progress function that kills a worker at some of the iterations."""

    def __init__(self, client, iterations) -> None:
        self.client, self.iterations, self.killed = client, iterations, []

    def __call__(self, row) -> None:
        if row.iteration in self.iterations:
            pid = next(iter(self.client.run(os.getpid).values()))
            assert pid not in self.killed
            os.kill(pid, signal.SIGKILL)
            self.killed.append(pid)


def test_two_workers_killed_in_the_middle_of_a_fit(client, data, table):
    formula = "y ~ x + colour + (1 + x | klass)"
    killer = Killer(client, {1, 3})
    fit = ml.fit(formula, table, progress=killer)
    assert len(killer.killed) == 2
    _same(fit, ml.fit(formula, data))
    client.wait_for_workers(2, timeout=20)


def test_what_was_lost_is_built_again_in_the_same_state(client, table):
    """Quadrature, order and modes of a likelihood whose worker is gone."""
    model = distribute(client, table, "y ~ x + (1 + x | klass)", {}, Options(nodes=3))
    likelihood, psi = model.mixed, np.array([0.5, 0.6, 0.9, 0.2, 0.5])
    likelihood.reorder((1, 0))
    there, modes = likelihood.evaluate(psi), likelihood.modes()[0]
    os.kill(next(iter(client.run(os.getpid).values())), signal.SIGKILL)
    np.testing.assert_allclose(likelihood.modes()[0], modes, rtol=1e-7, atol=1e-9)
    again = likelihood.evaluate(psi)
    assert again.value == pytest.approx(there.value, rel=1e-12)
    np.testing.assert_allclose(again.hessian, there.hessian, rtol=1e-9)
    client.wait_for_workers(2, timeout=20)


def test_killed_and_resumed(client, data, table, tmp_path):
    formula, file = "y ~ x + (1 + x | klass)", tmp_path / "fit.ckpt"
    stopped = ml.fit(formula, table, checkpoint=file, max_iterations=2)
    assert stopped.status is ml.Status.MAX_ITERATIONS
    fit = ml.fit(formula, table, checkpoint=file, resume=True)
    _same(fit, ml.fit(formula, data))
    assert "resumed" in {noticed.code for noticed in fit.diagnostics}
    for other in (
        table.partitions[:4],
        table.assign(x=2 * table.x),
        table.assign(klass=table.tutor),
    ):
        with pytest.raises(ml.CheckpointError, match="other data"):
            ml.fit(formula, other, checkpoint=file, resume=True)


def test_files_and_pandas_with_a_client(client, data, tmp_path):
    path, formula = tmp_path / "data.parquet", "y ~ x + (1 | klass)"
    data.to_parquet(path, index=False)
    whole = ml.fit(formula, data)
    _same(ml.fit(formula, str(path), client=client), whole)
    _same(ml.fit(formula, data, client=client), whole)
    saved = tmp_path / "fit.json"
    address = client.scheduler_info()["address"]
    command = ["fit", str(path), formula, "--scheduler", address, "--output", str(saved)]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0, done.output
    _same(ml.load(saved), whole)


def test_a_fit_without_data_predicts_and_says_what_it_cannot(client, data, table):
    formula = "y ~ x + (1 | klass)"
    fit, whole = ml.fit(formula, table), ml.fit(formula, data)
    new = data.dropna().head(50)
    np.testing.assert_allclose(fit.predict(new), whole.predict(new), rtol=1e-9)
    assert str(fit.summary()).split("Converged")[0] == str(whole.summary()).split("Converged")[0]
    assert not fit.has_data
    with pytest.raises(ml.DataError, match="data in parts"):
        fit.residuals()


@pytest.mark.parametrize(
    ("formula", "options", "error", "message"),
    [
        ("y ~ x + (1 | klass) + (1 | tutor)", {}, ml.OptionError, "are crossed"),
        ("y ~ nothing", {}, ml.FormulaError, "no column 'nothing'"),
        ("y ~ poly(x, 2)", {}, ml.FormulaError, "raw=True"),
        ("y ~ x", {"weights": np.ones(6000)}, ml.OptionError, "must name a column"),
        ("y ~ x", {"infinite": "freeze"}, ml.OptionError, "in memory"),
        ("y ~ x", {"missing": "raise"}, ml.DataError, "12 of 6000 rows have missing values"),
        ("colour ~ I(log(x))", {}, ml.DataError, "log"),
    ],
)
def test_what_is_refused(formula, options, error, message, client, table):
    with pytest.raises(error, match=message):
        ml.fit(formula, table, **options)


def test_separation_is_proved(client, data):
    separated = data.dropna().assign(z=lambda d: d["y"] * (d["klass"] % 9 == 0))
    fit = ml.fit("y ~ x + z", dd.from_pandas(separated, npartitions=3))
    assert not fit.converged
    (noticed,) = [noticed for noticed in fit.diagnostics if noticed.code == "separation"]
    assert noticed.facts["infinite"] == ["z"]
    assert noticed.message.startswith("Quasi-complete separation")


def test_interrupted_on_the_cluster(client, data, table):
    def interrupt(row) -> None:
        if row.iteration == 2:
            raise KeyboardInterrupt

    fit = ml.fit("y ~ x + (1 | klass)", table, progress=interrupt)
    assert fit.status is ml.Status.INTERRUPTED
    assert fit.random[0].modes.shape == (120, 1)


def test_nothing_stays_on_the_workers(client, table):
    ml.fit("y ~ x + (1 | klass)", table)
    gc.collect()  # fits of other tests that circles of references still keep
    client.run(gc.collect)
    deadline = time.monotonic() + 10
    while any(client.run(n_held).values()) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(client.run(n_held).values())


def test_without_a_cluster(table, monkeypatch):
    def nothing():
        raise ValueError("No clients found")

    monkeypatch.setattr(distributed, "default_client", nothing)
    with pytest.raises(ml.OptionError, match="start one"):
        ml.fit("y ~ x", table)
    refused = CliRunner().invoke(app, ["fit", "a.csv", "y ~ x", "--scheduler", "nowhere"])
    assert refused.exit_code == 2
    assert "No Dask scheduler answers at 'nowhere'" in refused.stderr
