"""Normal prior of the fixed effects: maximum entropy at given variance.

log π(β) = −Σ_k {½ ((β_k − m_k) / s_k)² + log s_k + ½ log 2π}
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from multilogit.evaluation import Vector
from multilogit.prior.base import BoundPrior, PriorContext
from multilogit.prior.coefficients import Intercept
from multilogit.prior.covariance import CovariancePrior, with_covariance
from multilogit.prior.independent import BoundIndependent, IndependentSpecification


@dataclass(frozen=True, slots=True)
class Normal(IndependentSpecification):
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

    def bind(self, context: PriorContext, /) -> BoundPrior:
        """The log density of (β, θ) for one model.

        Raises
        ------
        OptionError
            If names or numbers of values do not fit the model.
        """
        bound = BoundNormal(*self.means_and_scales(context), context.size)
        return with_covariance(bound, self.covariance, context)


class BoundNormal(BoundIndependent):
    """The log density of β: normal where s is finite, 0 elsewhere.

    Parameters
    ----------
    mean, scale
        Shape ``(p C,)``.
    size
        Length of ψ.
    """

    def __init__(self, mean: Vector, scale: Vector, size: int) -> None:
        super().__init__(mean, scale, size, -0.5 * math.log(2.0 * math.pi))

    def log_density(self, z: Vector, /) -> tuple[float, Vector, Vector]:
        """−½ z'z and its derivatives."""
        return -0.5 * float(z @ z), -z, np.full_like(z, -1.0)
