"""Plots: what is drawn is what the table says."""

from __future__ import annotations

from pathlib import Path

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
