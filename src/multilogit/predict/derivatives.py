"""Derivatives of softmax(0, η), baseline first: π' and π'' in closed form.

    ∂π_j/∂η_c   = π_j(δ_jc − π_c)
    dπ_j[a]     = π_j(a_j − π'a) =: g_j                 along a direction a, with a_0 = 0
    ∂g_j/∂η_c   = δ_jc g_j − g_j π_c − π_j g_c

The same formulas hold for expectations over random effects, with E[π_j π_c], E[g_j π_c] for the
products (Czepiel, eqs 24–37, has the first line).
"""

from __future__ import annotations

import numpy as np

from multilogit.predict.integrate import Array
from multilogit.predict.linear import Matrix


def jacobian(pi: Array, product: Array | None = None) -> Array:
    """∂π_j/∂η_c, shape ``(..., J, C)``, from π and, where they are averages, E[ππ']."""
    pairs = pi[..., :, None] * pi[..., None, :] if product is None else product
    return np.asarray(_diagonal(pi) - pairs[..., 1:])


def slope(pi: Matrix, a: Matrix) -> Matrix:
    """g = dπ[a], shape ``(n, J)``, for directions a of the logits, shape ``(n, C)``."""
    full = np.column_stack([np.zeros(a.shape[0]), a])
    return np.asarray(pi * (full - np.einsum("nj,nj->n", pi, full)[:, None]))


def slope_jacobian(g: Array, product: Array) -> Array:
    """∂g_j/∂η_c, shape ``(..., J, C)``, from g and g π' (or its expectation)."""
    return np.asarray(_diagonal(g) - product[..., 1:] - np.swapaxes(product, -1, -2)[..., 1:])


def _diagonal(g: Array) -> Array:
    """δ_jc g_j for the logits c, shape ``(..., J, C)``."""
    return np.asarray(np.eye(g.shape[-1])[:, 1:] * g[..., :, None])
