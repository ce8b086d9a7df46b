"""What all pictures have in common: colours, headings, axes, files.

No pyplot: no global state, no window; a notebook shows the figure that a call returns.
"""

from __future__ import annotations

import io
import re
import textwrap
from collections.abc import Sequence
from os import PathLike
from typing import Any, Literal

import numpy as np
from matplotlib import font_manager
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from multilogit.errors import OptionError
from multilogit.paths import as_path, writing

Path = str | PathLike[str]

INK = "#22303c"
MUTED = "#5b6873"
FAINT = "#b4bdc5"
GRID = "#e4e8ec"
# Okabe and Ito's colours, which differ for every kind of colour vision and in grey; their yellow
# is too light for lines. Markers differ as well.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", INK)
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
ACCENT, SECOND = PALETTE[:2]

TITLE_SIZE, TEXT_SIZE, SMALL = 12.5, 9.0, 8.0
_LONGEST = 44
_MARGIN = 0.1
"""Of the heading, inches."""


_FALLBACKS = (
    *("Noto Sans CJK JP", "Noto Sans CJK SC", "Noto Sans CJK KR", "Source Han Sans"),
    *("Hiragino Sans", "PingFang SC", "Apple SD Gothic Neo", "Yu Gothic", "Microsoft YaHei"),
    *("Malgun Gothic", "WenQuanYi Zen Hei", "IPAGothic", "Droid Sans Fallback"),
    *("Noto Sans Devanagari", "Nirmala UI", "Noto Sans Thai", "Noto Sans Hebrew"),
)
"""Fonts for letters that matplotlib's own does not have, where they are installed."""

_OTHER_SCRIPTS = re.compile("[\u0900-\u1dff\u2e80-\U0010ffff]")


class Plot(Figure):
    """A matplotlib ``Figure`` that shows itself in a notebook, whatever the backend."""

    def _repr_png_(self) -> bytes:
        with_fonts(self)
        buffer = io.BytesIO()
        self.savefig(buffer, format="png", dpi=110)
        return buffer.getvalue()


def figure_of(width: float, height: float) -> Plot:
    """An empty white figure; sizes in inches."""
    return Plot(figsize=(width, height), layout="constrained", facecolor="white")


