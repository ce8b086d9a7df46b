"""Shannon entropy: its definition, what it cannot do alone, and what the floor cures."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prior.models import (
    Array,
    context,
    contexts,
    maximum,
    point,
    posterior_sd,
    probabilities,
)

from multilogit.likelihood.fixed import FixedLikelihood
from multilogit.newton import maximise
from multilogit.objective import Sum
from multilogit.prior import PriorContext, RelativeEntropy, ShannonEntropy


@given(
    model=contexts(),
    kappa=st.floats(0.1, 30),
    floor=st.floats(0, 5),
    seed=st.integers(0, 2**32 - 1),
)
def test_value(model: PriorContext, kappa: float, floor: float, seed: int) -> None:
    beta = point(model, seed)[: model.n_beta]
    pi = probabilities(model, beta)
    entropy = -(pi * np.log(pi)).sum(axis=1)
    divergence = -np.log(pi * model.n_categories).mean(axis=1)
    total = model.trials @ (kappa * entropy - floor * divergence)
    bound = ShannonEntropy(kappa, floor, covariance=None).bind(model)
    value = bound.evaluate(np.append(beta, np.ones(model.m))).value
    assert value == pytest.approx(total / model.trials.sum(), rel=1e-9, abs=1e-9)


@given(model=contexts(), kappa=st.floats(0.1, 30))
def test_the_floor_is_a_relative_entropy(model: PriorContext, kappa: float) -> None:
    psi = point(model)
    alone = ShannonEntropy(3.0, floor=0.0, covariance=None)
    floor = RelativeEntropy(kappa, "uniform", covariance=None)
    expected = (alone + floor).bind(model).evaluate(psi)
    got = ShannonEntropy(3.0, floor=kappa, covariance=None).bind(model).evaluate(psi)
    assert got.value == pytest.approx(expected.value, rel=1e-10, abs=1e-10)
    np.testing.assert_allclose(got.gradient, expected.gradient, rtol=0, atol=1e-11)
    np.testing.assert_allclose(got.hessian, expected.hessian, rtol=0, atol=1e-11)


def separated(n: int = 100) -> tuple[FixedLikelihood, PriorContext]:
    """Complete separation by the second of four standardised covariates."""
    rng = np.random.default_rng(1)
    z = rng.normal(size=(n, 3))
    x = np.column_stack([np.ones(n), (z - z.mean(axis=0)) / z.std(axis=0)])
    y = (x[:, 1] > 0).astype(float)
    model = context(x, y)
    return FixedLikelihood(model.columns, y, np.ones(n)), model


def cell(events: int, n: int) -> tuple[FixedLikelihood, PriorContext]:
    """One binary predictor whose second level, n rows, has no failures."""
    x = np.column_stack([np.ones(2 * n), np.repeat([0.0, 1.0], n)])
    y = np.concatenate([np.arange(n) < events, np.ones(n)]).astype(float)
    model = context(x, y)
    return FixedLikelihood(model.columns, y, np.ones(2 * n)), model


def test_alone_it_is_as_degenerate_as_maximum_likelihood() -> None:
    """A separated cell ends at η = 1/λ = Σn/κ, exactly where λη = 1."""
    likelihood, model = cell(20, 40)
    mode = maximum(likelihood, ShannonEntropy(4.0, floor=0.0), model)
    assert mode.psi.sum() == pytest.approx(80 / 4.0, abs=1e-3)
    assert posterior_sd(mode)[1] > 1e3


def test_the_floor_cures_it() -> None:
    likelihood, model = separated()
    objective = Sum((likelihood, ShannonEntropy().bind(model)))
    rng = np.random.default_rng(0)
    modes = [maximise(objective, 3.0 * rng.normal(size=model.size)) for _ in range(20)]
    assert all(mode.converged for mode in modes)
    spread: Array = np.ptp([mode.psi for mode in modes], axis=0)
    assert spread.max() < 1e-6
    assert np.abs(modes[0].psi).max() < 15
    assert posterior_sd(modes[0]).max() < 10


def test_concave_where_the_documentation_says() -> None:
    """ℓ + λΣH is concave where |η| ≤ 1 + 1/λ in every row, and not far beyond."""
    likelihood, model = cell(20, 40)
    bound = ShannonEntropy(20.0, floor=0.0).bind(model)  # λ = 1/4
    for eta, concave in ((4.9, True), (5.2, False)):
        beta = np.array([0.0, eta])
        hessian = (likelihood.evaluate(beta) + bound.evaluate(beta)).hessian
        assert bool(np.linalg.eigvalsh(hessian).max() < 0) is concave
