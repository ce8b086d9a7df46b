"""Everything that a Fit derives from its numbers, on a hand-built fit of cbpp."""

from __future__ import annotations

import dataclasses
import inspect
import math
import re
from typing import Any

import numpy as np
import pytest

from multilogit.errors import OptionError, Status
from multilogit.result import Fit

TERMS = ["(Intercept)", "period2", "period3", "period4"]


def test_estimates_are_named(cbpp: Fit) -> None:
    assert list(cbpp.coef.index) == TERMS
    assert list(cbpp.vcov.index) == list(cbpp.vcov.columns) == TERMS
    # glmmTMB 1.1.5, polished
    expected = [0.232471992282541, 0.306642497887894, 0.326637850495465, 0.42743658648056]
    np.testing.assert_allclose(cbpp.se, expected, rtol=1e-12)
    np.testing.assert_allclose(np.sqrt(np.diag(cbpp.vcov)), cbpp.se, rtol=1e-15)
    assert cbpp.theta.to_dict() == {"herd.(Intercept)": 0.642261448442879}


def test_measures_of_fit(cbpp: Fit) -> None:
    # lme4: AIC 194.05, BIC 204.18, logLik -92.03, deviance 184.05, df.resid 51, nobs 56
    assert cbpp.aic == pytest.approx(194.052563729514, rel=1e-13)
    assert cbpp.bic == pytest.approx(-2 * cbpp.loglik + 5 * math.log(56), rel=1e-15)
    assert cbpp.deviance == -2 * cbpp.loglik
    assert (cbpp.n_obs, cbpp.df_residual, cbpp.n_parameters) == (56, 51, 5)
    assert cbpp.n_groups == {"herd": 15}


def test_deviance_of_a_single_level_fit_is_glm_s(make_cbpp: Any) -> None:
    # stats::glm without herds: 154.82 on 55, 114.10 on 52 degrees of freedom
    solution = make_cbpp(loglik=-99.0291994893634).solution
    solution = dataclasses.replace(solution, psi=solution.psi[:4])
    fit = make_cbpp(random=(), solution=solution)
    assert fit.deviance == pytest.approx(114.101691440856, rel=1e-12)
    assert fit.null_deviance == pytest.approx(154.817464300649, rel=1e-12)
    assert (fit.df_residual, fit.df_null) == (52, 55)
    assert list(fit.tidy().columns)[:2] == ["term", "estimate"]
    text = str(fit.summary())
    assert "    Null deviance: 154.82  on 55 degrees of freedom" in text
    assert "Residual deviance: 114.10  on 52 degrees of freedom" in text
    assert "Random effects" not in text


def test_what_is_seldom_needed_is_computed_when_it_is_asked_for(make_cbpp: Any) -> None:
    fit = make_cbpp()
    expensive = {"covariance", "loglik", "log_coefficient", "null_loglik", "saturated_loglik"}

    def computed() -> set[str]:
        return expensive & (vars(fit).keys() | vars(fit.training).keys())

    assert not computed()
    assert fit.loglik == pytest.approx(-92.0262818647571, rel=1e-15)
    np.testing.assert_allclose(np.sqrt(np.diag(fit.covariance))[:4], fit.se, rtol=1e-15)
    assert computed() == {"covariance", "loglik", "log_coefficient"}
    assert fit.covariance is fit.covariance


def test_parameters_on_the_boundary_have_no_standard_error(make_cbpp: Any) -> None:
    boundary = np.array([False] * 4 + [True])
    fit = make_cbpp(boundary=boundary)
    assert np.isnan(fit.covariance[4]).all()
    information = -fit.solution.evaluation.hessian[:4, :4]
    np.testing.assert_allclose(fit.vcov @ information, np.eye(4), atol=1e-12)
    assert fit.confint().loc["sd_(Intercept)|herd"].isna().all()


