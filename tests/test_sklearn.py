"""The scikit-learn estimator: its contract, groups, and that it is the fit of a formula."""

from __future__ import annotations

import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest

import multilogit as ml

sklearn = pytest.importorskip("sklearn")

from sklearn.base import clone  # noqa: E402
from sklearn.compose import ColumnTransformer  # noqa: E402
from sklearn.exceptions import ConvergenceWarning, NotFittedError  # noqa: E402
from sklearn.linear_model import LogisticRegression  # noqa: E402
from sklearn.model_selection import (  # noqa: E402
    GridSearchCV,
    GroupKFold,
    cross_val_score,
    cross_validate,
)
from sklearn.pipeline import make_pipeline  # noqa: E402
from sklearn.preprocessing import OneHotEncoder, StandardScaler  # noqa: E402
from sklearn.utils.estimator_checks import parametrize_with_checks  # noqa: E402

from multilogit.sklearn import MultilevelLogisticRegression  # noqa: E402

Estimator = MultilevelLogisticRegression


@pytest.mark.filterwarnings("ignore:invalid value encountered in cast:RuntimeWarning:sklearn")
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.SkipTestWarning")
@parametrize_with_checks([Estimator(), Estimator(prior="jeffreys", fit_intercept=False)])
def test_it_keeps_the_contract(estimator: Any, check: Callable[[Any], None]) -> None:
    check(estimator)


def data(n: int = 400, seed: int = 4) -> tuple[pd.DataFrame, np.ndarray, np.ndarray]:
    """X with two grouping columns, binary classes, three classes."""
    rng = np.random.default_rng(seed)
    school, area = rng.integers(0, 20, n), rng.integers(0, 6, n)
    x, z = rng.normal(size=n), rng.normal(size=n)
    eta = 0.3 + x - 0.5 * z + rng.normal(size=20)[school] + 0.7 * x * rng.normal(size=6)[area]
    two = np.where(rng.random(n) < 1.0 / (1.0 + np.exp(-eta)), "yes", "no")
    noise = rng.gumbel(size=(n, 3))
    three = np.array(["bus", "car", "walk"])[(noise + np.outer(x, [0.0, 1.0, -1.0])).argmax(1)]
    frame = pd.DataFrame({"x": x, "school": [f"s{k}" for k in school], "z": z, "area": area})
    return frame, two, three


X, TWO, THREE = data()


# --- the same as a formula ---------------------------------------------------------------------

MODELS: list[tuple[dict[str, Any], str]] = [
    ({"groups": "school"}, "y ~ x + z + area + (1 | school)"),
    ({"groups": ["school", "area"]}, "y ~ x + z + (1 | school) + (1 | area)"),
    ({"groups": "area", "slopes": ["x"]}, "y ~ x + z + (1 + x | area)"),
    (
        {"groups": ["school", "area"], "slopes": {"area": ["z", "x"]}},
        "y ~ x + z + (1 | school) + (1 + z + x | area)",
    ),
]


@pytest.mark.parametrize(("parameters", "formula"), MODELS)
@pytest.mark.parametrize("prior", [None, ml.RelativeEntropy()])
def test_it_is_the_fit_of_a_formula(parameters: dict[str, Any], formula: str, prior: Any) -> None:
    frame = X.drop(columns="school") if "school" not in formula else X
    model = Estimator(**parameters, prior=prior).fit(frame, TWO)
    fit = ml.fit(formula, frame.assign(y=TWO), prior=prior, threads=1)
    assert model.result_.loglik == fit.loglik
    pd.testing.assert_series_equal(model.result_.coef, fit.coef, check_exact=True)
    new = data(50, 9)[0]
    new.loc[0, "area"], new.loc[1, "school"] = 99, "another"
    expected = fit.predict(new, new_groups="population")
    np.testing.assert_array_equal(model.predict_proba(new[frame.columns])[:, 1], expected)
    own = model.result_.predict(new, new_groups="population")  # by the formula it writes
    np.testing.assert_array_equal(own, expected)


