"""A factor of very many levels: what was estimated of it, without columns."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from multilogit.errors import OptionError
from multilogit.likelihood.levels import LevelModes

Floats = NDArray[np.float64]

MOST_TOGETHER = 5_000
"""Coefficients whose covariance matrix is made at most: 200 MB."""


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

    @property
    def shown(self) -> NDArray[np.intp]:
        """Where the coefficients stand that people look at: all but those of the levels."""
        return np.union1d(self.others, self.places[: int(self.contrasts)])

    def coefficients(self, beta: Floats) -> Floats:
        """All coefficients, in the order of the formula."""
        alpha, found = self.modes.alpha, np.empty(self.size)
        with np.errstate(invalid="ignore"):  # the reference level may be infinite
            found[self.places] = self._contrasted(alpha)
        found[self.others] = beta
        return found

    def variances(self, covariance: Floats) -> Floats:
        """Their variances, NaN where infinite; ``covariance`` is that of β̂."""
        own, U, K = self.arrow(covariance, np.arange(self.size))
        return np.asarray(own + np.einsum("gk,gk->g", U @ K, U))

    def covariance(self, covariance: Floats, chosen: NDArray[np.intp] | None = None) -> Floats:
        """The covariance matrix of all coefficients, or of the chosen ones, from that of β̂.

        Raises
        ------
        OptionError
            They are too many for a matrix.
        """
        size = self.size if chosen is None else chosen.size
        if size > MOST_TOGETHER:
            raise OptionError(
                f"The covariance matrix of {size:,} coefficients would take "
                f"{8e-9 * size**2:,.1f} GB and is not made. Standard errors (se, tidy(), "
                "confint()), test('term = 0') and test_terms() do without it; "
                "vcov_of(['price', ...]) is the matrix of the coefficients that you name."
            )
        own, U, K = self.arrow(covariance, np.arange(self.size) if chosen is None else chosen)
        found = U @ K @ U.T
        found[np.diag_indices(size)] += own
        return found

    def are_levels(self, chosen: NDArray[np.intp]) -> bool:
        """Whether all of these are coefficients of levels, none of them that of the reference."""
        return bool(np.isin(chosen, self.places[int(self.contrasts) :]).all())

    def arrow(self, covariance: Floats, chosen: NDArray[np.intp]) -> tuple[Floats, Floats, Floats]:
        """The covariance of chosen coefficients as diag(own) + UKU', from that of β̂.

        Given β̂, the α̂_g are independent with variances 1/h_g; each moves with β̂ by its s_g. A
        contrast is α̂_g − α̂_0, so that the reference is in all of them:

            Cov = diag(1/h_g) + SCS' + cc'/h_0,   c = −1 (the reference itself: 1, without 1/h_0)

        Returns
        -------
        own, U, K
            Shapes ``(m,)``, NaN where infinite, ``(m, p + 1)`` and ``(p + 1, p + 1)``.
        """
        p = self.others.size
        variance = 1.0 / np.where(self.modes.information > 0.0, self.modes.information, np.nan)
        own, U, K = np.zeros(self.size), np.zeros((self.size, p + 1)), np.zeros((p + 1, p + 1))
        own[self.places] = variance
        U[self.places, :p] = self._contrasted(self.modes.slopes)
        U[self.others, :p] = np.eye(p)
        K[:p, :p] = covariance
        if self.contrasts and np.isnan(variance[0]):  # all contrasts are infinite
            own[self.places] = np.nan
        elif self.contrasts:
            own[self.places[0]], K[p, p] = 0.0, variance[0]
            U[self.places, p] = -1.0
            U[self.places[0], p] = 1.0
        return own[chosen], U[chosen], K

    def _contrasted(self, of_levels: Floats) -> Floats:
        """The rows of all levels, less that of the first where it is the reference."""
        if not self.contrasts:
            return of_levels
        return np.concatenate([of_levels[:1], of_levels[1:] - of_levels[0]])


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
