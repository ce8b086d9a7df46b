"""``fit.plot``: the plots of a fit."""

from __future__ import annotations

from dataclasses import dataclass
from os import PathLike
from typing import Any

import pandas as pd

from multilogit.errors import OptionError
from multilogit.extras import require
from multilogit.result.parts import effects_of
from multilogit.result.tables import Tables


@dataclass(frozen=True, slots=True)
class Plots:
    """The plots of a fit: ``fit.plot.coefficients()`` and so on.

    Every method returns a matplotlib ``Figure``, which a notebook shows, and writes it to
    ``path`` where one is given. All raise :class:`multilogit.extras.MissingExtraError` without
    matplotlib.
    """

    fit: Tables

    def random_effects(
        self, path: str | PathLike[str] | None = None, *, group: str | None = None
    ) -> Any:
        """Caterpillar plot: conditional modes, sorted, with 95 % intervals, a panel per effect.

        ``group`` chooses one of several grouping factors. Raises ``OptionError`` if there is
        no such factor.
        """
        table = self.fit.random_effects(effects_of(self.fit.random, group).group)
        return _plot_module().caterpillar(table, title=self._about(), path=path)

    def coefficients(self, path: str | PathLike[str] | None = None, *, level: float = 0.95) -> Any:
        """Forest plot: fixed effects without intercepts, with intervals of level ``level``."""
        table = self.fit.tidy(level)
        if "effect" in table:
            table = table[table["effect"] == "fixed"]
        return _plot_module().forest(table, level=level, title=self._about(), path=path)

    def trace(self, path: str | PathLike[str] | None = None) -> Any:
        """Convergence: gradient norm, Newton decrement and objective by iteration."""
        return _plot_module().convergence(self.fit.trace, title=self._about(), path=path)

    def evidence(self, path: str | PathLike[str] | None = None) -> Any:
        """Log evidence, or score of predictions left out, against the strength of the prior.

        One point per strength that was tried, with its standard error; the chosen one is
        marked. Raises ``OptionError`` if the strength was not chosen from the data.
        """
        curve = self.fit.evidence
        if curve is None:
            raise OptionError(
                "The strength of this fit was not chosen from the data; fit with "
                "prior=ml.RelativeEntropy(strength='auto'), or 'cv'."
            )
        columns = ["kappa", "score", "error", "objective"]
        table = pd.DataFrame({name: getattr(curve, name) for name in columns})
        return _plot_module().strength_curve(
            table, curve.chosen, curve.criterion, title=self._about(), path=path
        )

    def _about(self) -> str:
        return self.fit.spec.formula


def _plot_module() -> Any:
    """The plotting room, loaded when a plot is asked for: matplotlib is an optional extra."""
    return require("multilogit.plot", needs="matplotlib", extra="plot", purpose="Plots")
