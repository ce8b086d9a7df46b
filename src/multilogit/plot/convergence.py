"""How Newton–Raphson converged."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from multilogit.plot.style import (
    ACCENT,
    SECOND,
    Path,
    figure_of,
    finish,
    heading,
    labels,
    legend,
    style,
)


def convergence(
    trace: pd.DataFrame,
    title: str = "",
    path: Path | None = None,
    outcome: str = "Convergence of Newton–Raphson",
) -> Figure:
    """How Newton–Raphson converged.

    Parameters
    ----------
    trace
        Columns ``iteration``, ``objective``, ``gradient_norm``, ``decrement``.
    title
        Line of the heading, such as the formula.
    path
        File to write; the format follows its extension.
    outcome
        First line of the heading.

    Returns
    -------
    Figure
        Left: distance of the objective from its last value. Right: max |gradient| and Newton
        decrement. Logarithmic scales; exact zeros are not drawn.
    """
    figure = figure_of(8.6, 3.9)
    left, right = figure.subplots(1, 2)
    x = trace["iteration"].to_numpy()
    gap = (trace["objective"].iloc[-1] - trace["objective"]).to_numpy(float)
    _log_line(left, x, gap, ACCENT, "o")
    labels(left, "iteration", "objective below its last value", "Still to gain")
    lines = [
        _log_line(right, x, trace["gradient_norm"].to_numpy(float), ACCENT, "o"),
        _log_line(right, x, trace["decrement"].to_numpy(float), SECOND, "s"),
    ]
    labels(right, "iteration", "", "Distance from the maximum")
    legend(right, lines, ["largest |gradient|", "Newton decrement (standard errors)"])
    for ax in (left, right):
        style(ax, grid="both")
        ax.minorticks_off()
        ax.set_xlim(-0.3, float(x[-1]) + 0.3)
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    key = (
        "One point per iteration, logarithmic axes. Near a maximum the number of correct digits "
        "doubles with every iteration: the lines bend down ever more steeply."
    )
    heading(figure, outcome, title, key)
    return finish(figure, path)


def _log_line(ax: Axes, x: Any, y: Any, colour: str, marker: str) -> Any:
    positive = np.isfinite(y) & (y > 0.0)
    return ax.semilogy(
        x[positive], y[positive], color=colour, marker=marker, markersize=5, linewidth=1.6
    )[0]
