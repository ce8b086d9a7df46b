"""Pictures: what is drawn is what the table says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

pytest.importorskip("matplotlib")

from matplotlib.collections import PathCollection

from multilogit import plot
from multilogit.errors import InputError, OptionError
from multilogit.plot.style import with_fonts

N = 7


@pytest.fixture
def modes() -> pd.DataFrame:
    rng = np.random.default_rng(3)
    parts = [
        pd.DataFrame(
            {
                "group": "district",
                "level": [f"d{k}" for k in range(N)],
                "name": name,
                "mode": rng.normal(size=N),
                "sd": rng.uniform(0.2, 0.6, N),
            }
        )
        for name in ("(Intercept)", "urban")
    ]
    return pd.concat(parts, ignore_index=True)


def test_caterpillar_sorts_each_panel(modes: pd.DataFrame, tmp_path: Path) -> None:
    path = tmp_path / "modes.png"
    figure = plot.caterpillar(modes, "y ~ urban + (1 + urban | district)", path)
    assert path.read_bytes().startswith(b"\x89PNG")
    assert [ax.get_title(loc="left") for ax in figure.axes] == ["(Intercept)", "urban"]
    for ax, name in zip(figure.axes, ("(Intercept)", "urban"), strict=True):
        part = modes[modes["name"] == name].sort_values("mode")
        assert [label.get_text() for label in ax.get_yticklabels()] == list(part["level"])
        drawn = np.concatenate(
            [c.get_offsets() for c in ax.collections if isinstance(c, PathCollection)]
        )
        np.testing.assert_allclose(np.sort(drawn[:, 0]), part["mode"])


def test_a_variance_of_zero_is_told() -> None:
    none = pd.DataFrame({"group": "g", "level": ["a", "b"], "name": "x", "mode": 0.0, "sd": 0.0})
    assert plot.caterpillar(none).axes[0].get_title(loc="left") == "x: the estimated variance is 0"


def test_many_levels_stay_on_a_page(modes: pd.DataFrame) -> None:
    n = 5000
    many = pd.DataFrame(
        {"group": "g", "level": range(n), "name": "x", "mode": np.linspace(-1, 1, n), "sd": 0.1}
    )
    figure = plot.caterpillar(many)
    assert figure.get_size_inches()[1] < 15
    assert figure.axes[0].get_yticks().size == 0
    named = " ".join(text.get_text() for text in figure.axes[0].texts)
    assert "lowest: 0, 1, 2" in named
    assert "highest: 4999, 4998, 4997" in named


def test_forest_leaves_out_intercepts(tmp_path: Path) -> None:
    table = pd.DataFrame(
        {
            "y_level": ["car", "car", "train", "train"],
            "term": ["(Intercept)", "price", "(Intercept)", "price"],
            "estimate": [1.0, -0.5, 2.0, 0.5],
            "conf_low": [0.5, -0.8, 1.5, 0.1],
            "conf_high": [1.5, -0.2, 2.5, 0.9],
        }
    )
    figure = plot.forest(table, path=tmp_path / "forest.pdf")
    ax = figure.axes[0]
    assert [label.get_text() for label in ax.get_yticklabels()] == ["price"]
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["car", "train"]
    assert (tmp_path / "forest.pdf").stat().st_size > 1000


def test_convergence_draws_gradient_and_decrement() -> None:
    trace = pd.DataFrame(
        {
            "iteration": [0, 1, 2],
            "objective": [-10.0, -9.1, -9.0],
            "gradient_norm": [3.0, 0.1, 0.0],
            "decrement": [2.0, 0.2, 1e-9],
        }
    )
    figure = plot.convergence(trace)
    left, right = figure.axes
    np.testing.assert_allclose(left.lines[0].get_ydata(), [1.0, 0.1])
    assert len(right.lines[0].get_ydata()) == 2  # an exact zero has no place on a log scale
    assert len(right.lines[1].get_ydata()) == 3
    assert figure._repr_png_().startswith(b"\x89PNG")  # type: ignore[attr-defined]


def strengths() -> pd.DataFrame:
    kappa = np.array([0.8, 3.8, 4.0, 10.9, 30.0])
    score = np.array([-37.0, -34.95, -34.9, -36.0, np.nan])
    log_prior = -0.5 * np.log(kappa / 4.0) ** 2
    error = np.full(5, 0.02)
    return pd.DataFrame(
        {"kappa": kappa, "score": score, "error": error, "objective": score + log_prior}
    )


def texts(figure: Any) -> str:
    return " ".join(text.get_text() for text in figure.texts)


def test_evidence_curve_marks_the_chosen_strength(tmp_path: Path) -> None:
    path = tmp_path / "evidence.png"
    figure = plot.strength_curve(strengths(), 4.0, "evidence", "y ~ x", path)
    assert path.read_bytes().startswith(b"\x89PNG")
    (ax,) = figure.axes
    labels = [text.get_text() for text in ax.get_legend().get_texts()]
    assert labels == ["chosen: 4", "plus log prior of the strength, shifted", "log evidence"]
    lines = {str(line.get_label()): line for line in ax.lines}
    np.testing.assert_array_equal(lines["chosen: 4"].get_xdata(), [4.0, 4.0])
    (points,) = (line for line in ax.lines if line.get_marker() == "o")
    np.testing.assert_array_equal(points.get_xdata(), [0.8, 3.8, 4.0, 10.9])  # one fit failed
    (bars,) = ax.containers
    (segments,) = bars.lines[2]
    ends = np.array(segments.get_segments())[:, :, 1]
    np.testing.assert_allclose(ends[:, 1] - ends[:, 0], 0.04)
    x, objective = lines["plus log prior of the strength, shifted"].get_data()
    assert abs(np.log(x[np.argmax(objective)] / 4.0)) < 0.1
    np.testing.assert_allclose(objective.max(), -34.9, atol=0.01)
    assert "Monte Carlo" in texts(figure)


def test_the_error_of_a_log_score_is_told_not_drawn() -> None:
    table = strengths().assign(error=7.42)
    figure = plot.strength_curve(table, 4.0, "cv")
    (ax,) = figure.axes
    assert not ax.containers
    low, high = ax.get_ylim()
    assert high - low < 3.0
    assert "Standard error 7.42" in texts(figure)


def test_two_strengths_are_joined_by_a_line() -> None:
    figure = plot.strength_curve(strengths().iloc[:2], 3.8, "cv")
    curve = figure.axes[0].lines[1]
    np.testing.assert_array_equal(curve.get_xdata(), [0.8, 3.8])


def coefficients(**changed: list[float]) -> pd.DataFrame:
    table = {
        "term": ["(Intercept)", "x", "z", "w"],
        "estimate": [0.0, 1.0, 0.5, 0.2],
        "conf_low": [-1.0, 0.5, 0.2, -0.1],
        "conf_high": [1.0, 1.5, 0.8, 0.5],
    }
    return pd.DataFrame(table | changed)


def test_forest_of_odds_ratios_draws_exponentials() -> None:
    ax = plot.forest(coefficients(), odds_ratios=True).axes[0]
    assert ax.get_xscale() == "log"
    points = [line.get_xdata() for line in ax.lines if line.get_marker() == "o"]
    np.testing.assert_allclose([x[0] for x in points if len(x)], np.exp([1.0, 0.5, 0.2]))
    assert ax.texts[0].get_text() == "2.72  [1.65, 4.48]"


def test_only_intervals_without_the_null_are_filled() -> None:
    ax = plot.forest(coefficients()).axes[0]
    fills = [line.get_markerfacecolor() for line in ax.lines if line.get_marker() == "o"][:3]
    assert [fill == "white" for fill in fills] == [False, False, True]


def test_one_separated_coefficient_does_not_hide_the_others() -> None:
    wide = coefficients(
        estimate=[0.0, 1.0, 35.0, np.inf], conf_low=[-1.0, 0.5, -1e6, np.nan],
        conf_high=[1.0, 1.5, 1e6, np.nan],
    )  # fmt: skip
    ax = plot.forest(wide).axes[0]
    low, high = ax.get_xlim()
    assert -1.0 < low < 0.0
    assert 1.5 < high < 2.0
    assert {line.get_marker() for line in ax.lines} >= {"<", ">"}
    assert ax.texts[2].get_text() == "∞"


def bins() -> tuple[pd.DataFrame, pd.DataFrame]:
    predicted = np.linspace(0.1, 0.6, 6)
    table = pd.DataFrame({"category": "yes", "trials": 20.0, "predicted": predicted})
    table = table.assign(observed=predicted, lower=predicted - 0.05, upper=predicted + 0.08)
    line = pd.DataFrame(
        {
            "category": "yes",
            "parameter": ["intercept", "slope"],
            "estimate": [0.0, 1.0],
            "lower": [-0.2, 0.8],
            "upper": [0.2, 1.2],
        }
    )
    return table, line


def test_calibration_of_slope_one_is_the_diagonal() -> None:
    table, line = bins()
    ax = plot.calibration(table, line).axes[0]
    x, y = ax.lines[-1].get_data()
    np.testing.assert_allclose(x, y, atol=1e-12)
    (bars,) = ax.containers
    np.testing.assert_allclose(bars.lines[0].get_ydata(), table["observed"])
    assert "slope 1.00 [0.80, 1.20]" in [text.get_text() for text in ax.texts]


def test_calibration_without_a_line() -> None:
    table, line = bins()
    ax = plot.calibration(table, line.assign(estimate=np.nan)).axes[0]
    assert len(ax.get_legend().get_texts()) == 2


def residuals(n: int, power: float = 1.0) -> pd.DataFrame:
    rng = np.random.default_rng(4)
    return pd.DataFrame({"category": "yes", "u": rng.random(n) ** power, "fitted": rng.random(n)})


def p_values(p: float) -> pd.DataFrame:
    return pd.DataFrame(
        {"test": ["uniformity", "random effects"], "of": ["yes", "school"], "p_value": [p, 0.4]}
    )


def test_residuals_inside_their_band() -> None:
    figure = plot.quantile_residuals(residuals(400), p_values(0.6), "y ~ x")
    left, right = figure.axes
    (band,) = left.collections
    outline = band.get_paths()[0].vertices
    assert outline[:, 1].min() >= 0.0
    assert outline[:, 1].max() <= 1.0
    points = next(line for line in left.lines if line.get_marker() == "o")
    np.testing.assert_allclose(points.get_xdata()[[0, -1]], [1 / 401, 400 / 401])
    medians = [line for line in right.lines if line.get_linewidth() == 2.0][1]
    assert np.abs(medians.get_ydata() - 0.5).max() < 0.25
    assert "no deviation" in texts(figure)
    assert "random effects of school normal: p = 0.40" in texts(figure)


def test_the_heading_of_residuals_counts_the_tests() -> None:
    assert "deviate from the model: uniformity (p = 0.010)" in texts(
        plot.quantile_residuals(residuals(50), p_values(0.01))
    )
    assert "no deviation" in texts(plot.quantile_residuals(residuals(50), p_values(0.03)))


def test_zeta_of_a_parabola_is_its_wald_line() -> None:
    value = np.linspace(-1.0, 3.0, 9)
    table = pd.DataFrame({"parameter": "x", "value": value, "zeta": value - 1.0, "slope": 1.0})
    ends = pd.DataFrame({"lower": [-0.96], "upper": [2.96]}, index=["x"])
    figure = plot.zeta(table, {"x": 1.0}, ends)
    (ax,) = figure.axes
    curves = [line for line in ax.lines if len(line.get_xdata()) == 200]
    np.testing.assert_allclose(curves[0].get_ydata(), curves[1].get_ydata(), atol=1e-12)
    assert ax.get_xlabel() == "1.00  [−0.96, 2.96]"


def test_an_open_interval_has_no_end() -> None:
    table = pd.DataFrame(
        {"parameter": "x", "value": [0.0, 1.0, 2.0], "zeta": [-1.0, 0.0, 0.5], "slope": np.nan}
    )
    ends = pd.DataFrame({"lower": [np.nan], "upper": [np.inf]}, index=["x"])
    (ax,) = plot.zeta(table, {"x": 1.0}, ends).axes
    assert ax.get_xlabel() == "1.00"


def effect(numeric: bool, series: list[str]) -> plot.Effect:
    value = [1.0, 2.0, 3.0] if numeric else ["a", "b", "c"]
    table = pd.concat(
        pd.DataFrame({"value": value, "series": name, "estimate": 0.4, "lower": 0.3, "upper": 0.6})
        for name in series
    )
    return plot.Effect("x", table, numeric, [1.0, 2.0] if numeric else ())


def test_effects_of_numbers_are_lines_and_of_levels_points() -> None:
    figure = plot.effects([effect(True, [""]), effect(False, [""])], "probability", "About.")
    line, points = figure.axes
    assert len(line.collections) == 1  # the band
    assert not points.collections[:0]
    assert [label.get_text() for label in points.get_xticklabels()] == ["a", "b", "c"]
    assert not figure.legends
    assert "Predictions over x" in texts(figure)


def test_series_of_effects_have_a_legend() -> None:
    figure = plot.effects([effect(False, ["_low", "$high$"])], "probability", "About.", "size")
    (made,) = figure.legends
    assert [text.get_text().strip() for text in made.get_texts()] == ["_low", r"\$high\$"]
    assert made.get_title().get_text() == "size"


@pytest.mark.parametrize("name", ["$x$", "a\nb", "_x", "x" * 300, "x^{2", r"\frac", "\x00", "%s{}"])
def test_hostile_names_are_drawn_as_they_are(name: str, tmp_path: Path) -> None:
    table = coefficients().assign(term=["(Intercept)", name, "z", "w"])
    plot.forest(table, title=f"y ~ {name}", path=tmp_path / "a.png")
    modes = pd.DataFrame({"group": name, "level": [name, "b"], "name": name, "mode": 0.1, "sd": 1})
    plot.caterpillar(modes, path=tmp_path / "b.png")
    bins_, line = bins()
    plot.calibration(
        bins_.assign(category=name), line.assign(category=name), path=tmp_path / "c.svg"
    )
    assert len(list(tmp_path.iterdir())) == 3


def test_other_scripts_use_other_fonts() -> None:
    figure = plot.forest(coefficients().assign(term=["(Intercept)", "年齢", "z", "w"]))
    with_fonts(figure)
    families = {t.get_text(): t.get_fontfamily() for t in figure.axes[0].get_yticklabels()}
    assert families["z"] == ["sans-serif"]
    assert families["年齢"][0] == "sans-serif"  # whatever else is installed comes after it


def test_a_path_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match=r"ends in \.png"):
        plot.forest(coefficients(), path=tmp_path / "forest.docx")
    with pytest.raises(InputError, match="Cannot write"):
        plot.forest(coefficients(), path=tmp_path / "nowhere" / "forest.png")
