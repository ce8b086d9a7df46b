"""Plots (extra ``plot``: matplotlib). Every function takes a table and returns a ``Figure``.

No pyplot: no global state, no window; a notebook shows the figure that a call returns.
"""

from __future__ import annotations

import io
from os import PathLike
from typing import Any, Literal

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter
from scipy.interpolate import PchipInterpolator

from multilogit.inference.wald import critical_value

INK = "#22303c"
MUTED = "#8a97a3"
GRID = "#e4e8ec"
ACCENT = "#1f6feb"
SECOND = "#d1495b"

MAX_LABELS = 80
"""More levels than this are shown without names, on the same height."""


class Plot(Figure):
    """A matplotlib ``Figure`` that shows itself in a notebook, whatever the backend."""

    def _repr_png_(self) -> bytes:
        buffer = io.BytesIO()
        self.savefig(buffer, format="png", dpi=110)
        return buffer.getvalue()


def _figure(width: float, height: float) -> Plot:
    return Plot(figsize=(width, height), layout="constrained", facecolor="white")


def _style(ax: Axes, grid: Literal["x", "both"] = "x") -> None:
    for side in ("top", "right", "left", "bottom"):
        ax.spines[side].set_visible(False)
    ax.grid(axis=grid, color=GRID, linewidth=0.8)
    ax.set_axisbelow(True)
    ax.tick_params(colors=INK, labelsize=9, length=0)


def _heading(figure: Figure, title: str, *subtitles: str) -> None:
    """A bold title and muted lines below it at the left edge, above the room of the axes."""
    width, height = figure.get_size_inches()
    limit = int(width * 13.5)
    lines = [line for line in subtitles if line]
    figure.text(
        0.1 / width, 1 - 0.12 / height, title,
        ha="left", va="top", fontsize=12.5, fontweight="bold", color=INK,
    )  # fmt: skip
    for k, line in enumerate(lines):
        shown = line if len(line) <= limit else line[: limit - 1] + "…"
        y = 1 - (0.40 + 0.19 * k) / height
        figure.text(0.1 / width, y, shown, ha="left", va="top", fontsize=8.8, color=MUTED)
    used = (0.46 + 0.19 * len(lines)) / height
    figure.set_layout_engine("constrained", rect=(0, 0, 1, 1 - used))


def _finish(figure: Figure, path: str | PathLike[str] | None) -> Figure:
    if path is not None:
        figure.savefig(path, dpi=150)
    return figure


def caterpillar(
    table: pd.DataFrame, title: str = "", path: str | PathLike[str] | None = None
) -> Figure:
    """Conditional modes with 95 % intervals, sorted, one panel per effect.

    Parameters
    ----------
    table
        Columns ``group``, ``level``, ``name``, ``mode``, ``sd`` of one grouping factor.
    title
        Second line of the heading, such as the formula.
    path
        File to write; the format follows its extension.

    Returns
    -------
    Figure
        Every panel is sorted by its own modes. Intervals that exclude 0 are coloured.
    """
    names = list(dict.fromkeys(table["name"]))
    group = table["group"].iloc[0]
    n = int((table["name"] == names[0]).sum())
    figure = _figure(max(6.5, 4.3 * len(names)), 1.7 + 0.155 * min(n, MAX_LABELS))
    axes = figure.subplots(1, len(names), squeeze=False)[0]
    for ax, name in zip(axes, names, strict=True):
        _caterpillar_panel(ax, table[table["name"] == name], str(name), str(group))
    key = "Conditional modes with 95 % intervals, sorted. Blue: the interval excludes 0."
    _heading(figure, f"Random effects by {group}", title, key)
    return _finish(figure, path)


def _caterpillar_panel(ax: Axes, table: pd.DataFrame, name: str, group: str) -> None:
    part = table.sort_values("mode")
    mode = part["mode"].to_numpy(float)
    half = critical_value(0.95) * part["sd"].to_numpy(float)
    y = np.arange(mode.size)
    clear = np.abs(mode) > half
    thin = mode.size > MAX_LABELS
    ax.axvline(0.0, color=INK, linewidth=1.0, zorder=1)
    for chosen, colour in ((~clear, MUTED), (clear, ACCENT)):
        ax.hlines(
            y[chosen], (mode - half)[chosen], (mode + half)[chosen],
            color=colour, linewidth=0.6 if thin else 1.4, alpha=0.35 if thin else 0.8, zorder=2,
        )  # fmt: skip
        ax.scatter(
            mode[chosen], y[chosen], s=2 if thin else 16, color=INK if thin else colour, zorder=3
        )
    _style(ax)
    ax.set_ylim(-0.8, mode.size - 0.2)
    labels = [str(level) for level in part["level"]]
    ax.set_yticks([] if thin else y, labels=[] if thin else labels, fontsize=7.5)
    ax.set_ylabel(f"{group} ({mode.size} levels, sorted)" if thin else group, color=INK)
    ax.set_title(name, loc="left", fontsize=10.5, color=INK)
    ax.set_xlabel("deviation from the population (log odds)", color=INK, fontsize=9)


