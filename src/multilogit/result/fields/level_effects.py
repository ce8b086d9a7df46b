"""A factor of very many levels: what was estimated of it, without columns."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from multilogit.errors import OptionError
from multilogit.likelihood.levels import LevelModes

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class LevelEffects:
    """One intercept α_g per level g, and the coefficients that are reported of them.

    Attributes
    ----------
    term
        The factor as the formula has it.
    places
        Shape ``(levels,)``: where the coefficient of each level stands among all coefficients.
    contrasts
        Whether these are (α_0, α_g − α_0), the intercept and treatment contrasts; else α_g.
    modes
        α̂, its information, and its derivatives in the other coefficients β.
    """

    term: str
    places: NDArray[np.intp]
    contrasts: bool
    modes: LevelModes

    @property
    def size(self) -> int:
        """Number of all coefficients."""
        return sum(self.modes.slopes.shape)

    @property
    def others(self) -> NDArray[np.intp]:
        """Shape ``(p,)``: where β stands."""
        return np.setdiff1d(np.arange(self.size), self.places)

    def coefficients(self, beta: Floats) -> Floats:
        """All coefficients, in the order of the formula."""
        alpha, found = self.modes.alpha, np.empty(self.size)
        with np.errstate(invalid="ignore"):  # the reference level may be infinite
            found[self.places] = self._contrasted(alpha)
        found[self.others] = beta
        return found

    def variances(self, covariance: Floats) -> Floats:
        """Their variances, NaN where infinite; ``covariance`` is that of β̂.

        Var(α̂_g) = 1/h_g + s_g'Cov(β̂)s_g, with the derivative s_g of α̂_g in β.
        """
        found = np.empty(self.size)
        s = self._contrasted(self.modes.slopes)
        found[self.places] = self._own() + np.einsum("gk,gk->g", s @ covariance, s)
        found[self.others] = covariance.diagonal()
        return found

    def covariance(self, covariance: Floats) -> Floats:
        """Their covariance matrix, from that of β̂."""
        found = np.empty((self.size, self.size))
        s = self._contrasted(self.modes.slopes)
        cross = s @ covariance
        own = cross @ s.T
        own[np.diag_indices(own.shape[0])] += self._own()
        if self.contrasts:  # α̂_0 is in all of them
            first = self._own()[0]
            own[1:, 1:] += first * (1.0 - np.eye(own.shape[0] - 1))
            own[0, 1:] -= first
            own[1:, 0] -= first
        found[np.ix_(self.places, self.places)] = own
        found[np.ix_(self.places, self.others)] = cross
        found[np.ix_(self.others, self.places)] = cross.T
        found[np.ix_(self.others, self.others)] = covariance
        return found

    def _contrasted(self, of_levels: Floats) -> Floats:
        """The rows of all levels, less that of the first where it is the reference."""
        if not self.contrasts:
            return of_levels
        return np.concatenate([of_levels[:1], of_levels[1:] - of_levels[0]])

    def _own(self) -> Floats:
        """The variances at a fixed β; infinite coefficients have none."""
        h = self.modes.information
        inverse = 1.0 / np.where(h > 0.0, h, np.nan)
        inverse[1:] += inverse[0] if self.contrasts else 0.0
        return inverse


def refuse_many_levels(levels: LevelEffects | None, what: str) -> None:
    """Refuse what would need the columns of a factor that has none.

    Raises
    ------
    OptionError
        There is such a factor.
    """
    if levels is not None:
        raise OptionError(
            f"{what} is not available for a model with the {levels.places.size:,} levels of "
            f"{levels.term!r}, which have no columns; predict() is. (1 | column) in place of the "
            "factor has everything."
        )
