"""Rows in bins of about equal size, by a variable."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from multilogit.predict import Vector


def equal_parts(x: Vector, parts: int, weights: Vector | None = None) -> NDArray[np.intp]:
    """Bin of every row, from 0, by quantiles of x; equal values share a bin.

    Parameters
    ----------
    x
        Shape ``(n,)``.
    parts
        Number of bins at most.
    weights
        Shape ``(n,)``: observations behind each row; None: one.

    Returns
    -------
    bins
        Shape ``(n,)``, without gaps. A value belongs where the middle of its observations, in
        the order of x, lies.
    """
    values, place = np.unique(x, return_inverse=True)
    size = np.bincount(place, weights, values.size)
    middle = np.cumsum(size) - 0.5 * size
    total = size.sum()
    bins = np.minimum((parts * middle / max(total, 1e-300)).astype(np.intp), parts - 1)
    return np.asarray(np.unique(bins, return_inverse=True)[1][place], dtype=np.intp)
