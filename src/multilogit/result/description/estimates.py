"""What was estimated: coefficients, the Cholesky factor, variances, conditional modes."""

from __future__ import annotations

from functools import cached_property, lru_cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from multilogit.inference.variance import VarianceComponents, positions, variance_components
from multilogit.lazy import pd
from multilogit.result.arrays import later
from multilogit.result.fields.measures import Measures
from multilogit.result.fields.parameter_names import coefficient_names, theta_names
from multilogit.result.fields.random_effects import RandomEffects, effects_of

if TYPE_CHECKING:
    from multilogit.predict.modes import ModeUncertainty


class Estimates(Measures):
    """Estimates as named tables; every call makes new ones, which the caller may change."""

    @property
    def coef(self) -> pd.Series:
        """Fixed effects β̂, named as R names them, on the logit scale (a new Series each time)."""
        names = _index(tuple(coefficient_names(self.labels)))
        return pd.Series(self._fixed_effects, index=names, name="coef", copy=True)

    @property
    def vcov(self) -> pd.DataFrame:
        """Covariance matrix of β̂: the β block of :attr:`covariance`.

        Raises
        ------
        OptionError
            A factor of very many levels has more than 5 000 coefficients; :meth:`vcov_of` gives
            the matrix of some.
        """
        names = _index(tuple(coefficient_names(self.labels)))
        k = len(names)
        return pd.DataFrame(self.covariance[:k, :k], index=names, columns=names, copy=True)

    @property
    def se(self) -> pd.Series:
        """Standard errors of β̂, from :attr:`vcov`: see :attr:`se_source`."""
        names = _index(tuple(coefficient_names(self.labels)))
        return pd.Series(self._fixed_errors, index=names, name="se")

    @property
    def _fixed_effects(self) -> NDArray[np.float64]:
        """The array behind :attr:`coef`."""
        return self.solution.psi[: len(coefficient_names(self.labels))]

    @property
    def _fixed_errors(self) -> NDArray[np.float64]:
        """The array behind :attr:`se`."""
        errors: NDArray[np.float64] = np.sqrt(self._variances[: len(self._fixed_effects)])
        return errors

    @property
    def posterior_sd(self) -> pd.Series:
        """Standard deviations of β in the posterior's Gaussian approximation, from −Q″.

        Smaller than :attr:`se`, which repeats the experiment and keeps the prior. The same
        where there is no prior.
        """
        if self.levels is not None:
            return self.se.rename("posterior_sd")
        names = coefficient_names(self.labels)
        variance = self.posterior_covariance.diagonal()[: len(names)]
        return pd.Series(np.sqrt(variance), index=names, name="posterior_sd")

    @property
    def theta(self) -> pd.Series:
        """Free elements of the Cholesky factor Λ, Σ = ΛΛ', named as lme4 names them.

        ``"g.(Intercept)"`` is on the diagonal, ``"g.x.(Intercept)"`` is row x, column
        (Intercept). Column-major lower triangle per bar term. Empty for single-level models.
        """
        values = [effects.Lambda[at] for effects in self.random for at in positions(effects.blocks)]
        return pd.Series(values, index=theta_names(self.random), name="theta", dtype=float)

    @property
    def variance_components(self) -> pd.DataFrame:
        """Standard deviations and correlations of the random effects, one row per effect.

        Columns: ``group``, ``name``, ``variance``, ``sd``, ``sd_error`` (standard error of sd
        by the delta method from the exact Hessian; NaN where sd is 0), ``log_sd_error``
        (standard error of log sd) and, where there are correlated effects, ``corr[x]``: the
        correlation with the earlier effect x of the same bar term.
        """
        rows = []
        for effects, parts in zip(self.random, self._components, strict=True):
            for k, name in enumerate(effects.names):
                row = {"group": effects.group, "name": name, "variance": parts.sd[k] ** 2}
                row |= {"sd": parts.sd[k], "sd_error": parts.sd_error[k]}
                row |= {"log_sd_error": parts.log_sd_error[k]}
                row |= {
                    f"corr[{effects.names[j]}]": parts.correlation[k, j] for j in effects.earlier(k)
                }
                rows.append(row)
        columns = ["group", "name", "variance", "sd", "sd_error", "log_sd_error"]
        return pd.DataFrame(rows) if rows else pd.DataFrame(columns=columns)

    @cached_property
    def _components(self) -> tuple[VarianceComponents, ...]:
        """The arrays behind :attr:`variance_components`, one entry per grouping factor."""
        return tuple(
            variance_components(
                effects.Lambda, effects.blocks, self.covariance[effects.theta, effects.theta]
            )
            for effects in self.random
        )

    def random_effects(self, group: str | None = None, *, wide: bool = False) -> pd.DataFrame:
        """Conditional modes b̂ of the random effects (lme4's ``ranef``), with standard deviations.

        Parameters
        ----------
        group
            Only this grouping factor.
        wide
            One row per level and one column per effect (modes only) instead of one row per
            level and effect. Needs ``group`` if there are several grouping factors.

        Returns
        -------
        DataFrame
            Columns ``group``, ``level``, ``name``, ``mode``, ``sd``: sd is the square root of
            the diagonal of ΛH⁻¹Λ', the conditional variance given the data at the estimates
            (lme4's ``condVar``; it does not contain the uncertainty of β̂ and θ̂).

        Raises
        ------
        OptionError
            If there is no such grouping factor.
        """
        if wide:
            return self._wide_modes(effects_of(self.random, group))
        chosen = self.random if group is None else (effects_of(self.random, group),)
        parts = [_long_modes(effects, self._levels(effects.group)) for effects in chosen]
        columns = ["group", "level", "name", "mode", "sd"]
        return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=columns)

    @cached_property
    def mode_uncertainty(self) -> ModeUncertainty:
        """What conditional predictions inherit from the random effects: H and ∂b̂/∂ψ."""
        return later.mode_uncertainty.uncertainty_of(self) if self.modes is None else self.modes

    def _levels(self, group: str) -> NDArray[np.object_]:
        return self.labels.levels[group]

    def _wide_modes(self, effects: RandomEffects) -> pd.DataFrame:
        index = pd.Index(self._levels(effects.group), name=effects.group)
        return pd.DataFrame(effects.modes, index=index, columns=list(effects.names), copy=True)


def _index(names: tuple[str, ...]) -> pd.Index:
    """An index of names, its own object: the refits of a bootstrap have the same names."""
    return _made_index(names).view()


@lru_cache(maxsize=16)
def _made_index(names: tuple[str, ...]) -> pd.Index:
    return pd.Index(names)


def _long_modes(effects: RandomEffects, levels: NDArray[np.object_]) -> pd.DataFrame:
    """One row per level and effect, effect by effect."""
    n, q = effects.modes.shape
    sd = np.sqrt(np.diagonal(effects.mode_covariance, axis1=1, axis2=2))
    return pd.DataFrame(
        {
            "group": effects.group,
            "level": np.tile(levels, q),
            "name": np.repeat(np.array(effects.names, dtype=object), n),
            "mode": effects.modes.T.ravel(),
            "sd": sd.T.ravel(),
        }
    )
