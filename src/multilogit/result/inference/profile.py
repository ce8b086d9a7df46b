"""Profile likelihood of a fit: tables, intervals of any level."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from multilogit.errors import OptionError
from multilogit.inference.profile import Curve, End, interval
from multilogit.inference.wald import critical_value
from multilogit.progress import Progress, Show
from multilogit.result.fields.measures import Measures
from multilogit.result.inference.parameters import Parameter
from multilogit.result.inference.profile_coordinates import curves

_MEANING: dict[End, str] = {
    "reached": "found",
    "boundary": "the range of the parameter ends inside the interval",
    "infinite": "the interval has no end",
    "higher": "a higher maximum was found: the fit is not at the highest",
    "failed": "the maximum of the other parameters was not found",
    "interrupted": "interrupted",
    "undefined": "a correlation with an effect of variance 0 is not defined",
}


@dataclass(frozen=True, eq=False, repr=False)
class Profile:
    """The profile of the objective Q (without a prior: of the log-likelihood) in each parameter.

    The signed root ζ(c) = sign(c − ĉ) √(2 (Q̂ − max Q at c)) is a straight line where the Wald
    interval is right. |ζ| ≤ 1.96 is the 95 % interval.

    Attributes
    ----------
    curves
        For each parameter its points: ``c``, ``zeta``, ``slope`` (dζ/dc), and ``ends``: why it
        ends where it does.
    estimates
        For each parameter its estimate.
    level
        The highest level of an interval that can be asked for.
    penalised
        Whether Q has a prior in it.
    """

    curves: Mapping[str, Curve]
    estimates: Mapping[str, float]
    level: float
    penalised: bool

    @property
    def complete(self) -> bool:
        """False if an interrupt ended a curve before its end."""
        return not any("interrupted" in curve.ends for curve in self.curves.values())

    def confint(self, level: float = 0.95) -> pd.DataFrame:
        """Profile-likelihood intervals {c : |ζ(c)| ≤ z}.

        Returns
        -------
        DataFrame
            Index: parameters. Columns ``lower``, ``upper``: 0, −1 or 1 where the profile of a
            standard deviation or correlation stays inside up to the end of its range; ±inf
            where there is no end at any distance; NaN where none was found, see
            :meth:`ends`.

        Raises
        ------
        OptionError
            If ``level`` is not between 0 and 1, or higher than the profile's.
        """
        z = critical_value(level)
        if level > self.level + 1e-12:
            raise OptionError(
                f"level={level}: this profile goes to {self.level}; use "
                f"fit.profile(levels=[{level}])."
            )
        rows = [interval(curve, z) for curve in self.curves.values()]
        return pd.DataFrame(rows, index=list(self.curves), columns=["lower", "upper"])

    def table(self) -> pd.DataFrame:
        """All points: columns ``parameter``, ``value``, ``zeta``, ``slope`` (dζ/dvalue)."""
        parts = [
            pd.DataFrame(
                {"parameter": name, "value": curve.c, "zeta": curve.zeta, "slope": curve.slope}
            )
            for name, curve in self.curves.items()
        ]
        return pd.concat(parts, ignore_index=True)

    def ends(self) -> pd.DataFrame:
        """Why each side ends: columns ``lower``, ``upper``, words for each parameter."""
        rows = [[_MEANING[end] for end in curve.ends] for curve in self.curves.values()]
        return pd.DataFrame(rows, index=list(self.curves), columns=["lower", "upper"])

    def __repr__(self) -> str:
        """Intervals of the usual level."""
        level = min(0.95, self.level)
        return f"<Profile of {len(self.curves)} parameters>\n{self.confint(level)}"


def profile_of(
    fit: Measures,
    parameters: Sequence[Parameter],
    levels: Sequence[float],
    progress: Show = False,
) -> Profile:
    """The profile of some parameters, exact at these levels.

    Raises
    ------
    OptionError
        If a level is not between 0 and 1, or there is nothing to profile around.
    """
    targets = sorted(critical_value(level) for level in levels)
    if not targets:
        raise OptionError("levels is empty: give confidence levels such as [0.95].")
    with Progress("Profile", len(parameters), progress) as bar:
        bar.done = -1  # the first call comes before anything is done
        found = curves(fit, parameters, targets, lambda label: bar.advance(1, label))
    estimates = {each.label: each.estimate for each in parameters if each.label in found}
    return Profile(found, estimates, float(max(levels)), fit.penalised)
