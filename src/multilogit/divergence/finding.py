"""Separation of some data in terms of the user's rows and names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from multilogit.data.model_frame import ModelFrame
from multilogit.data.populations import collapse
from multilogit.errors import Diagnostic
from multilogit.estimate import fixed_likelihood, split_aliased
from multilogit.estimate.effects import logit_prefixes
from multilogit.estimate.recession import Recession, find_separation

_MOST_NAMES = 8
"""Coefficients that a message names."""
POSITIVE, NEGATIVE, UNDETERMINED, FINITE = "+inf", "-inf", "infinite, sign not unique", "finite"
LEFT_OPEN = "infinite, sign not determined"


@dataclass(frozen=True, slots=True)
class Finding:
    """A recession cone in terms of the user's rows and names."""

    frame: ModelFrame
    population: NDArray[np.intp]
    """Row of the cone for each row of the frame."""
    recession: Recession
    names: list[str]
    aliased: tuple[str, ...]

    @property
    def _separated(self) -> NDArray[np.bool_]:
        return self.recession.separated[self.population] & self._informative

    @property
    def _informative(self) -> NDArray[np.bool_]:
        return self.frame.response.informative()

    def _numbers(self, mask: NDArray[np.bool_]) -> NDArray[np.int64]:
        rows = self.frame.rows
        return np.flatnonzero(mask).astype(np.int64) if rows is None else rows[mask]

    @property
    def rows(self) -> NDArray[np.int64]:
        """The user's numbers of the rows that are separated."""
        return self._numbers(self._separated)

    @property
    def boundary_rows(self) -> NDArray[np.int64]:
        """Those of the rows that are left."""
        return self._numbers(self._informative & ~self._separated)

    @property
    def trials(self) -> tuple[int, int]:
        """Trials in separated rows, and in all: what a collapsed frame counts as rows."""
        trials = self.frame.response.trials
        return round(float(trials[self._separated].sum())), round(float(trials.sum()))

    def limits(self) -> list[str]:
        """One word for each coefficient."""
        recession = self.recession
        words = np.array([NEGATIVE, UNDETERMINED, POSITIVE], dtype=object)[recession.signs + 1]
        words[recession.left_open] = LEFT_OPEN
        words[~recession.infinite] = FINITE
        return list(words)


def find_separated(frame: ModelFrame) -> Finding:
    """Populations of X alone, aliased columns left out, then the linear programs."""
    counts, trials = frame.response.weighted()
    bare = ModelFrame(
        response=replace(frame.response, counts=counts, trials=trials, weights=None),
        fixed=frame.fixed,
    )
    compact, population = collapse(bare)
    informative = compact.response.trials > 0.0
    used = replace(
        compact,
        response=replace(
            compact.response,
            counts=compact.response.counts[informative],
            trials=compact.response.trials[informative],
        ),
        fixed=replace(compact.fixed, columns=tuple(c[informative] for c in compact.fixed.columns)),
    )
    keep, dropped = split_aliased(fixed_likelihood(used, 1), used.fixed)
    fixed = compact.fixed.keep(keep)
    recession = find_separation(fixed.columns, compact.response.counts, compact.response.trials)
    aliased = tuple(frame.fixed.names[k] for k in dropped)
    return Finding(frame, population, recession, _coefficients(frame, fixed.names), aliased)


def _coefficients(frame: ModelFrame, terms: Sequence[str]) -> list[str]:
    """Coefficient names as in ``Fit.coef``."""
    return [prefix + term for prefix in logit_prefixes(frame) for term in terms]


def separation_error(finding: Finding, multilevel: bool) -> Diagnostic:
    """The diagnostic of a separated fit."""
    limits = dict(zip(finding.names, finding.limits(), strict=True))
    infinite = {name: limit for name, limit in limits.items() if limit != FINITE}
    separated, total = finding.trials
    one = len(infinite) == 1
    kind = finding.recession.kind
    remedy = "Use prior=ml.RelativeEntropy() for finite estimates"
    remedy += "." if multilevel else ", or infinite='freeze' to estimate the others at this limit."
    return Diagnostic(
        "separation",
        "error",
        f"{kind.capitalize()} separation: the maximum likelihood estimate{'' if one else 's'} of "
        f"{_listed(infinite)} {'is' if one else 'are'} infinite. {separated} of {total} "
        f"observations are predicted without error; ml.separation() names the rows.",
        remedy,
        {
            "kind": kind,
            "infinite": infinite,
            "separated": separated,
            "observations": total,
            "direction": dict(
                zip(finding.names, finding.recession.direction.tolist(), strict=True)
            ),
        },
    )


def separation_diagnostic(
    frame: ModelFrame, recession: Recession, severity: Literal["error", "warning"] = "warning"
) -> Diagnostic:
    """The diagnostic for a cone found elsewhere (``infinite="freeze"``).

    Parameters
    ----------
    frame
        The data that ``recession`` was found on, aliased columns dropped.
    recession
        Not an overlap.
    severity
        ``"warning"``: the infinite estimates are reported as such.
    """
    population = np.arange(frame.response.trials.size)
    finding = Finding(frame, population, recession, _coefficients(frame, frame.fixed.names), ())
    return replace(
        separation_error(finding, bool(frame.random)),
        severity=severity,
        remedy="They are reported as infinite, the others at that limit; "
        "prior=ml.RelativeEntropy() gives finite estimates.",
    )


def _listed(infinite: dict[str, str]) -> str:
    """``'NV' (+inf), 'x' (sign not unique)``; the first few of many."""
    shown = [
        f"{name!r} ({limit.removeprefix('infinite, ')})"
        for name, limit in list(infinite.items())[:_MOST_NAMES]
    ]
    more = len(infinite) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more > 0 else "")