def test_several_classes() -> None:
    model = Estimator(prior=None).fit(X[["x", "z"]], THREE)
    fit = ml.fit("y ~ x + z", X.assign(y=THREE), threads=1)
    probabilities = fit.predict(X)
    np.testing.assert_allclose(model.predict_proba(X[["x", "z"]]), probabilities, rtol=1e-12)
    assert list(model.classes_) == list(probabilities.columns)
    assert model.coef_.shape == (3, 2)
    assert (model.coef_[0] == 0.0).all()
    scores = X[["x", "z"]].to_numpy() @ model.coef_.T + model.intercept_
    np.testing.assert_allclose(model.decision_function(X[["x", "z"]]), scores, rtol=1e-12)
    theirs = LogisticRegression(C=np.inf, tol=1e-10, max_iter=1000).fit(X[["x", "z"]], THREE)
    np.testing.assert_allclose(
        model.predict_proba(X[["x", "z"]]), theirs.predict_proba(X[["x", "z"]]), atol=1e-5
    )


def test_several_classes_with_groups() -> None:
    frame = X[["x", "school"]]
    model = Estimator("school").fit(frame, THREE)
    fit = ml.fit("y ~ x + (1 | school)", X.assign(y=THREE), prior=ml.RelativeEntropy(), threads=1)
    np.testing.assert_allclose(model.predict_proba(frame), fit.predict(X), rtol=1e-12)
    assert set(model.predict(frame)) <= {"bus", "car", "walk"}


# --- groups ------------------------------------------------------------------------------------


def test_groups_may_come_as_a_column_an_array_or_a_position() -> None:
    by_name = Estimator("area").fit(X[["x", "z", "area"]], TWO)
    features = X[["x", "z"]]
    by_array = Estimator().fit(features, TWO, groups=X["area"])
    by_position = Estimator(2).fit(X[["x", "z", "area"]].to_numpy(), TWO)
    expected = by_name.predict_proba(X[["x", "z", "area"]])
    found = by_array.predict_proba(features, groups=X["area"])
    np.testing.assert_array_equal(found, expected)
    found = by_position.predict_proba(X[["x", "z", "area"]].to_numpy())
    np.testing.assert_array_equal(found, expected)
    both = Estimator().fit(features, TWO, groups=X[["school", "area"]])
    assert set(both.result_.n_groups) == {"school", "area"}
    table = Estimator().fit(features, TWO, groups=X[["area"]].to_numpy())
    assert set(table.result_.n_groups) == {"groups0"}


def test_polars_frames() -> None:
    frame = pl.from_pandas(X)
    model = Estimator(["school", "area"], slopes=["x"]).fit(frame, TWO)
    other = Estimator(["school", "area"], slopes=["x"]).fit(X, TWO)
    np.testing.assert_array_equal(model.predict_proba(frame), other.predict_proba(X))
    assert list(model.feature_names_in_) == list(X.columns)


def test_what_happens_to_new_groups() -> None:
    frame = X[["x", "z", "area"]]
    new = frame.head(4).assign(area=[0, 99, 98, 1])
    new.loc[2, "area"] = np.nan
    model = Estimator("area", slopes=["x"]).fit(frame, TWO)
    fit = model.result_
    known, unknown = [0, 3], [1, 2]
    population = model.predict_proba(new)[:, 1]
    whole = new.assign(area=0)
    expected = fit.predict(whole, level="population")
    np.testing.assert_allclose(population[unknown], expected[unknown], rtol=1e-12)
    np.testing.assert_allclose(population[known], fit.predict(new.iloc[known]), rtol=1e-12)
    marginal = clone(model).set_params(new_groups="marginal").fit(frame, TWO).predict_proba(new)
    expected = fit.predict(whole, level="marginal")
    np.testing.assert_allclose(marginal[unknown, 1], expected[unknown], rtol=1e-12)
    np.testing.assert_array_equal(marginal[known, 1], population[known])
    with pytest.raises(ValueError, match=r"'area' that were not in training, at the rows 1, 2"):
        model.set_params(new_groups="error").predict(new)
    several = Estimator(["area", "school"], new_groups="error").fit(X, TWO)
    for column, value in (("area", 99), ("school", "another")):
        with pytest.raises(ValueError, match=rf"'{column}' that were not in training, at the rows"):
            several.predict(X.assign(**{column: value}))
    given = Estimator().fit(X[["x"]], TWO, groups=X["area"])
    population = given.result_.predict(X.assign(area=0), level="population")
    np.testing.assert_array_equal(given.predict_proba(X[["x"]])[:, 1], population)


