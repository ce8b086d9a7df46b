"""Calibration: do events of probability 0.3 happen in 30 % of the cases?"""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.special import expit, logit

from multilogit.plot.style import (
    ACCENT,
    MUTED,
    SECOND,
    SMALL,
    Path,
    finish,
    heading,
    labels,
    legend,
    number,
    panels,
    percent,
    plain,
    style,
)

_COLUMNS = 3


def calibration(
    table: pd.DataFrame,
    line: pd.DataFrame,
    title: str = "",
    path: Path | None = None,
    level: float = 0.95,
    about: str = "",
) -> Figure:
    """Observed shares against predicted probabilities, one panel per category.

    Parameters
    ----------
    table
        Columns ``category``, ``trials``, ``predicted``, ``observed``, ``lower``, ``upper``: one
        row per bin.
    line
        Columns ``category``, ``parameter`` (``"intercept"``, ``"slope"``), ``estimate``,
        ``lower``, ``upper``: logistic recalibration.
    title
        Line of the heading, such as the formula.
    path
        File to write; the format follows its extension.
    level
        Confidence level of the intervals, for the heading.
    about
        Which probabilities, for the heading.

    Returns
    -------
    Figure
        Points are bins of equally many cases, their intervals Wilson's; the curve is
        logit Pr(y) = a + b logit π.
    """
    categories = list(dict.fromkeys(table["category"]))
    one = len(categories) == 1
    size = (6.4, 4.6) if one else (3.9, 3.6)
    figure, axes = panels(len(categories), _COLUMNS, size, head=1.3)
    for k, (ax, category) in enumerate(zip(axes, categories, strict=True)):
        mine = line[line["category"] == category].set_index("parameter")
        _panel(ax, table[table["category"] == category], mine, plain(category), first=k == 0)
    key = (
        f"One point per bin of equally many cases{about}, with {percent(level)} intervals. On the "
        "diagonal the predicted share happens; a slope below 1 means predictions too extreme."
    )
    heading(figure, "Calibration: what was predicted, and what happened", title, key)
    return finish(figure, path)


def _panel(ax: Axes, bins: pd.DataFrame, line: pd.DataFrame, category: str, first: bool) -> None:
    x, y = bins["predicted"].to_numpy(float), bins["observed"].to_numpy(float)
    errors = np.maximum([y - bins["lower"], bins["upper"] - y], 0.0)
    (ideal,) = ax.plot([0, 1], [0, 1], color=MUTED, linewidth=1.0, linestyle="--", zorder=1)
    points = ax.errorbar(
        x, y, errors, color=ACCENT, linestyle="", marker="o", markersize=5,
        elinewidth=1.4, zorder=3,
    )  # fmt: skip
    handles, names = [ideal, points], ["perfect", "observed share"]
    a, b = (float(line["estimate"].get(name, np.nan)) for name in ("intercept", "slope"))
    if np.isfinite(a + b):
        grid = np.linspace(max(x.min(), 1e-6), min(x.max(), 1 - 1e-6), 200)
        (curve,) = ax.plot(grid, expit(a + b * logit(grid)), color=SECOND, linewidth=1.6, zorder=2)
        handles.append(curve)
        names.append("recalibration")
    slope = line.loc["slope"] if "slope" in line.index else None
    if slope is not None and np.isfinite(slope["estimate"]):
        text = (
            f"slope {number(slope['estimate'])} "
            f"[{number(slope['lower'])}, {number(slope['upper'])}]"
        )
        ax.text(0.98, 0.03, text, transform=ax.transAxes, ha="right", fontsize=SMALL, color=MUTED)
    _axes(ax, bins, category)
    if first:
        legend(ax, handles, names, loc="upper left", fontsize=SMALL)


def _axes(ax: Axes, bins: pd.DataFrame, category: str) -> None:
    shown = bins[["predicted", "lower", "upper", "observed"]].to_numpy(float)
    low, high = np.nanmin(shown), np.nanmax(shown)
    room = 0.06 * max(high - low, 0.02)
    limits = max(low - room, -0.02), min(high + room, 1.02)
    ax.set_xlim(limits)
    ax.set_ylim(limits)
    ax.set_box_aspect(1.0)
    style(ax, grid="both")
    labels(ax, f"predicted probability of {category}", f"observed share of {category}")
