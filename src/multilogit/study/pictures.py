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
    colour_of,
    figure_of,
    heading,
    labels,
    legend,
    marker_of,
    panels,
    plain,
    plain_log_axis,
    style,
)

_ROW = 0.3
_PER_BIN = 20


def dots(
    table: pd.DataFrame, title: str, subtitle: str, x: str, reference: float | None = None
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
    """
    cells = list(dict.fromkeys(table["cell"]))
    names = list(dict.fromkeys(table["estimator"]))
    figure = figure_of(8.0, 1.7 + _ROW * max(3, len(cells)) + 0.16 * len(names))
    ax = figure.subplots()
    handles = []
    for k, name in enumerate(names):
        rows = table[table["estimator"] == name]
        at = np.array([cells.index(cell) for cell in rows["cell"]])
        shift = 0.6 * ((k + 0.5) / len(names) - 0.5)
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
    style(ax)
    labels(ax, x)
    legend(ax, handles, names, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    heading(figure, title, subtitle)
    return figure


def histograms(values: Sequence[tuple[str, str, np.ndarray]], title: str, subtitle: str) -> Figure:
    """Histograms of probabilities with the band that uniform ones would stay in.

    Parameters
    ----------
    values
        Parameter, cell, probabilities.
    title, subtitle
        Of the figure.
    """
    figure, axes = panels(len(values), 4, (2.5, 1.7), head=1.0, sharex=True)
    for ax, (parameter, cell, sample) in zip(axes, values, strict=True):
        bins = int(np.clip(sample.size // _PER_BIN, 5, 20))
        expected = sample.size / bins
        spread = 2.0 * np.sqrt(expected * (1.0 - 1.0 / bins))
        low = max(0.0, expected - spread)
        ax.axhspan(low, expected + spread, color=MUTED, alpha=0.2, linewidth=0.0)
        ax.hist(sample, bins=bins, range=(0.0, 1.0), color=colour_of(0), alpha=0.8)
        style(ax, "y")
        shown = f"{plain(parameter)}\n{plain(cell, 38)}"
        ax.set_title(shown, loc="left", fontsize=SMALL, color=INK)
        ax.set_xlim(0.0, 1.0)
        ax.set_ylim(bottom=0.0)
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
    figure, axes = panels(len(parameters), 3, (2.9, 2.8), head=1.1, sharex=True)
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
    legend(axes[0], handles, names)
    heading(figure, title, subtitle)
    return figure
