"""Exact gradients and Hessians: every prior against finite differences."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from prior.models import Array, check_derivatives, contexts, point

from multilogit.prior import (
    Cauchy,
    CovarianceRelativeEntropy,
    Jeffreys,
    Normal,
    PriorContext,
    RelativeEntropy,
    ShannonEntropy,
    SoftPenalty,
    Specification,
    StudentT,
    Wishart,
)

SPECIFICATIONS = [
    RelativeEntropy(),
    RelativeEntropy(7.5, "uniform", covariance=None),
    RelativeEntropy(0.4, "marginal", covariance=Wishart(df=6.0, scale=2.0)),
    ShannonEntropy(),
    ShannonEntropy(12.0, floor=0.0, covariance=None),
    CovarianceRelativeEntropy(2.0, 1.5),
    Wishart(),
    Normal(1.5, mean=0.3, intercept=False),
    StudentT(4.0, 0.8, mean=-0.2),
    Cauchy(covariance=CovarianceRelativeEntropy()),
    Jeffreys(),
    Jeffreys(power=1.7, covariance=Wishart()),
    SoftPenalty(),
    RelativeEntropy(covariance=None) + Normal(0.7) + Wishart(),
]


def smooth(specification: Specification, model: PriorContext, psi: Array) -> bool:
    """Whether ψ is away from |x| = 1, where the curvature of the Huber loss jumps."""
    if not isinstance(specification, SoftPenalty):
        return True
    theta = psi[model.n_beta :]
    x = np.where(model.diagonal, np.log(np.abs(theta)), theta)
    return bool((np.abs(np.abs(x) - 1.0) > 0.01).all())


@pytest.mark.parametrize("specification", SPECIFICATIONS, ids=repr)
@given(model=contexts(), seed=st.integers(0, 2**32 - 1))
def test_gradient_and_hessian(specification: Specification, model: PriorContext, seed: int) -> None:
    bound = specification.bind(model)
    psi = point(model, seed)
    assume(smooth(specification, model, psi))
    assert bound.evaluate(psi).gradient.shape == (model.size,)
    check_derivatives(bound, psi)


@pytest.mark.parametrize("specification", SPECIFICATIONS, ids=repr)
@given(model=contexts())
def test_evaluate_leaves_psi_alone_and_repeats_itself(
    specification: Specification, model: PriorContext
) -> None:
    bound = specification.bind(model)
    psi = point(model)
    before = psi.copy()
    first, second = bound.evaluate(psi), bound.evaluate(psi)
    assert np.array_equal(psi, before)
    assert first.value == second.value
    assert np.array_equal(first.hessian, second.hessian)
