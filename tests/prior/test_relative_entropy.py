"""Relative entropy: pseudo-observations, references, invariance, published fits."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prior.models import (
    Array,
    context,
    context_of,
    contexts,
    frame_of,
    maximum,
    point,
    posterior_sd,
    probabilities,
    single_level,
    standard_errors,
)

from multilogit.likelihood.fixed import FixedLikelihood
from multilogit.newton import maximise
from multilogit.prior import (
    Prior,
    PriorContext,
    RelativeEntropy,
    ShannonEntropy,
)
from multilogit.prior.relative_entropy import reference_shares

seeds = st.integers(0, 2**32 - 1)


def data(seed: int, n_logits: int = 1, n: int = 40, p: int = 3) -> tuple[Array, Array, Array]:
    """X, counts and trials of a random sample."""
    rng = np.random.default_rng(seed)
    x = np.column_stack([np.ones(n), rng.normal(size=(n, p - 1))])
    trials = rng.integers(1, 4, size=n).astype(float)
    shares = rng.dirichlet(np.ones(n_logits + 1), size=n)
    counts = [rng.multinomial(int(m), s)[1:] for m, s in zip(trials, shares, strict=True)]
    return x, np.array(counts, dtype=float), trials


def likelihood(x: Array, counts: Array, trials: Array) -> FixedLikelihood:
    return FixedLikelihood([np.ascontiguousarray(c) for c in x.T], counts, trials)


@given(model=contexts(), kappa=st.floats(0.1, 30), seed=seeds)
def test_value_is_the_divergence(model: PriorContext, kappa: float, seed: int) -> None:
    beta = point(model, seed)[: model.n_beta]
    u = np.random.default_rng(seed).dirichlet(np.full(model.n_categories, 2.0)) * 0.98 + 0.01
    u /= u.sum()
    bound = RelativeEntropy(kappa, tuple(u.tolist()), covariance=None).bind(model)
    pi = probabilities(model, beta)
    divergence = (u * np.log(u / pi)).sum(axis=1)
    expected = -kappa * (model.trials @ divergence) / model.trials.sum()
    value = bound.evaluate(np.append(beta, np.ones(model.m))).value
    assert value == pytest.approx(expected, rel=1e-9, abs=1e-9)


@given(seed=seeds, n_logits=st.integers(1, 3), kappa=st.floats(0.5, 20))
def test_it_is_augmented_data(seed: int, n_logits: int, kappa: float) -> None:
    x, counts, trials = data(seed, n_logits)
    model = context(x, counts, trials)
    prior = RelativeEntropy(kappa, "uniform")
    mode = maximum(likelihood(x, counts, trials), prior, model)
    pseudo = kappa / trials.sum() * trials
    more = likelihood(
        np.vstack([x, x]),
        np.vstack([counts, np.outer(pseudo, np.full(n_logits, 1 / (n_logits + 1)))]),
        np.concatenate([trials, pseudo]),
    )
    augmented = maximise(more, np.zeros(model.size), tolerance=1e-11, gradient_tolerance=1e-10)
    assert mode.converged
    np.testing.assert_allclose(mode.psi, augmented.psi, rtol=0, atol=1e-9)
    np.testing.assert_allclose(
        mode.evaluation.hessian, augmented.evaluation.hessian, rtol=1e-9, atol=1e-9
    )


@given(seed=seeds, n_logits=st.integers(1, 2))
def test_linear_reparametrisation_changes_nothing(seed: int, n_logits: int) -> None:
    x, counts, trials = data(seed, n_logits)
    a = np.random.default_rng(seed).normal(size=(3, 3)) + 3 * np.eye(3)
    fits = []
    for design in (x, x @ a):
        model = context(design, counts, trials)
        solution = maximum(likelihood(design, counts, trials), RelativeEntropy(), model)
        fits.append((solution, probabilities(model, solution.psi)))
    np.testing.assert_allclose(fits[0][1], fits[1][1], rtol=0, atol=1e-8)
    one, two = (solution.evaluation.value for solution, _ in fits)
    assert one == pytest.approx(two, rel=1e-11)


@pytest.mark.parametrize("n_logits", [1, 2])
def test_strength_to_zero_approaches_maximum_likelihood(n_logits: int) -> None:
    x, counts, trials = data(5, n_logits, n=120)
    model = context(x, counts, trials)
    ml = maximise(likelihood(x, counts, trials), np.zeros(model.size)).psi
    distance = [
        float(
            np.abs(
                maximum(likelihood(x, counts, trials), RelativeEntropy(kappa), model).psi - ml
            ).max()
        )
        for kappa in (1e-1, 1e-3, 1e-5)
    ]
    assert distance[0] > 50 * distance[1] > 2500 * distance[2]
    assert distance[2] < 1e-6


def test_references() -> None:
    observed = np.array([0.7, 0.2, 0.1])
    for kappa in (1.0, 4.0, 60.0):
        u = reference_shares("tempered", kappa, observed)
        np.testing.assert_allclose(kappa * u, 1 / 3 + (kappa - 1) * observed, rtol=1e-14)
    np.testing.assert_allclose(reference_shares("tempered", 0.3, observed), 1 / 3)
    np.testing.assert_allclose(reference_shares("uniform", 2.0, observed), 1 / 3)
    np.testing.assert_allclose(reference_shares("marginal", 2.0, observed), observed)
    np.testing.assert_allclose(reference_shares(0.1, 2.0, observed[:2]), [0.9, 0.1])


@pytest.mark.parametrize(("n_logits", "expected"), [(1, 3.0), (2, 4.5), (3, 6.0)])
def test_default_strength(n_logits: int, expected: float) -> None:
    x, counts, trials = data(1, n_logits)
    model = context(x, counts, trials)
    psi = np.random.default_rng(0).normal(size=model.size)
    default, explicit = (
        RelativeEntropy(strength).bind(model).evaluate(psi).value for strength in (None, expected)
    )
    assert default == explicit


def test_marginal_reference_survives_an_empty_category() -> None:
    x, _, trials = data(1)
    model = context(x, np.zeros(40), trials)
    value = RelativeEntropy(2.0, "marginal").bind(model).evaluate(np.zeros(3)).value
    assert value == pytest.approx(-2.0 * np.log(2.0))


def test_columns_are_read_in_place_and_not_written() -> None:
    x, counts, trials = data(1)
    model = context(x, counts, trials)
    for column in (*model.columns, model.trials):
        column.flags.writeable = False
    bound = RelativeEntropy().bind(model)
    assert np.isfinite(bound.evaluate(np.ones(3)).value)


# -- published -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("prior", "expected"),
    [
        (RelativeEntropy(0.05 * 1000, "uniform"), 0.0333),
        (RelativeEntropy(0.05 * 1000, "marginal"), 0.0100),
        (ShannonEntropy(0.05 * 1000, floor=0.0), 0.0127),
    ],
)
def test_rare_events(prior: Prior, expected: float) -> None:
    """1 % events, intercept only, λ = .05 (brute force; reference bank, README)."""
    x, y = np.ones((1000, 1)), np.arange(1000) < 10
    model = context(x, y.astype(float))
    mode = maximum(likelihood(x, y.astype(float), np.ones(1000)), prior, model)
    assert 1 / (1 + np.exp(-mode.psi[0])) == pytest.approx(expected, abs=6e-5)


@pytest.fixture(scope="module")
def endometrial(reference_data: Path) -> pd.DataFrame:
    return pd.read_csv(reference_data / "endometrial.csv")


@pytest.mark.parametrize(
    ("reference", "nv", "se", "sd"),
    [
        ("uniform", 3.431, 1.893, 1.847),  # Rigon & Aliverti (2023): Diaconis–Ylvisaker
        ("marginal", 3.223, 1.722, 1.680),  # Rigon & Aliverti (2023): Clogg et al. (1991)
        ("tempered", 3.271, 1.760, 1.717),
    ],
)
def test_endometrial(
    endometrial: pd.DataFrame, reference: str, nv: float, se: float, sd: float
) -> None:
    frame = frame_of("HG ~ NV + PI + EH", endometrial)
    fixed = single_level(frame)
    mode = maximum(fixed, RelativeEntropy(reference=reference), context_of(frame))
    assert mode.converged
    assert mode.psi[1] == pytest.approx(nv, abs=5e-4)
    assert standard_errors(fixed, mode.psi)[1] == pytest.approx(se, abs=5e-4)
    assert posterior_sd(mode)[1] == pytest.approx(sd, abs=5e-4)
