"""Caterpillar plot: random effects, sorted, with intervals."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from multilogit.inference.wald import critical_value
from multilogit.plot.style import (
    ACCENT,
    INK,
    MUTED,
    SMALL,
    Path,
    finish,
    heading,
    labels,
    one_line,
    panels,
    percent,
    plain,
    style,
)

MAX_LABELS = 80
"""More levels than this are shown without names, on the same height."""
_NAMED = 3
"""Of many levels so many are named at either end."""
_COLUMNS = 3


def caterpillar(
    table: pd.DataFrame, title: str = "", path: Path | None = None, level: float = 0.95
) -> Figure:
    """Conditional modes with intervals, sorted, one panel per effect.

    Parameters
    ----------
    table
        Columns ``group``, ``level``, ``name``, ``mode``, ``sd`` of one grouping factor.
    title
        Line of the heading, such as the formula.
    path
        File to write; the format follows its extension.
    level
        Of the intervals, mode ± z sd.

    Returns
    -------
    Figure
        Every panel is sorted by its own modes. Intervals that exclude 0 are coloured, with a
        filled point. Above ``MAX_LABELS`` levels only those at the ends are named.
    """
    names = list(dict.fromkeys(table["name"]))
    group = one_line(table["group"].iloc[0])
    n = int((table["name"] == names[0]).sum())
    height = 5.0 if n > MAX_LABELS else 0.8 + 0.165 * n
    figure, axes = panels(len(names), _COLUMNS, (max(3.9, 6.8 / len(names)), height), head=1.0)
    z = critical_value(level)
    for ax, name in zip(axes, names, strict=True):
        _panel(ax, table[table["name"] == name], plain(name), group, z)
    key = (
        f"One line per level of {group}, sorted: conditional mode and {percent(level)} interval. "
        "Blue, filled: the interval excludes 0, the average group."
    )
    heading(figure, f"Random effects: how the levels of {group} differ", title, key)
    return finish(figure, path)


def _panel(ax: Axes, table: pd.DataFrame, name: str, group: str, z: float) -> None:
    part = table.sort_values("mode")
    mode = part["mode"].to_numpy(float)
    half = z * part["sd"].to_numpy(float)
    y = np.arange(mode.size)
    clear = np.abs(mode) > half
    thin = mode.size > MAX_LABELS
    ax.axvline(0.0, color=INK, linewidth=1.0, zorder=1)
    for chosen, colour in ((~clear, MUTED), (clear, ACCENT)):
        ax.hlines(
            y[chosen], (mode - half)[chosen], (mode + half)[chosen], color=colour,
            linewidth=0.6 if thin else 1.4, alpha=0.4 if thin else 0.85, zorder=2,
            rasterized=mode.size > 1000,
        )  # fmt: skip
        ax.scatter(
            mode[chosen], y[chosen], s=2 if thin else 16, zorder=3, edgecolors=colour,
            facecolors=INK if thin else (colour if colour == ACCENT else "white"),
            rasterized=mode.size > 1000,
        )  # fmt: skip
    style(ax)
    ax.set_ylim(-0.8, mode.size - 0.2)
    ax.margins(x=0.08)
    levels = [plain(level, 24) for level in part["level"]]
    ax.set_yticks([] if thin else y, labels=[] if thin else levels, fontsize=7.5)
    labels(
        ax,
        "difference from the average group (log odds)",
        f"{mode.size} levels of {plain(group)}, sorted" if thin else plain(group),
        name,
    )
    if thin:
        _name_ends(ax, levels)
    if not np.any(part["sd"].to_numpy(float) > 0.0) and not np.any(mode):
        ax.set_title(f"{name}: the estimated variance is 0", loc="left", fontsize=10.5, color=INK)


def _name_ends(ax: Axes, levels: list[str]) -> None:
    """The levels at both ends, in the empty corners."""
    for text, x, y, ha, va in (
        ("lowest: " + ", ".join(levels[:_NAMED]), 0.98, 0.02, "right", "bottom"),
        ("highest: " + ", ".join(levels[: -_NAMED - 1 : -1]), 0.02, 0.98, "left", "top"),
    ):
        ax.text(
            x, y, text, transform=ax.transAxes, ha=ha, va=va, fontsize=SMALL, color=INK,
            bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 1.5},
        )  # fmt: skip
