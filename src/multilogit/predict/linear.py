"""Predictions from columns and estimates: pure functions of arrays.

η = Xβ + offset + Zb, and the probabilities that belong to it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

Vector = NDArray[np.float64]
Matrix = NDArray[np.float64]

Kind = Literal["response", "link", "class"]
Level = Literal["conditional", "population", "marginal"]
NewGroups = Literal["error", "population"]


def fixed_predictor(
    columns: Sequence[Vector], beta: Matrix, offset: Vector | None, n: int
) -> Matrix:
    """Xβ + offset for every logit.

    Parameters
    ----------
    columns
        p columns of X, each of shape ``(n,)``.
    beta
        Shape ``(C, p)``: one row of coefficients per logit.
    offset
        Shape ``(n,)`` or None; added to every logit.
    n
        Number of rows (needed where p is 0).

    Returns
    -------
    eta
        Shape ``(n, C)``.
    """
    eta = np.zeros((n, beta.shape[0]), order="F")
    if offset is not None:
        eta += offset[:, None]
    for c, coefficients in enumerate(beta):
        for column, coefficient in zip(columns, coefficients, strict=True):
            eta[:, c] += coefficient * column
    return eta


def random_predictor(columns: Sequence[Vector], codes: NDArray[np.int32], modes: Matrix) -> Vector:
    """Z b̂ of one grouping factor, shape ``(n,)``.

    Parameters
    ----------
    columns
        q columns of Z, each of shape ``(n,)``.
    codes
        Shape ``(n,)``: level of each row; −1 stands for a level without a mode, whose
        random effects are taken at their mean, 0.
    modes
        Shape ``(n_levels, q)``: conditional modes b̂.
    """
    known = np.vstack([modes, np.zeros((1, modes.shape[1]))])  # row −1: the population
    out = np.zeros(codes.shape[0])
    for k, column in enumerate(columns):
        out += column * known[codes, k]
    return out


def probabilities(eta: Matrix) -> Matrix:
    """Category probabilities softmax(0, η), baseline first.

    Parameters
    ----------
    eta
        Shape ``(n, C)``: logits of the other categories against the baseline.

    Returns
    -------
    pi
        Shape ``(n, C + 1)``; rows add up to 1, NaN where η is NaN.
    """
    if eta.shape[1] == 1:
        return np.column_stack([expit(-eta[:, 0]), expit(eta[:, 0])])
    full = np.column_stack([np.zeros(eta.shape[0]), eta])
    full -= full.max(axis=1, keepdims=True)  # exp cannot overflow
    np.exp(full, out=full)
    full /= full.sum(axis=1, keepdims=True)
    return full


def most_probable(eta: Matrix, categories: Sequence[str]) -> NDArray[np.object_]:
    """Label of the most probable category, shape ``(n,)``; None where η is NaN.

    Ties go to the category that stands first in ``categories`` (the baseline).
    """
    full = np.column_stack([np.zeros(eta.shape[0]), eta])
    missing = np.isnan(full.sum(axis=1))
    labels: NDArray[np.object_] = np.array(categories, dtype=object)[full.argmax(axis=1)]
    labels[missing] = None
    return labels