def test_users_see_one_class_with_its_documentation() -> None:
    public = [name for name in dir(Fit) if not name.startswith("_")]
    assert {"coef", "confint", "deviance", "predict", "random_effects", "trace"} <= set(public)
    for name in public:
        assert inspect.getdoc(getattr(Fit, name)), name
    described = inspect.getdoc(Fit) or ""
    names = {*public, *(field.name for field in dataclasses.fields(Fit))}
    assert [name for name in names if not re.search(rf"\b{name}\b", described)] == []


def test_rows_without_information_are_not_observations(make_cbpp: Any) -> None:
    frame = make_cbpp().frame
    weights = np.ones(56)
    weights[:3] = 0.0
    weights[3] = 7.0
    response = dataclasses.replace(frame.response, weights=weights)
    assert make_cbpp(frame=frame.with_response(response)).n_obs == 53


def test_variance_components(cbpp: Fit) -> None:
    row = cbpp.variance_components.iloc[0]
    assert (row["group"], row["name"]) == ("herd", "(Intercept)")
    assert row["variance"] == pytest.approx(0.412499768155945, rel=1e-12)
    assert row["log_sd_error"] ** 2 == pytest.approx(0.0772956709629019, rel=1e-12)
    assert row["sd_error"] == pytest.approx(row["sd"] * row["log_sd_error"])


def test_random_effects_long_and_wide(cbpp: Fit) -> None:
    long = cbpp.random_effects()
    assert list(long.columns) == ["group", "level", "name", "mode", "sd"]
    assert long.loc[long["level"] == 7, "mode"].item() == pytest.approx(0.889393968365654)
    assert long.loc[long["level"] == 1, "sd"].item() ** 2 == pytest.approx(0.121288548788249)
    wide = cbpp.random_effects(wide=True)
    np.testing.assert_array_equal(wide["(Intercept)"], long["mode"])
    assert wide.index.name == "herd"
    with pytest.raises(OptionError, match=r"'cow'.*'herd'"):
        cbpp.random_effects("cow")


def test_wald_intervals(cbpp: Fit) -> None:
    table = cbpp.confint()
    assert list(table.index) == [*TERMS, "sd_(Intercept)|herd"]
    half = 1.959963984540054 * np.array([-1.0, 1.0])
    expected = -0.992332734873591 + 0.306642497887894 * half
    np.testing.assert_allclose(table.loc["period2"], expected)
    expected = math.log(0.642261448442879) + math.sqrt(0.0772956709629019) * half
    np.testing.assert_allclose(np.log(table.loc["sd_(Intercept)|herd"]), expected)
    assert list(cbpp.confint(parm="theta_").index) == ["sd_(Intercept)|herd"]
    others = [name for name in TERMS if name != "period3"]
    assert list(cbpp.confint(parm=["period3", "beta_"]).index) == ["period3", *others]
    wider = cbpp.confint(level=0.99)
    assert (wider["lower"] < table["lower"]).all()
    assert (wider["upper"] > table["upper"]).all()


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"method": "guess"}, "'guess'; available: 'wald'"),
        ({"parm": "period9"}, "'period9'.*period4"),
        ({"level": 95}, "between 0 and 1"),
    ],
)
def test_intervals_name_what_is_wrong(cbpp: Fit, arguments: dict[str, Any], named: str) -> None:
    with pytest.raises(OptionError, match=named):
        cbpp.confint(**arguments)


def test_tidy_and_glance_have_the_columns_of_broom(cbpp: Fit) -> None:
    tidy = cbpp.tidy()
    assert list(tidy.columns) == [
        "effect", "group", "term", "estimate", "std_error", "statistic", "p_value",
        "conf_low", "conf_high",
    ]  # fmt: skip
    assert list(tidy["term"]) == [*TERMS, "sd__(Intercept)"]
    assert list(tidy["effect"]) == ["fixed"] * 4 + ["ran_pars"]
    # lme4's z and p for the polished estimates
    assert tidy["statistic"][1] == pytest.approx(-3.2361226581875, rel=1e-9)
    assert tidy["p_value"][1] == pytest.approx(0.00121165, rel=1e-5)
    glance = cbpp.glance().iloc[0]
    assert glance["n_obs"] == 56
    assert glance["status"] == "converged"


