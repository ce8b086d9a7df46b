"""Figures of the report page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from multilogit.plot.style import (
    INK,
    MUTED,
    SMALL,
    TEXT_SIZE,
    colour_of,
    figure_of,
    heading,
    labels,
    marker_of,
    panels,
    plain,
    plain_log_axis,
    style,
)

_ROW = 0.3
_PER_BIN = 20


def dots(
    table: pd.DataFrame,
    title: str,
    subtitle: str,
    x: str,
    reference: float | None = None,
    log: bool = False,
) -> Figure:
    """Cells down, a measure across, one marker per estimator, with two standard errors.

    Parameters
    ----------
    table
        Columns ``cell``, ``estimator``, ``value``, ``mcse``.
    title, subtitle
        Of the figure.
    x
        Name of the measure.
    reference
        Where to draw a line.
    log
        Whether the axis is logarithmic.
    """
    cells = list(dict.fromkeys(table["cell"]))
    names = list(dict.fromkeys(table["estimator"]))
    row = max(_ROW, 0.075 * len(names))
    figure = figure_of(8.0, 1.7 + row * max(3, len(cells)) + 0.1 * len(names))
    ax = figure.subplots()
    handles = []
    for k, name in enumerate(names):
        rows = table[table["estimator"] == name]
        at = np.array([cells.index(cell) for cell in rows["cell"]])
        shift = 0.7 * ((k + 0.5) / len(names) - 0.5)
        handles.append(
            ax.errorbar(
                rows["value"], at + shift, xerr=2.0 * rows["mcse"].fillna(0.0),
                fmt=marker_of(k), color=colour_of(k), markersize=4.0, elinewidth=0.9, linestyle="",
            )
        )  # fmt: skip
    if reference is not None:
        ax.axvline(reference, color=INK, linewidth=0.9, linestyle=(0, (4, 3)))
    ax.set_yticks(range(len(cells)), [plain(cell) for cell in cells])
    ax.set_ylim(len(cells) - 0.4, -0.6)
    for k in range(1, len(cells), 2):
        ax.axhspan(k - 0.5, k + 0.5, color=MUTED, alpha=0.06, linewidth=0.0)
    style(ax)
    if log:
        ax.set_xscale("log")
        plain_log_axis(ax)
    labels(ax, x)
    _key_below(figure, handles, names)
    heading(figure, title, subtitle)
    return figure


def _key_below(figure: Figure, handles: Sequence[Any], names: Sequence[str]) -> None:
    """A legend below everything, in columns that fit the width."""
    longest = max(len(name) for name in names)
    columns = max(1, min(len(names), int(14.0 * figure.get_figwidth() / (longest + 6))))
    figure.legend(
        handles, [plain(name, 80) for name in names], loc="outside lower left", ncols=columns,
        frameon=False, fontsize=TEXT_SIZE, labelcolor=INK,
    )  # fmt: skip


def histograms(
    shares: Sequence[tuple[str, str, np.ndarray, int]], title: str, subtitle: str
) -> Figure:
    """Histograms of probabilities with the band that uniform ones would stay in.

    Parameters
    ----------
    shares
        Parameter, cell, shares in equal parts of (0, 1), and of how many values.
    title, subtitle
        Of the figure.
    """
    figure, axes = panels(len(shares), 4, (2.5, 1.7), head=1.0, sharex=True)
    for ax, (parameter, cell, fine, n) in zip(axes, shares, strict=True):
        bins = fine.size
        while n / bins < _PER_BIN and bins % 2 == 0:
            bins //= 2
        expected = n / bins
        spread = 2.0 * np.sqrt(expected * (1.0 - 1.0 / bins))
        low = max(0.0, expected - spread)
        ax.axhspan(low, expected + spread, color=MUTED, alpha=0.2, linewidth=0.0)
        counts = n * fine.reshape(bins, -1).sum(axis=1)
        ax.bar((np.arange(bins) + 0.5) / bins, counts, 0.95 / bins, color=colour_of(0), alpha=0.8)
        style(ax, "y")
        shown = f"{plain(parameter)}\n{plain(cell, 38)}"
        ax.set_title(shown, loc="left", fontsize=SMALL, color=INK)
        ax.set_xlim(0.0, 1.0)
        ax.set_ylim(bottom=0.0)
    heading(figure, title, subtitle)
    return figure


def rates(ours: pd.DataFrame, published: pd.DataFrame, parameter: str, x: str) -> Figure:
    """Percent of unusable estimates against what a design varies; published ones hollow, dashed.

    Parameters
    ----------
    ours, published
        Columns ``panel``, ``x``, ``value``, ``estimator``.
    parameter
        Whose estimates they are.
    x
        Name of what varies.
    """
    names = list(dict.fromkeys(ours["estimator"]))
    every = list(dict.fromkeys(ours["panel"]))
    figure, axes = panels(len(every), 3, (3.1, 2.9), head=1.6, sharey=True)
    handles: list[Any] = []
    for ax, panel in zip(axes, every, strict=True):
        handles = []
        for k, name in enumerate(names):
            look: dict[str, Any] = {"color": colour_of(k), "marker": marker_of(k)}
            look["markersize"] = 4.0
            theirs = _line_of(published, panel, name)
            hollow = look | {"linestyle": "--", "linewidth": 0.9, "markerfacecolor": "white"}
            ax.plot(theirs["x"], 100.0 * theirs["value"], **hollow)
            own = _line_of(ours, panel, name)
            handles += ax.plot(own["x"], 100.0 * own["value"], **look)
        style(ax, "y")
        labels(ax, plain(x), "percent unusable", plain(panel))
    _key_below(figure, handles, names)
    heading(
        figure, f"Unusable estimates of {plain(parameter)}",
        "solid: here; hollow and dashed: as published",
    )  # fmt: skip
    return figure


def _line_of(table: pd.DataFrame, panel: str, name: str) -> pd.DataFrame:
    return table[(table["panel"] == panel) & (table["estimator"] == name)].sort_values("x")


def trade(table: pd.DataFrame, title: str, subtitle: str) -> Figure:
    """Missing coverage against RMSE: a colour per estimator, a marker per kind of interval.

    Parameters
    ----------
    table
        Columns ``estimator``, ``interval``, ``shortfall``, ``rmse``.
    title, subtitle
        Of the figure.
    """
    figure = figure_of(8.0, 5.2)
    ax = figure.subplots()
    names = list(dict.fromkeys(table["estimator"]))
    kinds = list(dict.fromkeys(table["interval"]))
    for row in table.itertuples():
        k, m = names.index(row.estimator), kinds.index(row.interval)
        ax.plot(
            100.0 * row.shortfall, row.rmse, color=colour_of(k), marker=marker_of(m), linestyle=""
        )
    of_names = [ax.plot([], [], color=colour_of(k), linewidth=4.0)[0] for k in range(len(names))]
    of_kinds = [
        ax.plot([], [], color=INK, marker=marker_of(m), linestyle="")[0] for m in range(len(kinds))
    ]
    style(ax, "both")
    labels(ax, "coverage missing below 95 %, percentage points, mean", "RMSE, the default's = 1")
    _key_below(figure, of_names + of_kinds, names + kinds)
    heading(figure, title, subtitle)
    return figure


def decline(table: pd.DataFrame, x: str, title: str, subtitle: str) -> Figure:
    """RMSE against a number, both logarithmic, with a line of slope −½.

    Parameters
    ----------
    table
        Columns ``x``, ``value``, ``mcse``, ``estimator``, ``parameter``.
    x
        Name of the number.
    title, subtitle
        Of the figure.
    """
    parameters = list(dict.fromkeys(table["parameter"]))
    names = list(dict.fromkeys(table["estimator"]))
    figure, axes = panels(len(parameters), 3, (2.9, 2.8), head=1.5, sharex=True)
    handles: list[Any] = []
    for ax, parameter in zip(axes, parameters, strict=True):
        handles = []
        for k, name in enumerate(names):
            chosen = table[(table["parameter"] == parameter) & (table["estimator"] == name)]
            rows = chosen.sort_values("x")
            handles += ax.plot(
                rows["x"], rows["value"], marker=marker_of(k), color=colour_of(k), markersize=4.0
            )
        first = table[(table["parameter"] == parameter) & (table["estimator"] == names[0])]
        line = first.sort_values("x")
        middle = len(line) // 2
        ends = line["x"].to_numpy(dtype=float)
        slope = line["value"].iloc[middle] * np.sqrt(ends[middle] / ends)
        ax.plot(ends, slope, color=INK, linewidth=0.9, linestyle=(0, (4, 3)))
        style(ax, "both")
        plain_log_axis(ax)
        plain_log_axis(ax, "y")
        labels(ax, x, "RMSE", plain(parameter))
    _key_below(figure, handles, names)
    heading(figure, title, subtitle)
    return figure
