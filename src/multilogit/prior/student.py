"""Student t and Cauchy priors of the fixed effects.

    log π(β) = Σ_k log t_ν((β_k − m_k) / s_k) / s_k,   log t_ν(z) = −½(ν + 1) log(1 + z²/ν) + const

Not concave beyond |z| = √ν: the posterior may have several maxima.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from multilogit.evaluation import Vector
from multilogit.lazy import special
from multilogit.prior.base import BoundPrior, PriorContext
from multilogit.prior.coefficients import Intercept, checked_scales
from multilogit.prior.covariance import CovariancePrior, check_covariance, with_covariance
from multilogit.prior.independent import BoundIndependent, IndependentSpecification
from multilogit.prior.options import positive
from multilogit.prior.specification import Specification


@dataclass(frozen=True, slots=True)
class StudentT(IndependentSpecification):
    """Independent Student t priors of the fixed effects.

    Parameters
    ----------
    df
        Degrees of freedom ν > 0; 1 is Cauchy.
    scale, mean, intercept, covariance
        As in :class:`~multilogit.prior.normal.Normal`.

    Raises
    ------
    OptionError
        If an option has a value that cannot be used.
    """

    df: float
    scale: float | ArrayLike | Mapping[str, float] = 2.5
    mean: float | ArrayLike | Mapping[str, float] = 0.0
    intercept: Intercept = True
    covariance: CovariancePrior | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "df", positive(self.df, "df"))
        IndependentSpecification.__post_init__(self)

    def bind(self, context: PriorContext, /) -> BoundPrior:
        """The log density of (β, θ) for one model.

        Raises
        ------
        OptionError
            If names or numbers of values do not fit the model.
        """
        bound = BoundStudentT(self.df, *self.means_and_scales(context), context.size)
        return with_covariance(bound, self.covariance, context)


@dataclass(frozen=True, slots=True)
class Cauchy(Specification):
    """Independent Cauchy priors of the fixed effects.

    Parameters
    ----------
    scale
        As in :class:`~multilogit.prior.normal.Normal`. 2.5 is the proposal of Gelman et al.
        (2008) for predictors scaled to standard deviation ½ (binary ones centred only).
    intercept_scale
        Scale of the intercept; inf: free.
    covariance
        Prior of the random effects' covariance matrices; None: flat.

    Raises
    ------
    OptionError
        If an option has a value that cannot be used.

    References
    ----------
    Gelman, A., Jakulin, A., Pittau, M. G. & Su, Y.-S. (2008), A weakly informative default prior
    distribution for logistic and other regression models, Annals of Applied Statistics 2.
    """

    scale: float | ArrayLike | Mapping[str, float] = 2.5
    intercept_scale: float = 10.0
    covariance: CovariancePrior | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "scale", checked_scales(self.scale))
        checked = positive(self.intercept_scale, "intercept_scale", infinite=True)
        object.__setattr__(self, "intercept_scale", checked)
        check_covariance(self.covariance)

    def bind(self, context: PriorContext, /) -> BoundPrior:
        """The log density of (β, θ) for one model.

        Raises
        ------
        OptionError
            If names or numbers of values do not fit the model.
        """
        t = StudentT(1.0, self.scale, intercept=self.intercept_scale, covariance=self.covariance)
        return t.bind(context)


class BoundStudentT(BoundIndependent):
    """The log density of β: Student t where s is finite, 0 elsewhere.

    Parameters
    ----------
    df
        ν.
    mean, scale
        Shape ``(p C,)``.
    size
        Length of ψ.
    """

    def __init__(self, df: float, mean: Vector, scale: Vector, size: int) -> None:
        self.df = df
        each = -float(special.betaln(0.5, 0.5 * df)) - 0.5 * math.log(df)  # Γ(½) = √π
        super().__init__(mean, scale, size, each)

    def log_density(self, z: Vector, /) -> tuple[float, Vector, Vector]:
        """−½(ν + 1) Σ log(1 + z²/ν) and its derivatives."""
        nu = self.df
        value = -0.5 * (nu + 1.0) * float(np.log1p(z * z / nu).sum())
        first = -(nu + 1.0) * z / (nu + z * z)
        return value, first, -(nu + 1.0) * (nu - z * z) / (nu + z * z) ** 2
