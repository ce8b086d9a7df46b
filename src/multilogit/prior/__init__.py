"""Priors: log densities of ψ = (β, θ), each an ``evaluate`` that adds to any likelihood."""

from multilogit.prior.base import BoundPrior, Prior, PriorContext, RowsElsewhere, depends_on_order
from multilogit.prior.covariance import CovarianceRelativeEntropy, Wishart
from multilogit.prior.jeffreys import Jeffreys
from multilogit.prior.normal import Normal
from multilogit.prior.relative_entropy import RelativeEntropy
from multilogit.prior.shannon import ShannonEntropy
from multilogit.prior.soft_penalty import SoftPenalty
from multilogit.prior.specification import Specification, SumPrior, bind, needs_strength
from multilogit.prior.student import Cauchy, StudentT

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
