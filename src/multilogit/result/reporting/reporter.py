"""The state of a report: what it has found out so far, pictures, what cannot be shown."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from multilogit.errors import MultilogitError
from multilogit.extras import require
from multilogit.page.document import Block, Finding, Picture
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
    def interval(self) -> str:
        """What columns of intervals are called."""
        return f"{100 * self.level:g} % interval"

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
