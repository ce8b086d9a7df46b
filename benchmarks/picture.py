"""The picture of the ladders: CPU time against rows, groups, columns, random effects, categories.

``python benchmarks/picture.py [RESULTS.json] [PICTURE.png]``. A filled mark counts; a hollow one
ended more than 1e-6 below the best log-likelihood.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import matplotlib as mpl
from cases import CASES
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from PIL import Image
from report import Result, counts

ROOT = Path(__file__).resolve().parents[1]
PANELS = {
    "rows": "rows\n(random intercepts of groups of 20)",
    "groups": "groups\n(100 000 rows, random intercepts)",
    "columns": "columns\n(100 000 rows, single level)",
    "columns, grouped": "columns\n(20 000 rows, 500 random intercepts)",
    "random effects": "correlated random effects\n(20 000 rows, 1 000 groups)",
    "categories": "categories\n(100 000 rows × 5, single level)",
}
COLOURS = {
    "multilogit": "#c1272d",
    "glmm": "#0072b2",
    "mixedlm": "#56b4e9",
    "gpboost": "#009e73",
    "lme4": "#7b4fa3",
    "glmmTMB": "#cc79a7",
    "glum": "#e69f00",
    "sklearn": "#8c6d1f",
    "statsmodels": "#5a5a5a",
    "nnet": "#d55e00",
}

Results = dict[str, dict[str, Result]]


def draw(results: Results, path: Path) -> None:
    """Write the picture."""
    mpl.use("Agg")
    style = {"font.size": 9, "axes.spines.top": False, "axes.spines.right": False}
    with mpl.rc_context(style):
        figure, axes = plt.subplots(2, 3, figsize=(11.0, 7.2), layout="constrained", sharey=True)
        for axis, (ladder, label) in zip(axes.flat, PANELS.items(), strict=True):
            _panel(axis, ladder, results)
            axis.set_xlabel(label)
        for row in axes:
            row[0].set_ylabel("CPU time, s")
        _legend(figure, results)
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, dpi=100)
        plt.close(figure)
    with Image.open(path) as image:  # few colours make a small file
        image.convert("RGB").quantize(64).save(path, optimize=True)


def _panel(axis: Axes, ladder: str, results: Results) -> None:
    steps = [case for case in CASES if case.ladder == ladder and case.name in results]
    steps.sort(key=lambda case: case.size)
    for engine, colour in COLOURS.items():
        points = [(c.size, results[c.name][engine]) for c in steps if engine in results[c.name]]
        if not points:
            continue
        ours = engine == "multilogit"
        sizes, times = [size for size, _ in points], [run["cpu"] for _, run in points]
        axis.plot(sizes, times, color=colour, lw=2.4 if ours else 1.3, zorder=3 if ours else 2)
        for size, run in points:
            face = colour if counts(run) else "white"
            axis.plot(size, run["cpu"], "o", ms=5.5, mec=colour, mfc=face, zorder=4)
    axis.set_yscale("log")
    axis.grid(axis="y", which="major", color="#e5e5e5", lw=0.7)
    if ladder not in ("random effects", "categories"):
        axis.set_xscale("log")
    if ladder not in ("rows", "groups"):
        sizes = [case.size for case in steps]
        axis.set_xticks(sizes, labels=map(str, sizes))
        axis.minorticks_off()


def _legend(figure: plt.Figure, results: Results) -> None:
    measured = {engine for found in results.values() for engine in found}
    handles = [
        plt.Line2D([], [], color=colour, marker="o", ms=5.5, lw=1.6, label=engine)
        for engine, colour in COLOURS.items()
        if engine in measured
    ]
    handles.append(
        plt.Line2D(
            [], [], color="#333", marker="o", mfc="white", lw=0, label="short of the maximum"
        )
    )
    figure.legend(handles=handles, loc="outside upper center", ncols=6, frameon=False)


if __name__ == "__main__":
    words = [Path(word) for word in sys.argv[1:]]
    source = words[0] if words else ROOT / "benchmarks" / "results.json"
    target = words[1] if len(words) > 1 else ROOT / "docs" / "images" / "benchmarks.png"
    draw(json.loads(source.read_text(encoding="utf-8")), target)
