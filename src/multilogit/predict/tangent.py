"""Predictions with their derivatives in everything that is estimated.

A :class:`Tangent` is a value per row with its derivatives in ψ = (β, θ) and in the random effects
b of the row's levels. Standard errors of predictions, of averages of them, and of slopes all
follow from it by the delta method.

The levels differ in what stands for b: nothing (population), the modes b̂(ψ), which move with ψ
(conditional), or the whole distribution N(0, Σ(θ)) (marginal).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from multilogit.data.model_frame import Column
from multilogit.predict.derivatives import jacobian, slope, slope_jacobian
from multilogit.predict.integrate import (
    Array,
    expected_probabilities,
    moments,
    slope_moments,
)
from multilogit.predict.linear import (
    Level,
    Matrix,
    fixed_predictor,
    probabilities,
    random_predictor,
)
from multilogit.predict.modes import Factor, FactorRows, ModeUncertainty
from multilogit.predict.spread import contract, omega_of, spread_of, theta_tangents

Scale = Literal["response", "link"]

_CHUNK = 1 << 20
"""Derivatives that are held at a time."""
_ROWS = 1 << 14
"""Rows that are integrated at a time, by one rule."""


@dataclass(frozen=True, slots=True)
class Model:
    """The estimates that predictions are made from.

    Attributes
    ----------
    beta
        Shape ``(C, p)``: one row of coefficients per logit.
    factors
        One entry per grouping factor.
    modes
        The uncertainty of their modes, where conditional predictions need derivatives.
    size
        d, the length of ψ.
    """

    beta: Matrix
    factors: tuple[Factor, ...]
    modes: ModeUncertainty | None
    size: int

    @property
    def n_logits(self) -> int:
        """C = J − 1."""
        return int(self.beta.shape[0])


@dataclass(frozen=True, slots=True)
class Rows:
    """The columns to predict from.

    Attributes
    ----------
    n
        Number of rows.
    x
        p columns of X.
    factors
        One entry per grouping factor of the model; empty where the level has no use for them.
    offset
        Shape ``(n,)`` or None.
    """

    n: int
    x: tuple[Column, ...]
    factors: tuple[FactorRows, ...] = ()
    offset: Column | None = None

    def part(self, start: int, stop: int) -> Rows:
        """Rows ``start`` to ``stop``."""
        some = slice(start, stop)
        return Rows(
            min(stop, self.n) - start,
            tuple(column[some] for column in self.x),
            tuple(
                FactorRows(tuple(column[some] for column in factor.columns), factor.codes[some])
                for factor in self.factors
            ),
            None if self.offset is None else self.offset[some],
        )


@dataclass(frozen=True, slots=True)
class Tangent:
    """Values at n rows, and their derivatives.

    Attributes
    ----------
    value
        Shape ``(n, K)``.
    by_psi
        Shape ``(n, K, d)``: total derivatives in ψ, which move the modes along.
    by_modes
        Per factor, shape ``(n, K, q)``: derivatives in b of the row's level.
    """

    value: Matrix
    by_psi: Array
    by_modes: tuple[Array, ...] = ()

    def through(self, value: Matrix, J: Array) -> Tangent:
        """The chain rule: a function of this with ``value`` and Jacobian J, ``(n, K', K)``."""
        return Tangent(value, J @ self.by_psi, tuple(J @ part for part in self.by_modes))

    def __add__(self, other: Tangent) -> Tangent:
        """The sum of two functions."""
        return Tangent(
            self.value + other.value,
            self.by_psi + other.by_psi,
            tuple(a + b for a, b in zip(self.by_modes, other.by_modes, strict=True)),
        )


def chunks(model: Model, rows: Rows) -> Iterator[tuple[int, int]]:
    """Ranges of rows whose derivatives fit into memory together."""
    step = max(1, _CHUNK // ((model.n_logits + 1) * max(1, model.size)))
    for start in range(0, rows.n, step):
        yield start, min(start + step, rows.n)


def value(model: Model, rows: Rows, level: Level, scale: Scale) -> Matrix:
    """The value of :func:`predicted`, without derivatives."""
    if level == "marginal" and model.factors:
        P = _marginal_probabilities(model, rows)
        return P if scale == "response" else _log_ratio(P)
    eta = fixed_predictor(rows.x, model.beta, rows.offset, rows.n)
    pairs = zip(model.factors, rows.factors, strict=True) if level == "conditional" else ()
    for factor, mine in pairs:
        for c in range(model.n_logits):
            own = [k for k, logit in enumerate(factor.logits) if logit == c]
            columns = [mine.columns[k] for k in own]
            eta[:, c] += random_predictor(columns, mine.codes, factor.modes[:, own])
    return eta if scale == "link" else probabilities(eta)


def predicted(model: Model, rows: Rows, level: Level, scale: Scale) -> Tangent:
    """Probabilities, shape ``(n, J)``, or logits against the baseline, shape ``(n, C)``.

    The logits of marginal predictions are those of the marginal probabilities.
    """
    if level == "marginal" and model.factors:
        marginal = _integrated(model, rows)
        return marginal if scale == "response" else _log_odds(marginal)
    eta = _linear(model, rows, level)
    return eta if scale == "link" else _softmax(eta)


def predicted_slope(model: Model, rows: Rows, dx: Rows, level: Level, scale: Scale) -> Tangent:
    """Derivatives of :func:`predicted` in a variable x, whose columns in ``dx`` are ∂X/∂x, ∂Z/∂x.

    ``dx`` has no offset, unless the offset depends on x.
    """
    if level == "marginal" and model.factors:
        marginal, slopes = _integrated_slope(model, rows, dx)
        return slopes if scale == "response" else _log_odds_slope(marginal, slopes)
    d_eta = _linear(model, dx, level)
    if scale == "link":
        return d_eta
    eta = _linear(model, rows, level)
    pi = probabilities(eta.value)
    g = slope(pi, d_eta.value)
    bent = eta.through(g, slope_jacobian(g, g[:, :, None] * pi[:, None, :]))
    moved = d_eta.through(np.zeros_like(g), jacobian(pi))
    return bent + moved


# --- b = 0, or at its modes ------------------------------------------------------------------


def _linear(model: Model, rows: Rows, level: Level) -> Tangent:
    """η = Xβ + o + Zb̂."""
    C, p = model.beta.shape
    eta = fixed_predictor(rows.x, model.beta, rows.offset, rows.n)
    by_psi = np.zeros((rows.n, C, model.size))
    for c in range(C):
        for j, column in enumerate(rows.x):
            by_psi[:, c, c * p + j] = column
    by_modes = []
    if level == "conditional" and model.factors:
        assert model.modes is not None
        for factor, mine, moving in zip(
            model.factors, rows.factors, model.modes.derivatives, strict=True
        ):
            z = mine.by_logit(factor.logits, C)
            eta += np.einsum("ncq,nq->nc", z, _at(factor.modes, mine))
            by_psi += z @ _at(moving, mine)
            by_modes.append(z)
    return Tangent(eta, by_psi, tuple(by_modes))


def _at(by_level: Array, rows: FactorRows) -> Array:
    """Values of the rows' levels; 0 for levels that the fit has not seen."""
    known = rows.codes >= 0
    out = by_level[np.where(known, rows.codes, 0)]
    out[~known] = 0.0
    return out


def _softmax(eta: Tangent) -> Tangent:
    pi = probabilities(eta.value)
    return eta.through(pi, jacobian(pi))


# --- b ~ N(0, Σ) -----------------------------------------------------------------------------


def _marginal_probabilities(model: Model, rows: Rows) -> Matrix:
    """E[softmax(0, η)] over the random effects, shape ``(n, J)``, without derivatives."""
    eta = fixed_predictor(rows.x, model.beta, rows.offset, rows.n)
    A = [factor_z @ f.Lambda for f, factor_z in zip(model.factors, _z(model, rows), strict=True)]
    R = spread_of(omega_of(A, A, rows.n, model.n_logits)).R
    out = np.empty((rows.n, model.n_logits + 1))
    for start in range(0, rows.n, _ROWS):
        some = slice(start, start + _ROWS)
        out[some] = expected_probabilities(eta[some], R[some])
    return out


def _z(model: Model, rows: Rows) -> list[Array]:
    return [
        mine.by_logit(factor.logits, model.n_logits)
        for factor, mine in zip(model.factors, rows.factors, strict=True)
    ]


def _integrated(model: Model, rows: Rows) -> Tangent:
    """E[softmax(0, η)] with its derivatives in β and θ."""
    eta = fixed_predictor(rows.x, model.beta, rows.offset, rows.n)
    z = _z(model, rows)
    A = [each @ f.Lambda for f, each in zip(model.factors, z, strict=True)]
    spread = spread_of(omega_of(A, A, rows.n, model.n_logits))
    found = moments(eta, spread.R)
    J = jacobian(found.plain, found.product)
    by_psi = np.zeros((*found.plain[0].shape, model.size))
    _add_beta(by_psi, J[0], rows)
    for factor, z_f, A_f in zip(model.factors, z, A, strict=True):
        for k, omega_k in enumerate(theta_tangents(z_f, A_f, factor.positions), factor.theta.start):
            by_psi[:, :, k] = contract(J[1:], spread.tangent(omega_k))
    return Tangent(found.plain[0], by_psi)


def _integrated_slope(model: Model, rows: Rows, dx: Rows) -> tuple[Tangent, Tangent]:
    """E[softmax(0, η)], and its derivative in x, with the derivatives of both in β and θ."""
    eta = fixed_predictor(rows.x, model.beta, rows.offset, rows.n)
    eta_x = fixed_predictor(dx.x, model.beta, dx.offset, rows.n)
    z, z_x = _z(model, rows), _z(model, dx)
    A = [each @ f.Lambda for f, each in zip(model.factors, z, strict=True)]
    A_x = [each @ f.Lambda for f, each in zip(model.factors, z_x, strict=True)]
    spread = spread_of(omega_of(A, A, rows.n, model.n_logits))
    omega_x = 2.0 * omega_of(A, A_x, rows.n, model.n_logits)
    R_x = spread.tangent(omega_x)
    pi, g = slope_moments(eta, spread.R, eta_x, R_x)
    J, S = jacobian(pi.plain, pi.product), slope_jacobian(g.plain, g.product)
    by_psi = np.zeros((*pi.plain[0].shape, model.size))
    slope_by_psi = np.zeros_like(by_psi)
    _add_beta(by_psi, J[0], rows)
    _add_beta(slope_by_psi, S[0], rows)
    _add_beta(slope_by_psi, J[0], dx)
    for f, factor in enumerate(model.factors):
        at = factor.positions
        of_k = theta_tangents(z[f], A[f], at)
        mixed = zip(theta_tangents(z_x[f], A[f], at), theta_tangents(z[f], A_x[f], at), strict=True)
        for k, (omega_k, (left, right)) in enumerate(
            zip(of_k, mixed, strict=True), factor.theta.start
        ):
            R_k = spread.tangent(omega_k)
            R_xk = spread.second(R_x, R_k, omega_x, left + right)
            by_psi[:, :, k] = contract(J[1:], R_k)
            slope_by_psi[:, :, k] = contract(S[1:], R_k) + contract(J[1:], R_xk)
    return Tangent(pi.plain[0], by_psi), Tangent(g.plain[0], slope_by_psi)


def _add_beta(by_psi: Array, J: Array, rows: Rows) -> None:
    """Add ∂/∂β_cj = J_c x_j."""
    p = len(rows.x)
    for c in range(J.shape[2]):
        for j, column in enumerate(rows.x):
            by_psi[:, :, c * p + j] += J[:, :, c] * column[:, None]


def _log_ratio(P: Matrix) -> Matrix:
    """log P_c/P_0; infinite where a probability is 0."""
    with np.errstate(divide="ignore"):
        return np.asarray(np.log(P[:, 1:]) - np.log(P[:, :1]))


def _log_odds(P: Tangent) -> Tangent:
    """log P_c/P_0 with its derivatives, which are NaN where a probability is 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return P.through(_log_ratio(P.value), _log_odds_jacobian(P.value))


def _log_odds_jacobian(P: Matrix) -> Array:
    """∂ log(P_c/P_0)/∂P_j, shape ``(n, C, J)``."""
    inverse = 1.0 / P
    J = np.eye(P.shape[1])[1:] * inverse[:, None, :]
    J[:, :, 0] = -inverse[:, :1]
    return J


def _log_odds_slope(P: Tangent, P_x: Tangent) -> Tangent:
    """d/dx log P_c/P_0 = P_x,c/P_c − P_x,0/P_0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        J = _log_odds_jacobian(P.value)
        value = np.einsum("ncj,nj->nc", J, P_x.value)
        bent = P.through(value, -np.sign(J) * J**2 * P_x.value[:, None, :])
        return bent + P_x.through(np.zeros_like(value), J)