def test_trace_has_a_row_per_iteration(cbpp: Fit) -> None:
    assert list(cbpp.trace["iteration"]) == [0, 1, 2]
    assert cbpp.trace["max_change"][0] == 0.4
    assert cbpp.n_iterations == 2


def test_an_error_among_the_diagnostics_means_not_converged(untrusted: Fit, cbpp: Fit) -> None:
    assert cbpp.converged
    assert untrusted.solution.status is Status.CONVERGED
    assert not untrusted.converged
    assert "NOT converged" in repr(untrusted)
    assert "ERROR: period4 is infinite. Use a prior." in str(untrusted.summary())


def test_nothing_that_is_handed_out_reaches_the_fit(cbpp: Fit) -> None:
    before = cbpp.coef["period2"]
    for table in (cbpp.coef, cbpp.se, cbpp.vcov, cbpp.theta, cbpp.random_effects(wide=True)):
        table.iloc[:] = 99.0
    assert cbpp.coef["period2"] == before
    assert cbpp.vcov.iloc[0, 0] != 99.0
    assert cbpp.random_effects(wide=True).iloc[0, 0] != 99.0
    with pytest.raises(dataclasses.FrozenInstanceError):
        cbpp.loglik = 0.0  # type: ignore[misc]


def test_predictions_for_the_data(cbpp: Fit) -> None:
    # glmmTMB (with random effects) and lme4 (without), first 10 rows
    conditional = [
        0.30820764, 0.14174826, 0.12595753, 0.08402876, 0.1548013,
        0.06358018, 0.0559299, 0.27046264, 0.12082835, 0.10707734,
    ]  # fmt: skip
    np.testing.assert_allclose(cbpp.predict()[:10], conditional, atol=1e-6)
    link = cbpp.predict(kind="link")
    np.testing.assert_allclose(1 / (1 + np.exp(-link)), cbpp.predict(), rtol=1e-12)
    population = cbpp.predict(level="population")
    np.testing.assert_allclose(
        population[:4], [0.19804914, 0.08387196, 0.07397294, 0.04839072], atol=3e-7
    )
    assert set(cbpp.predict(kind="class")) == {"failure"}
    with pytest.raises(OptionError, match=r"kind='odds'.*'link'"):
        cbpp.predict(kind="odds")  # type: ignore[arg-type]


def test_summary_reads_as_lme4_s(cbpp: Fit) -> None:
    text = str(cbpp.summary())
    for line in (
        "Multilevel logistic regression fit by maximum likelihood (Laplace approximation)",
        " herd   (Intercept)   0.4125   0.6423       0.1786",
        "Number of obs: 56 (842 trials); groups: herd 15",
        "(Intercept)  -1.3985     0.2325  -6.016 1.79e-09 ***",
        "period2      -0.9923     0.3066  -3.236 0.001212 **",
        "period4      -1.5803     0.4274  -3.697 0.000218 ***",
        "194.1 204.2  -92.0    184.1       51",
    ):
        assert line in text.splitlines(), line
    assert "Converged after 2 Newton iterations" in text
    assert max(map(len, text.splitlines())) <= 90


def test_html_escapes_what_users_wrote(cbpp: Fit, make_cbpp: Any) -> None:
    frame = cbpp.frame
    names = ("(Intercept)", "x<script>", "a&b", "period4")
    fit = make_cbpp(
        frame=dataclasses.replace(frame, fixed=dataclasses.replace(frame.fixed, names=names))
    )
    html = fit._repr_html_()
    assert "<script>" not in html
    assert "x&lt;script&gt;" in html
    assert "a&amp;b" in html
    assert "-1.3985" in html
    assert "0.6423" in html
