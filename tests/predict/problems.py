"""Random models and rows, and the same predictions once more: dense, slow, from definitions."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from multilogit.inference.variance import positions
from multilogit.predict.linear import fixed_predictor
from multilogit.predict.modes import Factor, FactorRows, ModeUncertainty, mode_uncertainty
from multilogit.predict.tangent import Model, Rows

Array = NDArray[np.float64]


def random_rows(
    rng: np.random.Generator, n: int, p: int, sizes: list[tuple[int, int]], C: int
) -> Rows:
    """Rows of a model with ``(levels, columns of Z)`` per factor; effects logit by logit."""
    factors = []
    for levels, k in sizes:
        z = rng.normal(size=(k, n))
        z[0] = 1.0
        codes = rng.integers(0, levels, n).astype(np.int32)
        factors.append(FactorRows(tuple(z) * C, codes))
    return Rows(n, tuple(rng.normal(size=(p, n))), tuple(factors), rng.normal(size=n))


def random_model(rng: np.random.Generator, rows: Rows, C: int, sd: float = 1.0) -> Model:
    """Parameters for these rows; modes are 0 and have no uncertainty yet."""
    p = len(rows.x)
    factors, start = [], C * p
    for mine in rows.factors:
        q = len(mine.columns)
        Lambda = np.tril(rng.normal(size=(q, q))) * sd
        np.fill_diagonal(Lambda, np.abs(Lambda.diagonal()) + 0.1)
        at = tuple(positions((q,)))
        logits = tuple(np.repeat(np.arange(C), q // C).tolist())
        levels = int(mine.codes.max()) + 1
        zeros = np.zeros((levels, q))
        covariance = np.zeros((levels, q, q))
        factors.append(Factor(Lambda, at, slice(start, start + len(at)), logits, zeros, covariance))
        start += len(at)
    beta = 0.7 * rng.normal(size=(C, p))
    return Model(beta, tuple(factors), None, start)


def psi_of(model: Model) -> Array:
    """ψ = (β, θ)."""
    theta = [[f.Lambda[at] for at in f.positions] for f in model.factors]
    return np.concatenate([model.beta.ravel(), *map(np.array, theta)])


def at_psi(model: Model, psi: Array) -> Model:
    """The same model with other parameters."""
    factors = []
    for factor in model.factors:
        Lambda = np.zeros_like(factor.Lambda)
        for value, at in zip(psi[factor.theta], factor.positions, strict=True):
            Lambda[at] = value
        factors.append(replace(factor, Lambda=Lambda))
    beta = psi[: model.beta.size].reshape(model.beta.shape)
    return replace(model, beta=beta, factors=tuple(factors))


def dense_effects(model: Model, rows: Rows) -> Array:
    """A for all effects of all factors, shape ``(n, C, N)``."""
    out = []
    for factor, mine in zip(model.factors, rows.factors, strict=True):
        z = mine.by_logit(factor.logits, model.n_logits) @ factor.Lambda
        wide = np.zeros((rows.n, model.n_logits, factor.n_levels, factor.q))
        wide[np.arange(rows.n), :, mine.codes] = z
        out.append(wide.reshape(rows.n, model.n_logits, -1))
    return np.concatenate(out, axis=2)


def dense_modes(model: Model, rows: Rows, counts: Array, trials: Array) -> tuple[Model, Array]:
    """The model with its conditional modes and their covariance, and H, by Newton's method."""
    A, C = dense_effects(model, rows), model.n_logits
    fixed = fixed_predictor(rows.x, model.beta, rows.offset, rows.n)
    u = np.zeros(A.shape[2])
    for _ in range(25):
        pi = softmax(np.column_stack([np.zeros(rows.n), fixed + A @ u]), axis=1)[:, 1:]
        W = trials[:, None, None] * (pi[:, :, None] * np.eye(C) - pi[:, :, None] * pi[:, None, :])
        H = np.eye(u.size) + np.einsum("ncu,nce,nev->uv", A, W, A)
        gradient = np.einsum("ncu,nc->u", A, counts - trials[:, None] * pi) - u
        u = u + np.linalg.solve(H, gradient)
    inverse, factors, start = np.linalg.inv(H), [], 0
    for factor in model.factors:
        stop = start + factor.n_levels * factor.q
        own = u[start:stop].reshape(-1, factor.q)
        blocks = inverse[start:stop, start:stop].reshape(*own.shape, *own.shape)
        blocks = np.stack([blocks[g, :, g] for g in range(factor.n_levels)])
        covariance = factor.Lambda @ blocks @ factor.Lambda.T
        factors.append(replace(factor, modes=own @ factor.Lambda.T, covariance=covariance))
        start = stop
    return replace(model, factors=tuple(factors)), H


def random_counts(rng: np.random.Generator, n: int, C: int) -> tuple[Array, Array]:
    """Counts, shape ``(n, C)``, out of 1 to 4 trials."""
    trials = rng.integers(1, 5, n)
    drawn = np.array([rng.multinomial(m, np.full(C + 1, 1.0 / (C + 1))) for m in trials])
    return drawn[:, 1:].astype(float), trials.astype(float)


def with_uncertainty(model: Model, rows: Rows, counts: Array, trials: Array) -> Model:
    """The model at its modes, with what the package makes of their uncertainty."""
    model, _ = dense_modes(model, rows, counts, trials)
    return replace(model, modes=uncertainty(model, rows, counts, trials))


def uncertainty(model: Model, rows: Rows, counts: Array, trials: Array) -> ModeUncertainty:
    """What the package computes at the modes of a model."""
    eta = fixed_predictor(rows.x, model.beta, rows.offset, rows.n)
    for factor, mine in zip(model.factors, rows.factors, strict=True):
        z = mine.by_logit(factor.logits, model.n_logits)
        eta += np.einsum("ncq,nq->nc", z, factor.modes[mine.codes])
    return mode_uncertainty(rows.x, model.factors, rows.factors, counts, trials, eta, model.size)
