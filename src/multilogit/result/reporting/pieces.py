"""What all sections use: the state of a report, pictures, tables, what cannot be shown."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from multilogit.errors import MultilogitError
from multilogit.extras import require
from multilogit.page.document import Block, Finding, Picture, Table
from multilogit.report import numbers
from multilogit.result.assessment.findings import ResidualTests
from multilogit.result.methods import Methods
from multilogit.result.pictures.plots import Plots

_SIMULATIONS = 999


@dataclass
class Reporter:
    """A fit and what its report has found out so far.

    Attributes
    ----------
    fit
        The fit.
    new
        Other data to check it on; None: its own.
    level
        Confidence level of all intervals.
    seed
        Of simulated residuals.
    profile
        Whether likelihood profiles are drawn.
    tests
        Tests of the residuals, once they are made.
    """

    fit: Methods
    new: object
    level: float
    seed: int
    profile: bool
    tests: ResidualTests | None = field(default=None)

    def test_residuals(self) -> ResidualTests:
        """Their tests, made once; so many simulations that a p-value can be small enough."""
        if self.tests is None:
            made = self.fit.residual_tests(n_simulations=_SIMULATIONS, seed=self.seed)
            self.tests = made
        return self.tests

    @property
    def plot(self) -> Plots:
        """The pictures."""
        return Plots(self.fit)

    @property
    def y(self) -> str | None:
        """The response of the new data: their column of the same name."""
        return None if self.new is None else self.fit.labels.response

    @property
    def where(self) -> str:
        """The data of the checks, in words."""
        return "the data of the fit" if self.new is None else "the data that the report was given"

    def attempt(self, what: str, make: Callable[[], Iterable[Block]]) -> tuple[Block, ...]:
        """The blocks, or a note that says why they are not there."""
        try:
            return tuple(make())
        except MultilogitError as error:
            return (Finding("note", f"Not shown: {what}", str(error)),)


def picture(figure: Any, alt: str) -> Picture:
    """A matplotlib figure for the page."""
    svg, width = plot_module().as_svg(figure)
    return Picture(svg, alt, width)


def plot_module() -> Any:
    """The plotting room; matplotlib is an optional extra."""
    return require("multilogit.plot", needs="matplotlib", extra="plot", purpose="Reports")


def table(
    header: Sequence[str], columns: Sequence[Sequence[str]], left: int = 1, caption: str = ""
) -> Table:
    """A table from its columns."""
    return Table(tuple(header), tuple(zip(*columns, strict=True)), left, caption)


def texts(values: Iterable[object]) -> list[str]:
    """Names; nothing for what is missing."""
    return ["" if value is None or value != value else str(value) for value in values]


def column(values: Any, digits: int = 4) -> list[str]:
    """Numbers with common decimals; unknown ones are a dash, infinite ones a symbol."""
    shown = numbers.column(np.asarray(values, dtype=float).tolist(), digits)
    symbols = {"NA": "–", "Inf": "∞", "-Inf": "−∞"}
    return [symbols.get(text, text.replace("-", "−")) for text in shown]


def with_error(data: pd.DataFrame) -> list[list[str]]:
    """Estimates, standard errors and intervals, row by row to two digits of the error."""
    named = ["estimate", "se", "lower", "upper"]
    shown = [_to_error(*map(float, row)) for row in data[named].itertuples(index=False)]
    return [list(texts) for texts in zip(*shown, strict=True)]


def _to_error(estimate: float, se: float, low: float, high: float) -> tuple[str, str, str]:
    known = np.isfinite(se) and se > 0.0
    decimals = int(np.clip(1 - np.floor(np.log10(se)), 0, 12)) if known else 3
    a, b, c, d = (
        f"{x:.{decimals}f}".replace("-", "−") if np.isfinite(x) else "–"
        for x in (estimate, se, low, high)
    )
    return a, b, f"{c} to {d}"


def p_values(values: Any) -> list[str]:
    """P-values to three decimals."""
    return ["–" if np.isnan(p) else "<0.001" if p < 0.001 else f"{p:.3f}" for p in values]


def limits(data: pd.DataFrame, low: str = "lower", high: str = "upper") -> list[str]:
    """Intervals; a dash where there is none."""
    low_text, high_text = column(data[low], 3), column(data[high], 3)
    return [
        "–" if a == b == "–" else f"{a} to {b}" for a, b in zip(low_text, high_text, strict=True)
    ]


def percent(share: float) -> str:
    """A share in words."""
    return f"{100 * share:.1f} %"


def count(n: float) -> str:
    """A whole number with thin spaces between thousands."""
    return f"{n:,.10g}".replace(",", "\u202f")


def code(name: object) -> str:
    """A name as code, which has no backtick in it."""
    return "`" + str(name).replace("`", "'") + "`"
