"""From a model frame to the maximum of its likelihood: start values, coordinates, boundary.

Newton–Raphson itself is in :mod:`multilogit.newton`, the likelihoods are in
:mod:`multilogit.likelihood`; here they meet the model.
"""

from multilogit.estimate.estimate import Estimate, FactorEstimate, information_inverse
from multilogit.estimate.mixed import arranged, estimate_mixed
from multilogit.estimate.options import Options
from multilogit.estimate.rank import split_aliased
from multilogit.estimate.single import (
    estimate_single,
    fixed_likelihood,
    null_loglik,
    saturated_loglik,
)

__all__ = [
    "Estimate",
    "FactorEstimate",
    "Options",
    "arranged",
    "estimate_mixed",
    "estimate_single",
    "fixed_likelihood",
    "information_inverse",
    "null_loglik",
    "saturated_loglik",
    "split_aliased",
]
