"""Forest plot: coefficients or odds ratios with confidence intervals."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from multilogit.plot.style import (
    FAINT,
    INK,
    MUTED,
    SMALL,
    Path,
    colour_of,
    figure_of,
    finish,
    heading,
    interval_text,
    labels,
    legend,
    marker_of,
    percent,
    plain,
    plain_log_axis,
    style,
)

_WIDE = 100.0
"""An interval so many times wider than a narrow one, with its estimate in its middle, does not
set the range of the axis: the estimate is infinite, or the data say nothing of it."""
_FURTHEST = 40.0
"""Log odds ratios, larger ones are arrows at the edge."""
_ROW = 0.34
"""Height of one coefficient, inches."""


def forest(
    table: pd.DataFrame,
    level: float = 0.95,
    title: str = "",
    path: Path | None = None,
    *,
    odds_ratios: bool = False,
    intercepts: bool = False,
) -> Figure:
    """Fixed effects with confidence intervals, the numbers written beside them.

    Parameters
    ----------
    table
        Columns ``term``, ``estimate``, ``conf_low``, ``conf_high`` (log odds) and, for several
        logits, ``y_level``.
    level
        Confidence level of the intervals, for the heading.
    title
        Line of the heading, such as the formula.
    path
        File to write; the format follows its extension.
    odds_ratios
        Whether to draw exp β, on a logarithmic axis.
    intercepts
        Whether to draw intercepts as well.

    Returns
    -------
    Figure
        Intervals that exclude "no effect" have filled markers. Ends far outside of what the
        other intervals cover are arrows, so that one separated coefficient does not hide all
        others.
    """
    kept = table if intercepts else table[table["term"] != "(Intercept)"]
    table = kept if len(kept) else table
    terms = list(dict.fromkeys(table["term"]))
    logits = list(dict.fromkeys(table["y_level"])) if "y_level" in table else [None]
    rows = len(terms) * len(logits)
    figure = figure_of(8.0, 1.6 + _ROW * max(len(terms), 0.62 * rows))
    ax = figure.subplots()
    scale = _Scale.of(table, odds_ratios)
    ax.axvline(scale.none, color=INK, linewidth=1.0, zorder=1)
    handles = [_series(ax, table, terms, logits, c, scale) for c in range(len(logits))]
    _axes(ax, terms, scale)
    if logits != [None]:
        place = {"loc": "upper left", "bbox_to_anchor": (0.0, -0.1 - 0.25 / len(terms))}
        legend(ax, handles, logits, title="log odds of", ncols=4, **place)
    what = "Odds ratios" if odds_ratios else "Fixed effects"
    left_out = "" if len(kept) == len(table) and intercepts else " Intercepts are not shown."
    key = (
        f"Estimates and {percent(level)} confidence intervals. Filled: the interval excludes "
        f"{scale.none:g}, no effect."
    )
    heading(figure, what, title, key + left_out)
    return finish(figure, path)


@dataclass(frozen=True, slots=True)
class _Scale:
    """Coefficients or odds ratios, and the range to draw."""

    odds_ratios: bool
    low: float
    high: float

    @classmethod
    def of(cls, table: pd.DataFrame, odds_ratios: bool) -> _Scale:
        """The range that no effect and all intervals need but those that say nothing."""
        value = table[["conf_low", "estimate", "conf_high"]].to_numpy(float)
        value = value[np.isfinite(value).all(axis=1)]
        width = value[:, 2] - value[:, 0]
        if value.size:
            usual = np.quantile(width, 0.25, method="lower")
            value = value[(width <= _WIDE * usual) | (np.abs(value[:, 1]) > width / 10.0)]
        low, high = value.min(initial=0.0), value.max(initial=0.0)
        if odds_ratios:  # beyond these exp says nothing more
            low, high = max(low, -_FURTHEST), min(high, _FURTHEST)
        room = 0.06 * (high - low) or 1.0
        return cls(odds_ratios, low - room, high + room)

    @property
    def none(self) -> float:
        """The value of no effect."""
        return 1.0 if self.odds_ratios else 0.0

    def __call__(self, beta: Any) -> Any:
        return np.exp(beta) if self.odds_ratios else beta

    def clipped(self, beta: Any) -> Any:
        """Inside the axis; an unknown end is not drawn."""
        return self(np.clip(beta, self.low, self.high))


def _series(
    ax: Axes, table: pd.DataFrame, terms: list[Any], logits: list[Any], c: int, scale: _Scale
) -> Any:
    """The coefficients of one logit."""
    part = table if logits == [None] else table[table["y_level"] == logits[c]]
    shift = (c - (len(logits) - 1) / 2) * 0.74 / len(logits)
    colour, marker = colour_of(c), marker_of(c)
    for term, *values in part[["term", "estimate", "conf_low", "conf_high"]].itertuples(
        index=False
    ):
        y = terms.index(term) + shift
        _row(ax, y, np.array(values, float), scale, colour, marker)
    return ax.plot([], [], color=colour, marker=marker, markersize=6, linewidth=2.0)[0]


def _row(ax: Axes, y: float, values: Any, scale: _Scale, colour: str, marker: str) -> None:
    estimate, low, high = values
    known = np.isfinite(estimate) and not (np.isnan(low) or np.isnan(high))
    clear = known and (low > 0.0 or high < 0.0)
    if known:
        ax.hlines(y, scale.clipped(low), scale.clipped(high), color=colour, linewidth=2.0, zorder=2)
        for end, sign in ((low, "<"), (high, ">")):
            if not scale.low <= end <= scale.high:
                ax.plot(scale.clipped(end), y, marker=sign, color=colour, markersize=7, zorder=3)
    if not np.isnan(estimate):
        inside = scale.low <= estimate <= scale.high
        shape = marker if inside else (">" if estimate > 0 else "<")
        ax.plot(
            scale.clipped(estimate), y, marker=shape, markersize=6.5, zorder=4,
            color=colour, markerfacecolor=colour if clear else "white", markeredgewidth=1.5,
        )  # fmt: skip
    with np.errstate(over="ignore"):
        text = interval_text(*map(float, scale(values)))
    ax.annotate(
        text, (1.0, y), xycoords=("axes fraction", "data"), xytext=(8, 0),
        textcoords="offset points", va="center", fontsize=SMALL, color=MUTED,
        annotation_clip=False,
    )  # fmt: skip


def _axes(ax: Axes, terms: list[Any], scale: _Scale) -> None:
    style(ax)
    ax.set_yticks(range(len(terms)), labels=[plain(term) for term in terms])
    ax.set_ylim(len(terms) - 0.5, -0.5)
    for k in range(1, len(terms)):
        ax.axhline(k - 0.5, color=FAINT, linewidth=0.4, alpha=0.6, zorder=0)
    ax.set_xlim(scale(scale.low), scale(scale.high))
    if scale.odds_ratios:
        plain_log_axis(ax)
        labels(ax, "odds ratio per unit, or against the reference level (logarithmic axis)")
    else:
        labels(ax, "coefficient: difference of log odds per unit, or against the reference level")
