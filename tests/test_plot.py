"""Plots: what is drawn is what the table says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

pytest.importorskip("matplotlib")

from matplotlib.collections import PathCollection

from multilogit import plot

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


def test_many_levels_stay_on_a_page(modes: pd.DataFrame) -> None:
    n = 5000
    many = pd.DataFrame(
        {"group": "g", "level": range(n), "name": "x", "mode": np.linspace(-1, 1, n), "sd": 0.1}
    )
    figure = plot.caterpillar(many)
    assert figure.get_size_inches()[1] < 15
    assert figure.axes[0].get_yticks().size == 0


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
