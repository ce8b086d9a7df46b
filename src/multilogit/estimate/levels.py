"""Single-level models with a factor of very many levels, which has no columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from multilogit.data.model_frame import Column, Levels, ModelFrame
from multilogit.errors import DataError, OptionError
from multilogit.estimate.estimate import Estimate
from multilogit.estimate.options import Options
from multilogit.estimate.rank import split_within
from multilogit.estimate.single import single_maximum
from multilogit.evaluation import Matrix, Vector
from multilogit.likelihood.levels import LevelModes, LevelsLikelihood

_INTERCEPT = "(Intercept)"


@dataclass(frozen=True, slots=True)
class LevelsEstimate:
    """A maximum of the likelihood.

    Attributes
    ----------
    estimate
        β̂ of the kept columns; the Hessian is that of the profile likelihood.
    kept, aliased
        Indices of the columns of X that have a coefficient in β, and of those that depend on
        others or are constant within levels. The intercept is in neither.
    modes
        Of all levels; α̂ = ±∞ without information where all outcomes of a level are the same.
    at_zero
        −ℓ″ of β at β = 0.
    """

    estimate: Estimate
    kept: tuple[int, ...]
    aliased: tuple[int, ...]
    modes: LevelModes
    at_zero: Matrix

    @property
    def signs(self) -> NDArray[np.int8]:
        """Of infinite intercepts; 0: finite."""
        infinite = np.isinf(self.modes.alpha)
        return np.where(infinite, np.sign(self.modes.alpha), 0.0).astype(np.int8)


def estimate_levels(frame: ModelFrame, options: Options) -> LevelsEstimate:
    """The maximum of a binomial likelihood with one intercept per level.

    A level whose outcomes are all 0 or all 1 has its maximum at infinity, whatever β is: there it
    contributes nothing to the likelihood, and the others are estimated without it.

    Raises
    ------
    DataError
        A level without an observation; no level with both outcomes.
    OptionError
        Start values by regression.
    """
    levels = frame.fixed.levels
    assert levels is not None
    if options.start == "ols":
        raise OptionError(f"start='ols' is not available with the many levels of {levels.term!r}.")
    counts, trials = frame.response.weighted()
    y = counts[:, 0]
    infinite = _infinite(levels, y, trials)
    columns = [k for k, name in enumerate(frame.fixed.names) if name != _INTERCEPT]
    x = [frame.fixed.columns[k] for k in columns]
    likelihood, kept = _likelihood(x, y, trials, frame.offset, levels, infinite, options)
    estimate = single_maximum(likelihood, None, options)
    modes = _of_all(likelihood.modes(estimate.solution.psi), infinite)
    return LevelsEstimate(
        estimate,
        tuple(columns[k] for k in kept),
        tuple(k for j, k in enumerate(columns) if j not in kept),
        modes,
        -likelihood.at_zero.hessian,
    )


def _infinite(levels: Levels, y: Column, trials: Column) -> Vector:
    """Shape ``(levels,)``: −1 where there are failures only, 1 where there are successes only."""
    n_levels = len(levels.names)
    totals = np.bincount(levels.codes, trials, n_levels)
    successes = np.bincount(levels.codes, y, n_levels)
    if not (totals > 0.0).all():
        empty = levels.names[int(np.argmin(totals))]
        raise DataError(
            f"{empty!r} has no coefficient: all its rows have weight or trials 0. Remove them."
        )
    infinite = np.where(successes <= 0.0, -1.0, np.where(successes >= totals, 1.0, 0.0))
    if infinite.all():
        raise DataError(
            f"In every level of {levels.term!r} all outcomes are the same: nothing can be "
            "estimated. Merge levels, or use random effects."
        )
    return infinite


def _likelihood(
    x: Sequence[Column],
    y: Column,
    trials: Column,
    offset: Column | None,
    levels: Levels,
    infinite: Vector,
    options: Options,
) -> tuple[LevelsLikelihood, list[int]]:
    """The likelihood of the levels with both outcomes, and the columns that are in it."""
    codes = levels.codes
    if infinite.any():
        finite = infinite == 0.0
        used = finite[codes]
        codes = (np.cumsum(finite) - 1).astype(np.int32)[codes[used]]
        x, y, trials = [column[used] for column in x], y[used], trials[used]
        offset = None if offset is None else offset[used]
    n_levels = int(np.count_nonzero(infinite == 0.0))
    likelihood = LevelsLikelihood(x, y, trials, codes, n_levels, offset, options.threads)
    kept = split_within(likelihood, x, trials, codes)
    if len(kept) < len(x):
        x = [x[k] for k in kept]
        likelihood = LevelsLikelihood(x, y, trials, codes, n_levels, offset, options.threads)
    return likelihood, kept


def _of_all(modes: LevelModes, infinite: Vector) -> LevelModes:
    """The modes of all levels, those at infinity included."""
    if not infinite.any():
        return modes
    finite = infinite == 0.0
    alpha, information = np.copysign(np.inf, infinite), np.zeros(finite.size)
    slopes = np.full((finite.size, modes.slopes.shape[1]), np.nan)
    alpha[finite], information[finite], slopes[finite] = (
        modes.alpha, modes.information, modes.slopes,
    )  # fmt: skip
    return LevelModes(alpha, information, slopes)
