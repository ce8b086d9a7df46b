"""Quantile residuals: uniform where the model is right, whatever the response looks like."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.special import betaincinv

from multilogit.plot.style import (
    ACCENT,
    FAINT,
    INK,
    MUTED,
    SECOND,
    SMALL,
    Path,
    figure_of,
    finish,
    heading,
    labels,
    one_line,
    p_text,
    plain,
    style,
)

_ALARM = 0.05
_QUARTILES = (0.25, 0.5, 0.75)
_FEWEST_BINS = 3
_MANY = 500
"""More points than this are drawn as an image."""
_TESTS = {
    "uniformity": "uniformity",
    "dispersion": "dispersion",
    "outliers": "outliers",
    "zeros": "zeros",
    "fitted": "over fitted values",
    "random effects": "random effects normal",
}


def quantile_residuals(
    residuals: pd.DataFrame, tests: pd.DataFrame, title: str = "", path: Path | None = None
) -> Figure:
    """Quantile–quantile plot, residuals over predictions, and the tests; a row per category.

    Parameters
    ----------
    residuals
        Columns ``category``, ``u`` (uniform under the model), ``fitted``.
    tests
        Columns ``test``, ``of`` (a category, or a grouping factor), ``p_value``.
    title
        Line of the heading, such as the formula.
    path
        File to write; the format follows its extension.

    Returns
    -------
    Figure
        Left: ordered residuals against uniform quantiles, with the band that holds each of
        them with probability 95 %. Right: residuals over the rank of the predicted probability,
        with their quartiles, which should be level at ¼, ½, ¾. The heading says whether any
        test, corrected for their number, finds a deviation.
    """
    categories = list(dict.fromkeys(residuals["category"]))
    figure = figure_of(9.6, 1.5 + 3.6 * len(categories))
    axes = figure.subplots(len(categories), 2, squeeze=False)
    for (left, right), category in zip(axes, categories, strict=True):
        mine = residuals[residuals["category"] == category].dropna(subset=["u", "fitted"])
        _uniform(left, mine["u"].to_numpy(float), category, len(categories) > 1)
        _over_fitted(right, mine["u"].to_numpy(float), mine["fitted"].to_numpy(float), category)
        _p_values(left, tests[tests["of"] == category])
    others = tests[~tests["of"].isin(categories)]
    key = (
        "If the model is right, points follow the diagonal within the band (left), and are spread "
        "evenly at every height, their quartiles (orange) level (right)."
    )
    effects = "; ".join(
        f"random effects of {one_line(row.of)} normal: {p_text(row.p_value)}"
        for row in others.itertuples()
    )
    heading(figure, _verdict(tests), title, key, effects)
    return finish(figure, path)


def _verdict(tests: pd.DataFrame) -> str:
    """What the tests say together: Bonferroni's correction for their number."""
    known = tests.dropna(subset=["p_value"])
    found = known[known["p_value"] * len(known) < _ALARM]
    if not len(found):
        return "Quantile residuals: no deviation from the model is found"
    named = ", ".join(
        dict.fromkeys(one_line(f"{row.test} ({p_text(row.p_value)})") for row in found.itertuples())
    )
    return f"Quantile residuals deviate from the model: {named}"


def _uniform(ax: Axes, u: Any, category: str, named: bool) -> None:
    """Ordered residuals against their expectations; the k-th is Beta(k, n + 1 − k)."""
    n = u.size
    k = np.arange(1, n + 1)
    grid = k if n <= 400 else np.unique(np.round(np.linspace(1, n, 400)).astype(int))
    low, high = (betaincinv(grid, n + 1 - grid, q) for q in (0.025, 0.975))
    ax.fill_between(grid / (n + 1), low, high, color=FAINT, alpha=0.5, linewidth=0, zorder=1)
    ax.plot([0, 1], [0, 1], color=INK, linewidth=1.0, zorder=2)
    ax.plot(
        k / (n + 1), np.sort(u), color=ACCENT, linestyle="", marker="o", zorder=3,
        markersize=3.5 if n < 300 else 2, rasterized=n > _MANY,
    )  # fmt: skip
    style(ax, grid="both")
    _square(ax)
    labels(
        ax, "expected quantile (uniform)", "quantile residual",
        f"{plain(category)}: distribution" if named else "Distribution",
    )  # fmt: skip


def _p_values(ax: Axes, tests: pd.DataFrame) -> None:
    text = "\n".join(
        f"{_TESTS.get(row.test, row.test)}: {p_text(row.p_value)}" for row in tests.itertuples()
    )
    ax.text(
        0.98, 0.03, text, transform=ax.transAxes, ha="right", va="bottom", fontsize=SMALL,
        color=INK, bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 2},
        zorder=4,
    )  # fmt: skip


def _over_fitted(ax: Axes, u: Any, fitted: Any, category: str) -> None:
    order = np.argsort(fitted, kind="stable")
    rank = _ranks(fitted[order])
    u = u[order]
    n = u.size
    ax.plot(
        rank, u, color=ACCENT, linestyle="", marker="o", markersize=3.5 if n < 300 else 2,
        alpha=0.8 if n < 300 else max(0.06, min(0.5, 1000 / n)), rasterized=n > _MANY, zorder=2,
        markeredgewidth=0,
    )  # fmt: skip
    centre, quartiles = _bins(rank, u)
    for q, values in zip(_QUARTILES, quartiles.T, strict=True):
        ax.axhline(q, color=INK, linewidth=1.0, linestyle="--", zorder=3)
        ax.plot(centre, values, color=SECOND, linewidth=2.0, zorder=4)
    style(ax, grid="y")
    _square(ax)
    labels(
        ax, f"predicted probability of {plain(category, 24)} (rank, lowest to highest)",
        "quantile residual",
        "Over predictions" + (", with quartiles" if centre.size else ""),
    )  # fmt: skip


def _ranks(ordered: Any) -> Any:
    """Ranks in (0, 1) of sorted values; equal ones share the mean of theirs."""
    _, first, counts = np.unique(ordered, return_index=True, return_counts=True)
    return np.repeat((first + counts / 2) / ordered.size, counts)


def _bins(rank: Any, u: Any) -> tuple[Any, Any]:
    """Quartiles of the residuals in bins of about equally many rows; none of too few rows."""
    wanted = int(np.clip(u.size // 40, 1, 12))
    if wanted < _FEWEST_BINS:
        return np.empty(0), np.empty((0, len(_QUARTILES)))
    place = np.minimum((rank * wanted).astype(int), wanted - 1)
    used = [place == k for k in range(wanted) if (place == k).sum() >= 8]
    centre = np.array([rank[chosen].mean() for chosen in used])
    quartiles = np.array([np.quantile(u[chosen], _QUARTILES) for chosen in used])
    return centre, quartiles.reshape(len(used), len(_QUARTILES))


def _square(ax: Axes) -> None:
    ax.set_xlim(-0.02, 1.02)
    ax.set_ylim(-0.02, 1.02)
    ax.set_xticks([0, 0.25, 0.5, 0.75, 1], labels=["0", "¼", "½", "¾", "1"])
    ax.set_yticks([0, 0.25, 0.5, 0.75, 1], labels=["0", "¼", "½", "¾", "1"])
    ax.tick_params(colors=MUTED)