def forest(
    table: pd.DataFrame,
    level: float = 0.95,
    title: str = "",
    path: str | PathLike[str] | None = None,
) -> Figure:
    """Fixed effects with confidence intervals, intercepts left out.

    Parameters
    ----------
    table
        Columns ``term``, ``estimate``, ``conf_low``, ``conf_high`` and, for several logits,
        ``y_level``.
    level
        Confidence level of the intervals, for the title.
    title, path
        As in :func:`caterpillar`.
    """
    table = (
        table[table["term"] != "(Intercept)"] if (table["term"] != "(Intercept)").any() else table
    )
    terms = list(dict.fromkeys(table["term"]))
    logits = list(dict.fromkeys(table["y_level"])) if "y_level" in table else [None]
    figure = _figure(7.5, 1.5 + 0.34 * len(terms) * max(1.0, 0.55 * len(logits)))
    ax = figure.subplots()
    ax.axvline(0.0, color=INK, linewidth=1.0, zorder=1)
    palette = [ACCENT, SECOND, "#2a9d5c", "#b8860b", "#7b4fc9", "#3a7ca5", INK]
    for c, logit in enumerate(logits):
        part = table if logit is None else table[table["y_level"] == logit]
        y = np.array([terms.index(term) for term in part["term"]], float)
        y += (c - (len(logits) - 1) / 2) * 0.7 / len(logits)
        colour = palette[c % len(palette)]
        ax.hlines(y, part["conf_low"], part["conf_high"], color=colour, linewidth=2.0, zorder=2)
        ax.scatter(part["estimate"], y, s=34, color=colour, zorder=3, label=logit)
    _style(ax)
    ax.set_yticks(range(len(terms)), labels=[str(term) for term in terms])
    ax.set_ylim(len(terms) - 0.5, -0.5)
    ax.set_xlabel("coefficient (log odds ratio per unit)", color=INK, fontsize=9)
    if logits != [None]:
        ax.legend(
            title="category", frameon=False, fontsize=9, loc="upper left", bbox_to_anchor=(1.0, 1.0)
        )
    key = f"Estimates with {100 * level:g} % confidence intervals; intercepts are not shown."
    _heading(figure, "Fixed effects", title, key)
    return _finish(figure, path)


def convergence(
    trace: pd.DataFrame, title: str = "", path: str | PathLike[str] | None = None
) -> Figure:
    """How Newton–Raphson converged.

    Parameters
    ----------
    trace
        Columns ``iteration``, ``objective``, ``gradient_norm``, ``decrement``.
    title, path
        As in :func:`caterpillar`.

    Returns
    -------
    Figure
        Left: distance of the objective from its last value. Right: max |gradient| and Newton
        decrement. Logarithmic scales; exact zeros are not drawn.
    """
    figure = _figure(8.6, 3.7)
    left, right = figure.subplots(1, 2)
    x = trace["iteration"].to_numpy()
    gap = (trace["objective"].iloc[-1] - trace["objective"]).to_numpy(float)
    _log_line(left, x, gap, ACCENT, "")
    left.set_title("Log-likelihood still to gain", loc="left", fontsize=10.5, color=INK)
    _log_line(right, x, trace["gradient_norm"].to_numpy(float), ACCENT, "max |gradient|")
    _log_line(right, x, trace["decrement"].to_numpy(float), SECOND, "Newton decrement")
    right.set_title("Distance from the optimum", loc="left", fontsize=10.5, color=INK)
    right.legend(frameon=False, fontsize=9)
    for ax in (left, right):
        _style(ax, grid="both")
        ax.set_xlabel("iteration", color=INK, fontsize=9)
        ax.minorticks_off()
        ax.set_xlim(-0.3, float(x[-1]) + 0.3)
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    key = "One point per iteration; a quadratically convergent iteration falls ever more steeply."
    _heading(figure, "Convergence of Newton-Raphson", title, key)
    return _finish(figure, path)


def strength_curve(
    table: pd.DataFrame,
    chosen: float,
    criterion: Literal["evidence", "cv"],
    title: str = "",
    path: str | PathLike[str] | None = None,
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
    figure = _figure(7.5, 4.4)
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
    _style(ax, grid="both")
    _strength_axis(ax)
    ax.set_ylabel(label, color=INK, fontsize=9)
    ax.legend(fontsize=9, labelcolor=INK, facecolor="white", edgecolor="white", framealpha=0.9)
    _heading(figure, "Strength of the prior", title, f"One fit per point, higher is better. {key}")
    return _finish(figure, path)


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
    ax.set_xlabel("strength: pseudo-observations", color=INK, fontsize=9)


def _log_line(ax: Axes, x: Any, y: Any, colour: str, label: str) -> None:
    positive = np.isfinite(y) & (y > 0.0)
    ax.semilogy(
        x[positive], y[positive], color=colour, marker="o", markersize=5, linewidth=1.6, label=label
    )
