"""Normal prior of the fixed effects: maximum entropy at given variance.

log π(β) = −Σ_k {½ ((β_k − m_k) / s_k)² + log s_k + ½ log 2π}
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from multilogit.evaluation import Evaluation, Vector
from multilogit.prior.base import BoundPrior, PriorContext, embed
from multilogit.prior.coefficients import (
    Intercept,
    checked_intercept,
    checked_means,
    checked_scales,
    expand,
    scales,
)
from multilogit.prior.covariance import CovariancePrior, check_covariance, with_covariance
from multilogit.prior.specification import Specification


@dataclass(frozen=True, slots=True)
class Normal(Specification):
    """Independent normal priors of the fixed effects.

    Parameters
    ----------
    scale
        Standard deviation in logits per unit of the column: one number for all; one for each
        column (the same in every logit) or each coefficient (logit by logit); or a mapping
        from names of columns, those not named being free. inf: free.
    mean
        Means, in the same forms; a mapping leaves 0 for those not named.
    intercept
        True: the intercept is like the others; False: it is free; a number: its own scale.
    covariance
        Prior of the random effects' covariance matrices; None: flat.

    Raises
    ------
    OptionError
        If an option has a value that cannot be used.

    Notes
    -----
    The scale is per unit of the column: changing the units of a predictor changes the prior.
    """

    scale: float | ArrayLike | Mapping[str, float] = 2.5
    mean: float | ArrayLike | Mapping[str, float] = 0.0
    intercept: Intercept = True
    covariance: CovariancePrior | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "scale", checked_scales(self.scale))
        object.__setattr__(self, "mean", checked_means(self.mean))
        object.__setattr__(self, "intercept", checked_intercept(self.intercept))
        check_covariance(self.covariance)

    def bind(self, context: PriorContext, /) -> BoundPrior:
        """The log density of (β, θ) for one model.

        Raises
        ------
        OptionError
            If names or numbers of values do not fit the model.
        """
        s = scales(checked_scales(self.scale), self.intercept, context)
        m = expand(checked_means(self.mean), context, "mean", missing=0.0)
        return with_covariance(BoundNormal(m, s, context.size), self.covariance, context)


class BoundNormal:
    """The log density of β: normal where s is finite, 0 elsewhere.

    Parameters
    ----------
    mean, scale
        Shape ``(p C,)``.
    size
        Length of ψ.
    """

    depends_on_order = False

    def __init__(self, mean: Vector, scale: Vector, size: int) -> None:
        self.mean = mean
        self.scale = scale
        self.size = size
        proper = scale[np.isfinite(scale)]
        self._constant = -float((np.log(proper) + 0.5 * math.log(2.0 * math.pi)).sum())

    def evaluate(self, psi: Vector, /) -> Evaluation:
        """log π(ψ), its gradient and Hessian."""
        z = (psi[: self.mean.size] - self.mean) / self.scale
        value = self._constant - 0.5 * float(z @ z)
        return embed(Evaluation(value, -z / self.scale, np.diag(-(self.scale**-2.0))), self.size)
