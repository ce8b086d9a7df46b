"""Simulated multinomial responses with random effects."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]
LABELS = "abcdefg"


def simulate(
    seed: int,
    beta: ArrayLike,
    Sigma: ArrayLike,
    *,
    groups: int,
    size: int,
    slopes: bool = False,
) -> pd.DataFrame:
    """Columns ``y`` (categories a, b, …), ``x``, ``g``.

    ``beta``, shape ``(C, 2)``: intercept and slope of each logit against category a. ``Sigma``:
    covariance of the random intercepts, or of (intercept, slope) logit by logit.
    """
    rng = np.random.default_rng(seed)
    coefficients = np.asarray(beta, dtype=float)
    n_logits = len(coefficients)
    g = np.repeat(np.arange(groups), size)
    x = rng.normal(size=g.size)
    b = rng.normal(size=(groups, len(np.asarray(Sigma)))) @ np.linalg.cholesky(Sigma).T
    effects = b.reshape(groups, n_logits, 2 if slopes else 1)[g]
    eta = coefficients[:, 0] + x[:, None] * coefficients[:, 1] + effects[:, :, 0]
    if slopes:
        eta = eta + x[:, None] * effects[:, :, 1]
    every = np.column_stack([np.zeros(g.size), eta]) + rng.gumbel(size=(g.size, n_logits + 1))
    return pd.DataFrame({"y": np.array(list(LABELS))[every.argmax(axis=1)], "x": x, "g": g})


def against(baseline: int, n_categories: int, columns: int = 1) -> Array:
    """The linear map from the logits against category 0 to those against another baseline."""
    rest = [c for c in range(n_categories) if c != baseline]
    change = [[float(c == k) - float(k == baseline) for k in range(1, n_categories)] for c in rest]
    return np.kron(change, np.eye(columns))