def panels(
    n: int, columns: int, size: tuple[float, float], head: float = 1.0, **shared: Any
) -> tuple[Plot, list[Axes]]:
    """A figure of n panels of equal size, row by row, with room for a heading.

    Parameters
    ----------
    n
        Number of panels.
    columns
        At most so many side by side.
    size
        Width and height of a panel, inches.
    head
        Height above the panels, inches.
    **shared
        ``sharex``, ``sharey`` as in ``Figure.subplots``.
    """
    columns = min(n, columns)
    rows = -(-n // columns)
    figure = figure_of(max(5.6, size[0] * columns), size[1] * rows + head)
    axes = list(figure.subplots(rows, columns, squeeze=False, **shared).flat)
    for unused in axes[n:]:
        unused.remove()
    return figure, axes[:n]


def style(ax: Axes, grid: Literal["x", "y", "both"] = "x") -> None:
    """Grid lines instead of a frame."""
    for side in ("top", "right", "left", "bottom"):
        ax.spines[side].set_visible(False)
    ax.grid(axis=grid, color=GRID, linewidth=0.8)
    ax.set_axisbelow(True)
    ax.tick_params(colors=INK, labelsize=TEXT_SIZE, length=0)


def labels(ax: Axes, x: str = "", y: str = "", title: str = "") -> None:
    """Names of the axes and of the panel."""
    ax.set_xlabel(x, color=INK, fontsize=TEXT_SIZE)
    ax.set_ylabel(y, color=INK, fontsize=TEXT_SIZE)
    if title:
        ax.set_title(title, loc="left", fontsize=10.5, color=INK)


def heading(figure: Figure, title: str, *lines: str) -> None:
    """A bold title and muted lines below it at the left edge, above the room of the axes.

    Lines that are too long are broken. Dollars are dollars, here without :func:`plain`.
    """
    width, height = figure.get_size_inches()
    shown = [
        part
        for line in lines
        if line
        for part in textwrap.wrap(one_line(line, 2000), int(width * 14.5), break_on_hyphens=False)
    ]
    titles = textwrap.wrap(title, int(width * 9.2)) or [""]
    top = 0.12
    for text, size, step, weight, colour in (
        *((t, TITLE_SIZE, 0.25, "bold", INK) for t in titles),
        *((t, TEXT_SIZE, 0.185, "normal", MUTED) for t in shown),
    ):
        figure.text(
            _MARGIN / width, 1 - top / height, text,
            ha="left", va="top", fontsize=size, fontweight=weight, color=colour,
            parse_math=False,
        )  # fmt: skip
        top += step
    edge = 0.05 / width
    figure.set_layout_engine(
        "constrained", rect=(edge, 0, 1 - 2 * edge, 1 - (top + 0.08) / height), w_pad=0.06
    )


def with_fonts(figure: Figure) -> None:
    """Let every text of a figure find its letters: users' names are in any script."""
    for ax in figure.axes:  # names of ticks are made when they are asked for
        ax.get_xticklabels(), ax.get_yticklabels()
    texts = [text for text in figure.findobj(Text) if _OTHER_SCRIPTS.search(text.get_text())]
    if not texts:
        return
    installed = set(font_manager.get_font_names())
    family = ["sans-serif", *(name for name in _FALLBACKS if name in installed)]
    for text in texts:
        text.set_fontfamily(family)


def legend(ax: Axes, handles: Sequence[Any], names: Sequence[object], **options: Any) -> None:
    """A legend without a frame."""
    chosen: dict[str, Any] = {"frameon": False, "fontsize": TEXT_SIZE, "labelcolor": INK}
    made = ax.legend(handles, [plain(name) for name in names], **(chosen | options))
    made.get_title().set_color(INK)
    made.get_title().set_fontsize(TEXT_SIZE)


def finish(figure: Figure, path: Path | None) -> Figure:
    """Write the figure where a path is given.

    Raises
    ------
    OptionError
        If it is no path, or its extension is not that of a picture.
    InputError
        If the file cannot be written.
    """
    if path is None:
        return figure
    known = figure.canvas.get_supported_filetypes()
    target = as_path(path)
    if target.suffix[1:].lower() not in known:
        raise OptionError(
            f"{str(target)!r}: give a name that ends in .png, .svg or .pdf; the format follows it."
        )
    with_fonts(figure)
    with writing(target):
        figure.savefig(target, dpi=150)
    return figure


def plain(text: object, longest: int = _LONGEST) -> str:
    """A user's name for a label, as it is: no mathematics between dollars, one line."""
    shown = one_line(text, longest)
    if shown.startswith("_"):  # matplotlib would leave it out of legends
        shown = f" {shown}"
    return shown.replace("$", r"\$")


def one_line(text: object, longest: int = _LONGEST) -> str:
    """Printable characters on one line, not too many."""
    shown = "".join(c if c.isprintable() else " " for c in str(text))
    return shown if len(shown) <= longest else f"{shown[: longest - 1]}…"


def colour_of(k: int) -> str:
    """Colour of the k-th series."""
    return PALETTE[k % len(PALETTE)]


def marker_of(k: int) -> str:
    """Marker of the k-th series."""
    return MARKERS[k % len(MARKERS)]


def percent(level: float) -> str:
    """A confidence level in words."""
    return f"{100 * level:g} %"


def number(x: float) -> str:
    """A number with as many decimals as a reader needs; infinity as a symbol."""
    if not np.isfinite(x):
        return "?" if np.isnan(x) else ("∞" if x > 0 else "−∞")
    size = abs(x)
    if size and not 1e-3 <= size < 1e5:
        return f"{x:.1e}".replace("-", "−")
    decimals = 0 if size >= 1000 else (1 if size >= 100 else (2 if size >= 0.1 or not size else 4))
    return f"{x:.{decimals}f}".replace("-", "−")


def interval_text(estimate: float, low: float, high: float) -> str:
    """``0.77  [0.45, 1.10]``, with as many decimals as the width of the interval deserves."""
    width = high - low
    if not np.isfinite(width) or width <= 0.0 or width > 1e4:
        ends = "" if np.isnan(low) or np.isnan(high) else f"  [{number(low)}, {number(high)}]"
        return number(estimate) + ends
    decimals = min(max(2, 1 - int(np.floor(np.log10(width)))), 8)
    shown = (f"{x:.{decimals}f}".replace("-", "−") for x in (estimate, low, high))
    return "{}  [{}, {}]".format(*shown)


def p_text(p: float) -> str:
    """A p-value in words."""
    if np.isnan(p):
        return "p unknown"
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}" if p < 0.1 else f"p = {p:.2f}"


def plain_log_axis(ax: Axes, which: Literal["x", "y"] = "x") -> None:
    """A logarithmic axis with plain numbers: 0.5, 1, 2, 5."""
    axis = ax.xaxis if which == "x" else ax.yaxis
    (ax.set_xscale if which == "x" else ax.set_yscale)("log")
    low, high = sorted(ax.get_xlim() if which == "x" else ax.get_ylim())
    decades = np.log10(high / low)
    few: Sequence[float] = (1.0, 2.0, 5.0) if decades < 3 else (1.0,)
    many = (1.0, 1.5, 2.0, 3.0, 5.0, 7.0)
    axis.set_major_locator(LogLocator(subs=many if decades < 1.0 else few))
    axis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
    axis.set_minor_formatter(NullFormatter())
    ax.minorticks_off()
