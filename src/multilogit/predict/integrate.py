"""Expectations of softmax(0, η + Rt) over t ~ N(0, I): predictions for a group not yet seen.

With b ~ N(0, Σ) the logits of a row are normal, of mean η and covariance Ω = Σ_f z_f'Σ_f z_f = RR',
so that the integral over all random effects has only C dimensions, one per logit.

It is taken by the trapezoidal rule, which converges exponentially for analytic integrands
(Trefethen and Weideman 2014, SIAM Review 56(3), section 5): the error is about exp(−κ) for

    κ = 2πd/h − d²/2,

with the spacing h and the half-width d of the strip around the real axis in which the integrand
is analytic. The softmax has its first pole where two logits differ by iπ: at d = π/s, if the
logits of a row (the baseline's 0 included) spread by s per unit of t. A Gauss–Hermite rule, blind
to the poles, needs thousands of nodes where the standard deviation is 5; this one needs 140.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from multilogit.errors import OptionError
from multilogit.predict.linear import Matrix, Vector, probabilities

Array = NDArray[np.float64]

_EXPONENTS = (34.0, 29.0, 24.0, 20.0)
"""κ for one, two, three, and more logits."""
_MOST_NODES = 20_000_000
_CHUNK = 1 << 19
"""Numbers of one intermediate array."""


@dataclass(frozen=True, slots=True)
class Rule:
    """Nodes, shape ``(k, C)``, and weights, shape ``(k,)``, which add up to 1."""

    nodes: Matrix
    weights: Vector


def rule_for(R: Array) -> Rule:
    """The rule that integrates rows with these R, shape ``(n, C, C)``, accurately.

    Raises
    ------
    OptionError
        If that takes too many nodes: many logits with large variances.
    """
    C = R.shape[1]
    with_baseline = np.concatenate([R, np.zeros_like(R[:, :1])], axis=1)
    spread = np.ptp(with_baseline, axis=1).max(axis=0, initial=0.0)
    rounded = [math.ceil(8.0 * s) / 8.0 for s in spread]  # few different rules: they are kept
    return _product_rule(tuple(rounded), _EXPONENTS[min(C, len(_EXPONENTS)) - 1])


@lru_cache(maxsize=64)
def _product_rule(spread: tuple[float, ...], kappa: float) -> Rule:
    radius = math.sqrt(2.0 * kappa)  # where the normal density has fallen to exp(−κ)
    axes = []
    for s in spread:
        d = min(math.pi / s, radius) if s > 0.0 else radius
        h = 2.0 * math.pi * d / (kappa + 0.5 * d * d)
        k = math.ceil(radius / h)
        axes.append(h * np.arange(-k, k + 1))
    size = math.prod(axis.size for axis in axes)
    if size > _MOST_NODES:
        raise OptionError(
            f"level='marginal': the integral over the random effects of {len(spread)} logits needs "
            f"{size:,} nodes; use level='population', or simulate()."
        )
    grid = np.meshgrid(*axes, indexing="ij", sparse=True)
    squares = sum(axis**2 for axis in grid)
    inside = squares <= radius**2
    nodes = np.column_stack([np.broadcast_to(axis, inside.shape)[inside] for axis in grid])
    weights = np.exp(-0.5 * np.broadcast_to(squares, inside.shape)[inside])
    return Rule(np.ascontiguousarray(nodes), weights / weights.sum())


@dataclass(frozen=True, slots=True)
class Moments:
    """Expectations over t of one vector g(t) per row, and of its product with π(t).

    Attributes
    ----------
    plain
        Shape ``(1 + C, n, J)``: E[g_j], E[t_l g_j].
    product
        Shape ``(1 + C, n, J, J)``: E[g_j π_i], E[t_l g_j π_i].
    """

    plain: Array
    product: Array


def expected_probabilities(eta: Matrix, R: Array) -> Matrix:
    """E[π], π = softmax(0, η + Rt), shape ``(n, J)``.

    Parameters
    ----------
    eta
        Shape ``(n, C)``.
    R
        Shape ``(n, C, C)``: RR' is the covariance of the logits.
    """
    n, C = eta.shape
    out = np.zeros((n, C + 1))
    for t, weights in _parts(R, n * (C + 1)):
        out += np.einsum("k,knj->nj", weights, _softmax(eta, R, t))
    return out


def moments(eta: Matrix, R: Array) -> Moments:
    """Moments of g = π; parameters as in :func:`expected_probabilities`."""
    return _integrate(eta, R, None)[0]


def slope_moments(eta: Matrix, R: Array, eta_x: Matrix, R_x: Array) -> tuple[Moments, Moments]:
    """Moments of π, and of g = dπ/dx = π∘(a − π'a), a = η_x + R_x t.

    Parameters
    ----------
    eta, R
        As in :func:`expected_probabilities`.
    eta_x, R_x
        Their derivatives in a variable x.
    """
    first, second = _integrate(eta, R, (eta_x, R_x))
    return first, second


def _parts(R: Array, size: int) -> Iterator[tuple[Matrix, Vector]]:
    """Nodes and weights, as many at a time as fit with ``size`` numbers for each."""
    if not R.shape[0]:
        return
    rule = rule_for(R)
    step = max(1, _CHUNK // size)
    for start in range(0, rule.weights.size, step):
        yield rule.nodes[start : start + step], rule.weights[start : start + step]


def _softmax(eta: Matrix, R: Array, t: Matrix) -> Array:
    """π at the nodes t, shape ``(k, n, J)``."""
    k, (n, C) = t.shape[0], eta.shape
    logits = eta + np.einsum("ncl,kl->knc", R, t)
    return probabilities(logits.reshape(k * n, C)).reshape(k, n, C + 1)


def _integrate(eta: Matrix, R: Array, slope: tuple[Matrix, Array] | None) -> list[Moments]:
    """The moments of π and, with a slope (η_x, R_x), those of dπ/dx."""
    n, C = eta.shape
    J = C + 1
    made = [
        Moments(np.zeros((1 + C, n, J)), np.zeros((1 + C, n, J, J)))
        for _ in range(1 if slope is None else 2)
    ]
    for t, weights in _parts(R, n * J * J):
        pi = _softmax(eta, R, t)
        found = [pi] if slope is None else [pi, _slope(pi, *slope, t)]
        powers = weights[:, None] * np.column_stack([np.ones(weights.size), t])
        for sums, g in zip(made, found, strict=True):
            pairs = g[..., :, None] * pi[..., None, :]
            # einsum, not @: on long arrays that wakes every thread of the BLAS
            sums.plain[...] += np.einsum("km,knj->mnj", powers, g)
            sums.product[...] += np.einsum("km,knji->mnji", powers, pairs)
    return made


def _slope(pi: Array, eta_x: Matrix, R_x: Array, t: Matrix) -> Array:
    """dπ/dx at the nodes t."""
    a = np.zeros_like(pi)
    a[..., 1:] = eta_x + np.einsum("ncl,kl->knc", R_x, t)
    return np.asarray(pi * (a - np.einsum("knj,knj->kn", pi, a)[..., None]))
