"""Priors: log densities of ψ = (β, θ), each an ``evaluate`` that adds to any likelihood.

Every fit knows what a prior is; the densities themselves are imported when one is first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from multilogit.lazy import names_of
from multilogit.prior.base import BoundPrior, Prior, PriorContext, RowsElsewhere, depends_on_order
from multilogit.prior.specification import Specification, SumPrior, bind, needs_strength

if TYPE_CHECKING:
    from multilogit.prior.covariance import CovarianceRelativeEntropy, Wishart
    from multilogit.prior.jeffreys import Jeffreys
    from multilogit.prior.normal import Normal
    from multilogit.prior.relative_entropy import RelativeEntropy
    from multilogit.prior.shannon import ShannonEntropy
    from multilogit.prior.soft_penalty import SoftPenalty
    from multilogit.prior.student import Cauchy, StudentT

__getattr__ = names_of(
    "multilogit.prior",
    {
        "Cauchy": "student",
        "CovarianceRelativeEntropy": "covariance",
        "Jeffreys": "jeffreys",
        "Normal": "normal",
        "RelativeEntropy": "relative_entropy",
        "ShannonEntropy": "shannon",
        "SoftPenalty": "soft_penalty",
        "StudentT": "student",
        "Wishart": "covariance",
    },
)

__all__ = [
    "BoundPrior",
    "Cauchy",
    "CovarianceRelativeEntropy",
    "Jeffreys",
    "Normal",
    "Prior",
    "PriorContext",
    "RelativeEntropy",
    "RowsElsewhere",
    "ShannonEntropy",
    "SoftPenalty",
    "Specification",
    "StudentT",
    "SumPrior",
    "Wishart",
    "bind",
    "depends_on_order",
    "needs_strength",
]
