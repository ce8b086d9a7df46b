"""Zeta plots: profiles of the likelihood, with intervals."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.interpolate import CubicHermiteSpline

from multilogit.inference.wald import critical_value
from multilogit.plot.style import (
    ACCENT,
    FAINT,
    INK,
    MUTED,
    SECOND,
    SMALL,
    TEXT_SIZE,
    Path,
    finish,
    heading,
    interval_text,
    labels,
    panels,
    percent,
    plain,
    style,
)

_COLUMNS = 4


def zeta(
    table: pd.DataFrame,
    estimates: Mapping[str, float],
    intervals: pd.DataFrame,
    level: float = 0.95,
    title: str = "",
    path: Path | None = None,
) -> Figure:
    """The signed root ζ of the fall of the log-likelihood, one panel per parameter.

    Parameters
    ----------
    table
        Columns ``parameter``, ``value``, ``zeta``, ``slope``: the points of the profiles.
    estimates
        By parameter.
    intervals
        Index: parameters; columns ``lower``, ``upper``.
    level
        Of the intervals.
    title
        Line of the heading, such as the formula.
    path
        File to write; the format follows its extension.

    Returns
    -------
    Figure
        The curve, the straight line that the Wald interval takes it for, and the interval where
        the curve crosses ±z.
    """
    names = [name for name in intervals.index if (table["parameter"] == name).any()]
    figure, axes = panels(max(len(names), 1), _COLUMNS, (2.9, 2.5), head=1.5)
    z = critical_value(level)
    for k, (ax, name) in enumerate(zip(axes, names, strict=False)):
        points = table[table["parameter"] == name]
        ends = intervals.loc[name].to_numpy(float)
        _panel(ax, points, float(estimates[name]), ends, z, named=k % _COLUMNS == 0)
        wrapped = textwrap.fill(plain(name, 90), 32)
        ax.set_title(wrapped, loc="left", fontsize=TEXT_SIZE, color=INK)
    key = (
        f"ζ is the signed root of twice the fall of the log-likelihood when the parameter is held "
        f"at a value. Where the curve (blue) crosses ±{z:.2f} the {percent(level)} interval ends "
        "(orange bar, numbers below). Where it bends away from the dashed line, Wald's symmetric "
        "interval is wrong."
    )
    heading(figure, "Profiles of the likelihood, with intervals", title, key)
    return finish(figure, path)


def _panel(
    ax: Axes, points: pd.DataFrame, estimate: float, ends: Any, z: float, named: bool
) -> None:
    points = points[np.isfinite(points["value"]) & np.isfinite(points["zeta"])]
    points = points.sort_values("value").drop_duplicates("value")
    x, y = points["value"].to_numpy(float), points["zeta"].to_numpy(float)
    slope = points["slope"].to_numpy(float)
    style(ax, grid="both")
    for mark in (-z, z):
        ax.axhline(mark, color=FAINT, linewidth=1.0, zorder=1)
    if x.size > 1:
        curve = _curve(x, y, slope)
        grid = np.linspace(x[0], x[-1], 200)
        wald = float(np.interp(estimate, x, slope)) * (grid - estimate)
        ax.plot(grid, wald, color=MUTED, linewidth=1.0, linestyle="--", zorder=2)
        ax.plot(grid, curve(grid), color=ACCENT, linewidth=1.8, zorder=3)
    room = 1.15 * max(z, float(np.abs(y).max(initial=z)))
    ax.set_ylim(-room, room)
    _interval(ax, estimate, ends, -room)
    labels(ax, interval_text(estimate, *map(float, ends)), "ζ" if named else "")
    ax.xaxis.label.set_fontsize(SMALL)
    ax.locator_params(axis="x", nbins=4)


def _curve(x: Any, y: Any, slope: Any) -> Any:
    """Through the points with their slopes; a straight line where slopes are unknown."""
    if np.isfinite(slope).all():
        return CubicHermiteSpline(x, y, slope)
    return lambda grid: np.interp(grid, x, y)


def _interval(ax: Axes, estimate: float, ends: Any, bottom: float) -> None:
    """The interval as a bar at the bottom; an end that is infinite or unknown stays open."""
    left, right = ax.get_xlim()
    low = ends[0] if np.isfinite(ends[0]) else left
    high = ends[1] if np.isfinite(ends[1]) else right
    ax.hlines(bottom, low, high, color=SECOND, linewidth=5.0, zorder=4, clip_on=False)
    ax.plot(
        estimate, bottom, color=SECOND, marker="o", markersize=7, zorder=5, clip_on=False,
        markeredgecolor="white",
    )  # fmt: skip
    for end in ends[np.isfinite(ends)]:
        ax.axvline(end, color=SECOND, linewidth=0.9, linestyle=":", zorder=2)
    ax.set_xlim(left, right)