# --- scikit-learn's machinery ------------------------------------------------------------------


def test_pipelines() -> None:
    frame = X.assign(kind=np.where(X["z"] > 0, "a", "b"))
    prepare = ColumnTransformer(
        [("numbers", StandardScaler(), ["x"]), ("kinds", OneHotEncoder(), ["kind"]),
         ("groups", "passthrough", ["school"])],
        verbose_feature_names_out=False,
    )  # fmt: skip
    model = make_pipeline(prepare.set_output(transform="pandas"), Estimator("school"))
    with pytest.raises(ValueError, match="sparse"):
        model.fit(frame, TWO)
    prepare.set_params(kinds__sparse_output=False)
    model.fit(frame, TWO)
    assert model[-1].coef_names_ == ["x", "kind_a", "kind_b"]
    assert model[-1].coef_[0, 2] == 0.0  # it follows from the others
    assert model.score(frame, TWO) > 0.6
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(again.predict_proba(frame), model.predict_proba(frame))


def test_cross_validation_by_groups() -> None:
    folds = GroupKFold(4)
    scores = cross_val_score(Estimator("school"), X, TWO, groups=X["school"], cv=folds)
    assert scores.shape == (4,)
    assert (scores > 0.5).all()
    school = X["school"]
    options: dict[str, Any] = {"groups": school, "cv": folds, "params": {"groups": school}}
    given = cross_val_score(Estimator(), X[["x", "z"]], TWO, **options)
    assert (given > 0.5).all()


def test_metadata_routing() -> None:
    with sklearn.config_context(enable_metadata_routing=True):
        model = Estimator().set_fit_request(groups=True).set_score_request(groups=True)
        found = cross_validate(
            model, X[["x", "z"]], TWO, cv=3, params={"groups": X["school"]}, return_estimator=True
        )
        assert all("school" in fitted.result_.n_groups for fitted in found["estimator"])
        known = found["test_score"].mean()
        model.set_score_request(groups=False)
        unknown = cross_val_score(model, X[["x", "z"]], TWO, cv=3, params={"groups": X["school"]})
    assert known > unknown.mean()


def test_a_grid_over_the_strength() -> None:
    grid = GridSearchCV(
        Estimator("school", new_groups="marginal"),
        {"strength": [0.5, 2.0, 500.0]},
        scoring="neg_log_loss",
        cv=GroupKFold(3),
    )
    grid.fit(X, TWO, groups=X["school"])
    assert grid.best_params_["strength"] in (0.5, 2.0)
    scores = grid.cv_results_["mean_test_score"]
    assert scores[2] < scores.max() - 0.01


# --- weights, classes, errors ------------------------------------------------------------------


def test_weights_are_frequencies() -> None:
    weights = np.arange(400) % 3
    rows = np.repeat(np.arange(400), weights)
    weighted = Estimator("school", prior=None).fit(X, TWO, sample_weight=weights)
    repeated = Estimator("school", prior=None).fit(X.iloc[rows], TWO[rows])
    np.testing.assert_allclose(weighted.coef_, repeated.coef_, rtol=1e-8)
    assert weighted.result_.n_obs == np.count_nonzero(weights)


