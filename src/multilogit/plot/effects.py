"""Effect plots: adjusted predictions over one variable, with intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from multilogit.plot.style import (
    FAINT,
    INK,
    Path,
    colour_of,
    finish,
    heading,
    labels,
    marker_of,
    one_line,
    panels,
    percent,
    plain,
    style,
)

_COLUMNS = 3


@dataclass(frozen=True, slots=True)
class Effect:
    """The adjusted predictions of one panel.

    Attributes
    ----------
    variable
        Name of the variable on the horizontal axis.
    table
        Columns ``value``, ``series`` (what colours tell apart; empty text for one series),
        ``estimate``, ``lower``, ``upper``.
    numeric
        Whether the variable is a number that is drawn as a line.
    observed
        Values of a numeric variable in the data, such as its deciles, for ticks at the axis.
    title
        Of the panel.
    """

    variable: str
    table: pd.DataFrame
    numeric: bool
    observed: Sequence[float] = ()
    title: str = ""


def effects(
    shown: Sequence[Effect],
    scale: str,
    about: str,
    series: str = "",
    level: float = 0.95,
    title: str = "",
    path: Path | None = None,
) -> Figure:
    """Adjusted predictions, one panel per variable: lines with bands, points with bars.

    Parameters
    ----------
    shown
        What to draw.
    scale
        Name of the vertical axis.
    about
        What predictions are of, for the heading.
    series
        What colours tell apart; title of the legend.
    level
        Confidence level, for the heading.
    title
        Line of the heading, such as the formula.
    path
        File to write; the format follows its extension.
    """
    size = (6.6, 4.2) if len(shown) == 1 else (3.9, 3.2)
    names = list(dict.fromkeys(name for each in shown for name in each.table["series"]))
    head = 1.3 + (0.3 if len(names) > 1 else 0.0)
    figure, axes = panels(len(shown), _COLUMNS, size, head=head, sharey=True)
    handles: dict[Any, Any] = {}
    for k, (ax, each) in enumerate(zip(axes, shown, strict=True)):
        handles |= _panel(ax, each, names)
        ax.tick_params(labelleft=True)
        labels(ax, plain(each.variable), scale if k % _COLUMNS == 0 else "", plain(each.title, 60))
    if len(names) > 1:
        made = figure.legend(
            list(handles.values()), [plain(name) for name in handles], loc="outside lower left",
            ncols=min(len(names), 6), frameon=False, fontsize=9, labelcolor=INK,
            title=plain(series) if series else None, alignment="left",
        )  # fmt: skip
        made.get_title().set_color(INK)
        made.get_title().set_fontsize(9)
    named = ", ".join(dict.fromkeys(one_line(each.variable) for each in shown))
    key = f"{about} Bands and bars: {percent(level)} intervals."
    heading(figure, f"Predictions over {named}" if len(named) < 60 else "Predictions", title, key)
    return finish(figure, path)


def _panel(ax: Axes, each: Effect, names: list[Any]) -> dict[Any, Any]:
    """Draw all series; their handles by name."""
    style(ax, grid="y")
    values = list(dict.fromkeys(each.table["value"]))
    handles = {}
    for name in dict.fromkeys(each.table["series"]):
        k = names.index(name)
        part = each.table[each.table["series"] == name]
        y = part[["estimate", "lower", "upper"]].to_numpy(float).T
        if each.numeric:
            handles[name] = _line(ax, part["value"].to_numpy(float), y, k)
        else:
            shift = (k - (len(names) - 1) / 2) * 0.6 / len(names)
            handles[name] = _points(ax, [values.index(v) + shift for v in part["value"]], y, k)
    if each.numeric:
        _rug(ax, each.observed)
    else:
        ax.set_xlim(-0.5, len(values) - 0.5)
        crowded = sum(len(str(v)) for v in values) > 28 or len(values) > 8
        ax.set_xticks(
            range(len(values)), labels=[plain(v, 20) for v in values],
            rotation=40 if crowded else 0, ha="right" if crowded else "center",
        )  # fmt: skip
    return handles


def _line(ax: Axes, x: Any, y: Any, k: int) -> Any:
    estimate, low, high = y
    ax.fill_between(x, low, high, color=colour_of(k), alpha=0.18, linewidth=0, zorder=2)
    return ax.plot(
        x, estimate, color=colour_of(k), linewidth=2.0, zorder=3, marker=marker_of(k),
        markersize=4, markevery=max(1, len(x) // 8),
    )[0]  # fmt: skip


def _points(ax: Axes, x: Any, y: Any, k: int) -> Any:
    estimate, low, high = y
    errors = np.maximum([estimate - low, high - estimate], 0.0)
    return ax.errorbar(
        x, estimate, errors, color=colour_of(k), linestyle="", marker=marker_of(k), markersize=6,
        elinewidth=2.0, zorder=3,
    )  # fmt: skip


def _rug(ax: Axes, observed: Sequence[float]) -> None:
    """Ticks at the bottom where the data are."""
    ax.plot(
        observed, np.full(len(observed), 0.012), transform=ax.get_xaxis_transform(),
        color=FAINT, marker="|", markersize=9, markeredgewidth=1.2, linestyle="", zorder=1,
    )  # fmt: skip
