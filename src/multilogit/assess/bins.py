"""Rows in bins of about equal size, by a variable."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from multilogit.predict import Vector


def equal_parts(x: Vector, parts: int, weights: Vector | None = None) -> NDArray[np.intp]:
    """Bin of every row, from 0, by quantiles of x; equal values share a bin.

    They end at the quantiles k/parts, which belong to the bin below, as in R's
    ``cut(x, quantile(x, 0:parts / parts))`` (but ties at the minimum may fill a bin of their
    own): a value of which there are m observations below belongs to bin ⌈parts · m/(N − 1)⌉.

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
        Shape ``(n,)``, without gaps.
    """
    values, place = np.unique(x, return_inverse=True)
    size = np.bincount(place, weights, values.size)
    below = np.cumsum(size) - size
    steps = parts * below / max(float(size.sum()) - 1.0, 1.0)
    bins = np.maximum(np.ceil(steps - 1e-9).astype(np.intp), 1)
    return np.asarray(np.unique(bins, return_inverse=True)[1][place], dtype=np.intp)