def test_classes_keep_their_type() -> None:
    for classes in (np.array([3, 7]), np.array([False, True]), np.array(["a", "b"])):
        y = classes[(TWO == "yes").astype(int)]
        model = Estimator().fit(X[["x"]], y)
        assert model.classes_.dtype == classes.dtype
        assert model.predict(X[["x"]]).dtype == classes.dtype


def test_separated_classes_have_an_answer_with_a_prior_and_a_warning_without() -> None:
    y = X["x"] > 0
    assert Estimator().fit(X[["x"]], y).result_.converged
    with pytest.warns(ConvergenceWarning, match="Complete separation"):
        Estimator(prior=None).fit(X[["x"]], y)


def test_names_that_no_formula_can_hold() -> None:
    frame = pd.DataFrame({"a`b": X["x"], "(Intercept)": X["z"]})
    model = Estimator().fit(frame, TWO)
    assert model.coef_names_ == ["x0", "x1"]
    odd = X.rename(columns={"x": "True", "z": "1 + é", "school": "log(y)", "area": "y"})
    model = Estimator(["log(y)", "y"], slopes=["True"]).fit(odd, TWO)
    plain = Estimator(["school", "area"], slopes=["x"]).fit(X, TWO)
    np.testing.assert_array_equal(model.predict_proba(odd), plain.predict_proba(X))
    np.testing.assert_array_equal(model.result_.predict(odd), model.predict_proba(odd)[:, 1])


@pytest.mark.parametrize(
    ("parameters", "named"),
    [
        ({"groups": "shool"}, r"groups: X has no column 'shool'; it has x, school, z, area"),
        ({"groups": 4}, "X has no column 4"),
        ({"groups": "school", "slopes": ["w"]}, "slopes: X has no column 'w'"),
        ({"groups": "school", "slopes": ["school"]}, "'school' holds groups"),
        ({"groups": "school", "slopes": {"area": ["x"]}}, "the grouping factors are: 'school'"),
        ({"prior": "ridge"}, "prior='ridge' is not available; choose one of 'relative-entropy'"),
        ({"prior": "jeffreys", "strength": 1.0}, "prior='jeffreys' has no strength"),
        ({"prior": ml.Normal(), "strength": 1.0}, "belongs to a prior given by its name"),
        ({"strength": -1.0}, "strength"),
        ({"new_groups": "guess"}, "new_groups='guess'"),
        ({"nodes": 0}, "nodes"),
        ({"max_iter": -1}, "max_iterations"),
        ({}, "could not convert string to float"),
    ],
)
def test_errors_name_the_parameter(parameters: dict[str, Any], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        Estimator(**parameters).fit(X, TWO)


def test_errors_about_groups() -> None:
    with pytest.raises(ValueError, match="'groups' have 3 values, but X has 400 rows"):
        Estimator().fit(X[["x"]], TWO, groups=[1, 2, 3])
    missing = X.assign(area=X["area"].where(X.index != 7))
    with pytest.raises(ValueError, match="'area' is missing at row 7"):
        Estimator("area").fit(missing[["x", "area"]], TWO)
    with pytest.raises(ValueError, match="Two columns are called 'x'"):
        Estimator().fit(X[["x"]], TWO, groups=X["area"].rename("x"))
    with pytest.raises(NotFittedError):
        Estimator("school").predict(X)


def test_the_result_can_be_saved(tmp_path: Path) -> None:
    model = Estimator("school", slopes=["x"]).fit(X, TWO)
    model.result_.save(tmp_path / "fit.json")
    found = ml.load(tmp_path / "fit.json").predict(X)
    np.testing.assert_array_equal(found, model.predict_proba(X)[:, 1])


def test_without_scikit_learn_the_extra_is_named() -> None:
    code = (
        "import sys; sys.modules['sklearn'] = None\n"
        "import multilogit as ml\n"
        "from multilogit import *\n"
        "try: ml.MultilevelLogisticRegression\n"
        "except ml.MissingExtraError as error: print(error)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert "pip install 'multilogit[sklearn]'" in done.stdout
