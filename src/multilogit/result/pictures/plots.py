"""``fit.plot``: the pictures of a fit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from typing import Any

import pandas as pd

from multilogit.assess.simulation import Level as SimulationLevel
from multilogit.errors import OptionError
from multilogit.extras import require
from multilogit.margins.grid import Others
from multilogit.predict import Level, NewGroups
from multilogit.predict.tangent import Scale
from multilogit.progress import Show
from multilogit.result.assessment.findings import ResidualTests
from multilogit.result.fields.random_effects import effects_of
from multilogit.result.inference.methods import PROFILE_LEVELS
from multilogit.result.methods import Methods
from multilogit.result.pictures.effect_tables import effect_tables
from multilogit.result.prediction.margins import MarginsRequest

Path = str | PathLike[str]

_OF_WHOM: dict[str, str] = {
    "population": "For a typical group, whose random effects are 0.",
    "marginal": "Averaged over groups: random effects integrated out.",
    "conditional": "Averaged over the groups of the data, at their random effects.",
}
_OF_WHAT: dict[str, str] = {
    "observed": "All other variables as they are in the data, averaged over its rows.",
    "typical": "All other variables at their mean or most frequent level.",
    "balanced": "All other numbers at their mean, averaged over all combinations of levels.",
}


@dataclass(frozen=True, slots=True)
class Plots:
    """The pictures of a fit: ``fit.plot.coefficients()`` and so on.

    Every method returns a matplotlib ``Figure``, which a notebook shows, and writes it to
    ``path`` where one is given; the format follows its extension (``.png``, ``.svg``, ``.pdf``).
    All raise :class:`multilogit.MissingExtraError` without matplotlib, ``OptionError`` for a
    path of an unknown format and ``InputError`` for one that cannot be written.
    """

    fit: Methods

    def __repr__(self) -> str:
        """Which pictures there are."""
        pictures = [name for name in vars(type(self)) if not name.startswith("_") and name != "fit"]
        return f"<Pictures of {self.fit!r}: {', '.join(f'{name}()' for name in pictures)}>"

    def coefficients(
        self,
        path: Path | None = None,
        *,
        level: float = 0.95,
        odds_ratios: bool = False,
        intercepts: bool = False,
    ) -> Any:
        """Forest plot: fixed effects with Wald intervals, and the numbers.

        Those of a factor of very many levels are left out.

        Parameters
        ----------
        path
            File to write.
        level
            Confidence level.
        odds_ratios
            Draw exp β on a logarithmic axis instead of β.
        intercepts
            Draw the intercepts as well.
        """
        table = self.fit.tidy(level)
        if "effect" in table:
            table = table[table["effect"] == "fixed"]
        if self.fit.levels is not None:
            table = table.iloc[self.fit.levels.shown]
        return _plot_module().forest(
            table, level, self._about(), path, odds_ratios=odds_ratios, intercepts=intercepts
        )

    def random_effects(
        self, path: Path | None = None, *, group: str | None = None, level: float = 0.95
    ) -> Any:
        """Caterpillar plot: conditional modes, sorted, with intervals, a panel per effect.

        ``group`` chooses one of several grouping factors. Intervals are mode ± z sd with the
        conditional standard deviations of :meth:`~multilogit.Fit.random_effects`. Raises
        ``OptionError`` if there is no such factor.
        """
        table = self.fit.random_effects(effects_of(self.fit.random, group).group)
        return _plot_module().caterpillar(table, self._about(), path, level)

    def calibration(
        self,
        path: Path | None = None,
        *,
        bins: int = 10,
        level: Level = "marginal",
        interval: float = 0.95,
        new: object = None,
        y: object = None,
    ) -> Any:
        """Observed shares against predicted probabilities, with the recalibration curve.

        Parameters as in :meth:`multilogit.Fit.calibration`; groups that the fit has not seen
        are predicted as the population. Raises ``DataNotSavedError`` for a loaded fit without
        ``new``.
        """
        new_groups: NewGroups = "error" if new is None else "population"
        made = self.fit.calibration(
            new, y, bins=bins, level=level, interval=interval, new_groups=new_groups
        )
        about = f", {level} probabilities" if self.fit.random else ""
        return _plot_module().calibration(
            made.table, made.line, self._about(), path, interval, about
        )

    def residuals(
        self,
        path: Path | None = None,
        *,
        level: SimulationLevel = "conditional",
        n_simulations: int = 999,
        seed: int = 0,
    ) -> Any:
        """Quantile residuals: their distribution, their quartiles over predictions, and tests.

        Parameters as in :meth:`multilogit.Fit.residual_tests`, whose p-values are shown. Raises
        ``DataNotSavedError`` for a loaded fit.
        """
        tests = self.fit.residual_tests(level=level, n_simulations=n_simulations, seed=seed)
        return self._residuals(tests, path)

    def _residuals(self, tests: ResidualTests, path: Path | None = None) -> Any:
        """The picture of tests that are there already."""
        return _plot_module().quantile_residuals(tests.residuals, tests.table, self._about(), path)

    def profile(
        self,
        path: Path | None = None,
        *,
        parameters: str | Sequence[str] | None = None,
        level: float = 0.95,
        progress: Show = False,
    ) -> Any:
        """Zeta plots: the profile of the likelihood in each parameter, with intervals.

        Parameters
        ----------
        path
            File to write.
        parameters
            Names as in :meth:`multilogit.Fit.confint`; default: all.
        level
            Of the intervals that are marked.
        progress
            Whether to show a bar where the profiles take more than a second.

        Raises
        ------
        OptionError, DataNotSavedError
            As :meth:`multilogit.Fit.profile`.
        """
        levels = sorted({*PROFILE_LEVELS, level})
        made = self.fit.profile(parameters, levels=levels, progress=progress)
        return _plot_module().zeta(
            made.table(), made.estimates, made.confint(level), level, self._about(), path
        )

    def adjusted_predictions(
        self,
        variables: str | Sequence[str] | None = None,
        path: Path | None = None,
        *,
        by: str | Mapping[str, Any] | None = None,
        at: Mapping[str, Any] | None = None,
        level: Level = "population",
        scale: Scale = "response",
        others: Others = "observed",
        interval: float = 0.95,
        points: int = 25,
        new: object = None,
    ) -> Any:
        """Effect plots: predictions over each variable, a line with a band, or points with bars.

        What is drawn are :meth:`multilogit.Fit.adjusted_predictions` over the range of the
        data. Several categories are several colours.

        Parameters
        ----------
        variables
            Columns of the data, one panel each; default: all that the fixed effects read.
        path
            File to write.
        by
            Another variable, whose values are drawn apart: for an interaction. A name, or
            ``{"age": [20, 40]}``; of a name that is a number the 10 %, 50 % and 90 % quantiles.
        at
            Values at which other variables are held, ``{"urban": "Y"}``.
        level, scale, others, interval, new
            As in :meth:`multilogit.Fit.adjusted_predictions`.
        points
            Of the lines.

        Raises
        ------
        OptionError, DataError
            As :meth:`multilogit.Fit.adjusted_predictions`.
        """
        request = MarginsRequest(level, scale, others, interval, at)
        tables = effect_tables(self.fit, variables, by, points, new, request)
        module = _plot_module()
        shown = [
            module.Effect(each.variable, each.table, each.numeric, each.observed, each.title)
            for each in tables
        ]
        of_whom = f"{_OF_WHOM[level]} " if self.fit.random else ""
        several = self.fit.labels.family == "multinomial"
        other = by if isinstance(by, str) else next(iter(by), "") if by else ""
        return module.effects(
            shown,
            self._scale(scale),
            of_whom + _OF_WHAT[others],
            self.fit.labels.response if several else other,
            interval,
            self._about(),
            path,
        )

    def evidence(self, path: Path | None = None) -> Any:
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
            table, curve.chosen, curve.criterion, self._about(), path
        )

    def trace(self, path: Path | None = None) -> Any:
        """Convergence: gradient norm, Newton decrement and objective by iteration."""
        trace, n = self.fit.trace, self.fit.n_iterations
        if self.fit.solution.converged:
            outcome = f"Newton–Raphson converged after {n} iterations"
        else:
            outcome = f"Newton–Raphson did not converge: {self.fit.status.value.replace('_', ' ')}"
        return _plot_module().convergence(trace, self._about(), path, outcome)

    def _about(self) -> str:
        """The formula; first of all whether the fit is not to be trusted."""
        formula = self.fit.spec.formula
        if self.fit.converged:
            return formula
        return f"NOT TO BE TRUSTED, see fit.diagnostics. {formula}"

    def _scale(self, scale: Scale) -> str:
        """Name of the axis of predictions."""
        first, *others = map(str, self.fit.labels.categories)
        if self.fit.labels.family == "multinomial":
            return "probability" if scale == "response" else f"log odds against {first}"
        (success,) = others
        if scale == "link":
            return f"log odds of {success} against {first}"
        response = self.fit.labels.response
        column = all(character.isalnum() or character in "_. " for character in response)
        return f"probability of {response} = {success}" if column else f"probability of {success}"


def _plot_module() -> Any:
    """The plotting room, loaded when a plot is asked for: matplotlib is an optional extra."""
    return require("multilogit.plot", needs="matplotlib", extra="plot", purpose="Plots")
