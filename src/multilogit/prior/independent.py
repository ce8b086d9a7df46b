"""Independent priors of the coefficients, each with a mean and a scale of its own.

log π(β) = Σ_k {log f(z_k) − log s_k},   z_k = (β_k − m_k) / s_k,   for a standard density f
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike

from multilogit.evaluation import Evaluation, Vector
from multilogit.prior.base import PriorContext, embed
from multilogit.prior.coefficients import (
    Intercept,
    checked_intercept,
    checked_means,
    checked_scales,
    expand,
    scales,
)
from multilogit.prior.covariance import CovariancePrior, check_covariance
from multilogit.prior.specification import Specification


class IndependentSpecification(Specification):
    """The options that such priors share, as :class:`~multilogit.prior.normal.Normal` has them."""

    __slots__ = ()

    scale: float | ArrayLike | Mapping[str, float]
    mean: float | ArrayLike | Mapping[str, float]
    intercept: Intercept
    covariance: CovariancePrior | None

    def __post_init__(self) -> None:
        object.__setattr__(self, "scale", checked_scales(self.scale))
        object.__setattr__(self, "mean", checked_means(self.mean))
        object.__setattr__(self, "intercept", checked_intercept(self.intercept))
        check_covariance(self.covariance)

    def means_and_scales(self, context: PriorContext) -> tuple[Vector, Vector]:
        """m and s, each of shape ``(p C,)``; s is inf where a coefficient is free.

        Raises
        ------
        OptionError
            If names or numbers of values do not fit the model.
        """
        m = expand(checked_means(self.mean), context, "mean", missing=0.0)
        return m, scales(checked_scales(self.scale), self.intercept, context)


class BoundIndependent(ABC):
    """The log density of β: f where s is finite, 0 elsewhere.

    Parameters
    ----------
    mean, scale
        Shape ``(p C,)``.
    size
        Length of ψ.
    log_constant
        log f(z) minus what ``log_density`` has of it.
    """

    depends_on_order = False

    def __init__(self, mean: Vector, scale: Vector, size: int, log_constant: float) -> None:
        self.mean = mean
        self.scale = scale
        self.size = size
        proper = scale[np.isfinite(scale)]
        self._constant = proper.size * log_constant - float(np.log(proper).sum())

    @abstractmethod
    def log_density(self, z: Vector, /) -> tuple[float, Vector, Vector]:
        """Σ log f(z_k), 0 at z = 0: its constant apart; first and second derivative of each."""

    def evaluate(self, psi: Vector, /) -> Evaluation:
        """log π(ψ), its gradient and Hessian."""
        s = self.scale
        value, first, second = self.log_density((psi[: self.mean.size] - self.mean) / s)
        density = Evaluation(self._constant + value, first / s, np.diag(second / (s * s)))
        return embed(density, self.size)
