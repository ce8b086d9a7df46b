"""``fit.plot``: every picture of every kind of fit, drawn from what the methods return."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

pytest.importorskip("matplotlib")

import multilogit as ml


def people(n: int = 400) -> pd.DataFrame:
    rng = np.random.default_rng(7)
    school = rng.integers(0, 12, n)
    x, z = rng.normal(size=n), rng.choice(["low", "middle", "high"], n)
    eta = 0.6 * x + (z == "high") + rng.normal(0, 0.7, 12)[school]
    y = (rng.random(n) < 1 / (1 + np.exp(-eta))).astype(int)
    k = np.where(rng.random(n) < 0.3, "other", np.where(y == 1, "yes", "no"))
    return pd.DataFrame({"y": y, "k": k, "x": x, "z": z, "school": school, "few": school % 3})


FITS = {
    "single": ("y ~ x + z", {}),
    "mixed": ("y ~ x * z + few + (1 + x | school)", {}),
    "multinomial": ("k ~ x + z", {}),
    "multinomial mixed": ("k ~ x + (1 | school)", {}),
    "penalised": ("y ~ x + z + (1 | school)", {"prior": ml.RelativeEntropy()}),
}


@pytest.fixture(scope="module", params=FITS)
def fit(request: pytest.FixtureRequest) -> ml.Fit:
    formula, options = FITS[request.param]
    return ml.fit(formula, people(), **options)


def heading(figure: Any) -> str:
    return " ".join(text.get_text() for text in figure.texts)


def test_pictures_without_options(fit: ml.Fit) -> None:
    assert "Fixed effects" in heading(fit.plot.coefficients())
    assert "Odds ratios" in heading(fit.plot.coefficients(odds_ratios=True, intercepts=True))
    assert "Calibration" in heading(fit.plot.calibration())
    assert "Quantile residuals" in heading(fit.plot.residuals())
    assert "converged after" in heading(fit.plot.trace())
    assert fit.spec.formula in heading(fit.plot.trace())
    shown = fit.plot.profile(parameters=fit.confint().index[-1])
    assert len(shown.axes) == 1


def test_random_effects(fit: ml.Fit) -> None:
    if not fit.random:
        with pytest.raises(ml.OptionError, match="single-level"):
            fit.plot.random_effects()
        return
    figure = fit.plot.random_effects()
    assert len(figure.axes) == len(fit.random[0].names)
    assert "differ" in heading(figure)


@pytest.mark.parametrize("level", ["population", "marginal"])
def test_effects_are_adjusted_predictions(fit: ml.Fit, level: Any) -> None:
    figure = fit.plot.adjusted_predictions("x", level=level, points=3)
    grid = np.linspace(*np.quantile(people()["x"], [0, 1]), 3)
    table = fit.adjusted_predictions({"x": grid}, level=level)
    lines = [line for line in figure.axes[0].lines if len(line.get_xdata()) == 3]
    drawn = np.column_stack([line.get_ydata() for line in lines]).ravel()
    np.testing.assert_allclose(drawn, table["estimate"], atol=1e-12)
    assert ("typical group" in heading(figure)) == (bool(fit.random) and level == "population")


def test_all_variables_have_a_panel(fit: ml.Fit) -> None:
    names = [ax.get_xlabel() for ax in fit.plot.adjusted_predictions().axes]
    assert names == [name for name in ("x", "z", "few") if name in fit.spec.formula]


def test_a_second_variable_makes_series_or_panels() -> None:
    data = people()
    two = ml.fit("y ~ x * z + few", data)
    figure = two.plot.adjusted_predictions("z", by="x", scale="link")
    (made,) = figure.legends
    assert made.get_title().get_text() == "x"
    assert len(made.get_texts()) == 3
    assert figure.axes[0].get_ylabel() == "log odds of 1 against 0"
    several = ml.fit("k ~ x + z", data)
    figure = several.plot.adjusted_predictions("x", by="z", others="typical")
    assert [ax.get_title(loc="left") for ax in figure.axes] == ["z = high", "z = low", "z = middle"]
    assert [t.get_text() for t in figure.legends[0].get_texts()] == ["no", "other", "yes"]
    held = two.plot.adjusted_predictions("few", by={"x": [0, 1]}, at={"z": "low"})
    assert [t.get_text() for t in held.legends[0].get_texts()] == ["0", "1"]
    assert len(held.axes[0].get_xticks()) == 3  # few distinct numbers are points


@pytest.mark.parametrize(
    "options",
    [
        {"variables": "nobody"},
        {"variables": "z", "by": "z"},
        {"by": ["x", "z"]},
        {"at": {"x": [0, 1]}},
        {"at": "z"},
        {"level": "everyone"},
    ],
)
def test_bad_options_of_effects(options: dict[str, Any]) -> None:
    single = ml.fit("y ~ x + z", people())
    with pytest.raises(ml.OptionError):
        single.plot.adjusted_predictions(**options)


def test_a_fit_that_is_not_to_be_trusted_says_so_on_its_pictures() -> None:
    data = people(60)
    separated = ml.fit("y ~ x", data.assign(x=np.where(data["y"] == 1, 1.0, -1.0)))
    assert not separated.converged
    assert "NOT TO BE TRUSTED" in heading(separated.plot.coefficients())
    assert "did not converge" in heading(separated.plot.trace())


def test_a_fit_without_coefficients_but_the_intercept() -> None:
    assert heading(ml.fit("y ~ 1", people()).plot.coefficients())
    with pytest.raises(ml.OptionError, match="no variables"):
        ml.fit("y ~ 1", people()).plot.adjusted_predictions()


def test_pictures_of_a_loaded_fit(fit: ml.Fit, tmp_path: Any) -> None:
    fit.save(tmp_path / "fit.json")
    again = ml.load(tmp_path / "fit.json")
    assert heading(again.plot.coefficients()) == heading(fit.plot.coefficients())
    assert heading(again.plot.trace()) == heading(fit.plot.trace())
    assert again.plot.adjusted_predictions("x", points=3, new=people())
    for method in ("calibration", "residuals", "profile", "adjusted_predictions"):
        with pytest.raises(ml.DataNotSavedError):
            getattr(again.plot, method)()
