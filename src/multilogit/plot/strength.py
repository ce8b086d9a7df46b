"""How well each strength of a prior does, and which was chosen."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter
from scipy.interpolate import PchipInterpolator

from multilogit.plot.style import (
    ACCENT,
    INK,
    MUTED,
    SECOND,
    TEXT_SIZE,
    Path,
    figure_of,
    finish,
    heading,
    labels,
    style,
)


def strength_curve(
    table: pd.DataFrame,
    chosen: float,
    criterion: Literal["evidence", "cv"],
    title: str = "",
    path: Path | None = None,
) -> Figure:
    """How well each strength of a prior does, and which was chosen.

    Parameters
    ----------
    table
        Columns ``kappa``, ascending, ``score``, ``error`` and ``objective``; rows with NaN are
        strengths whose fit failed.
    chosen
        The strength with the largest objective.
    criterion
        What ``score`` is: log evidence, or a log score of predictions left out.
    title, path
        As in :func:`caterpillar`.

    Returns
    -------
    Figure
        One point per strength, on a logarithmic axis. For the evidence with its Monte Carlo
        error, and with the objective: the log evidence plus the log of the vague prior of the
        strength, shifted to the same height at the chosen strength. The standard error of a
        log score is a line of text: most of it is common to all points.
    """
    drawn = table[np.isfinite(table["score"])]
    kappa, score = drawn["kappa"].to_numpy(float), drawn["score"].to_numpy(float)
    error = drawn["error"].to_numpy(float)
    figure = figure_of(7.5, 4.4)
    ax = figure.subplots()
    ax.axvline(chosen, color=SECOND, linewidth=1.4, zorder=1, label=f"chosen: {chosen:.3g}")
    if criterion == "evidence":
        label, key = "log evidence", "Bars: Monte Carlo standard error."
        _penalised_curve(ax, kappa, score, drawn["objective"].to_numpy(float), chosen)
        ax.errorbar(
            kappa, score, error, color=ACCENT, linestyle="", elinewidth=1.4, capsize=3, zorder=3
        )
    else:
        label = "log score of predictions left out"
        largest = error.max(initial=0.0)
        key = f"Standard error {largest:.3g}, most of it common to all points."
    ax.plot(*_smooth(kappa, score), color=ACCENT, linewidth=1.6, label=label)
    ax.plot(kappa, score, color=ACCENT, linestyle="", marker="o", markersize=5)
    style(ax, grid="both")
    _strength_axis(ax)
    labels(ax, "strength of the prior: pseudo-observations (logarithmic axis)", label)
    ax.legend(
        fontsize=TEXT_SIZE, labelcolor=INK, facecolor="white", edgecolor="white", framealpha=0.9
    )
    heading(figure, "Strength of the prior", title, f"One fit per point, higher is better. {key}")
    return finish(figure, path)


def _penalised_curve(ax: Axes, kappa: Any, score: Any, objective: Any, chosen: float) -> None:
    """The objective, as high as the score at the chosen strength."""
    if kappa.size:
        objective = objective + np.interp(np.log(chosen), np.log(kappa), score - objective)
    ax.plot(
        *_smooth(kappa, objective), color=MUTED, linewidth=1.2, linestyle="--", zorder=2,
        label="plus log prior of the strength, shifted",
    )  # fmt: skip


def _smooth(kappa: Any, values: Any) -> tuple[Any, Any]:
    """A curve through the points that makes no bumps of its own."""
    if kappa.size < 3:
        return kappa, values
    x = np.linspace(np.log(kappa[0]), np.log(kappa[-1]), 200)
    return np.exp(x), PchipInterpolator(np.log(kappa), values)(x)


def _strength_axis(ax: Axes) -> None:
    """Strengths on a logarithmic axis, written as plain numbers."""
    ax.set_xscale("log")
    ax.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda kappa, _: f"{kappa:g}"))
    ax.xaxis.set_minor_formatter(NullFormatter())
    ax.minorticks_off()
    ax.ticklabel_format(axis="y", useOffset=False)
