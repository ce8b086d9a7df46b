"""Natural cubic splines, with the columns of R's ``splines::ns``.

Cubic B-splines on the interior knots and four times each boundary knot (de Boor 1978, ch. X), of
which those combinations are kept whose second derivative is 0 at both boundaries: beyond them the
spline goes on as a straight line.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_ORDER = 4
"""Of a cubic spline."""


def ns(
    data: Any,
    df: int | None = None,
    knots: Sequence[float] | None = None,
    lower_bound: float | None = None,
    upper_bound: float | None = None,
    _state: dict[str, Any] | None = None,
) -> dict[str, Floats]:
    """The columns of a natural spline by their names, without the intercept.

    Parameters
    ----------
    data
        Shape ``(n,)``.
    df
        Number of columns: ``df - 1`` knots at quantiles.
    knots
        Interior knots in place of ``df``.
    lower_bound, upper_bound
        Boundary knots; default: the range of the data.
    _state
        ``knots``: all of them, once they are learnt.

    Raises
    ------
    ValueError
        Both df and knots; knots outside of the boundaries.
    """
    x = np.asarray(data, dtype=np.float64)
    state = {} if _state is None else _state
    if "knots" not in state:
        low = float(x.min()) if lower_bound is None else float(lower_bound)
        high = float(x.max()) if upper_bound is None else float(upper_bound)
        state["knots"] = [low] * _ORDER + _interior(x, df, knots, low, high) + [high] * _ORDER
    columns = natural_basis(x, np.asarray(state["knots"]))
    return {str(k + 1): column for k, column in enumerate(columns.T)}


def _interior(
    x: Floats, df: int | None, knots: Sequence[float] | None, low: float, high: float
) -> list[float]:
    if knots is not None and df is not None:
        raise ValueError("Give df= or knots=, not both.")
    if knots is None:
        within = x[(x >= low) & (x <= high)]
        knots = np.quantile(within, np.linspace(0.0, 1.0, (df or 1) + 1)[1:-1]).tolist()
    inner: list[float] = np.sort(np.atleast_1d(np.asarray(knots, dtype=np.float64))).tolist()
    if not all(low < knot < high for knot in inner):
        raise ValueError(
            f"Not all knots ({', '.join(f'{knot:.6g}' for knot in inner)}) lie between the "
            f"boundaries {low:.6g} and {high:.6g}. Give knots= that do, or a smaller df=."
        )
    return inner


def natural_basis(x: Floats, knots: Floats) -> Floats:
    """The natural splines at x, shape ``(n, len(knots) - 7)``."""
    inside = np.clip(x, knots[0], knots[-1])
    values = b_splines(inside, knots)
    beyond = np.flatnonzero(x != inside)
    slopes = b_splines(inside[beyond], knots, derivative=1)
    values[beyond] += (x - inside)[beyond, None] * slopes
    curvature = b_splines(knots[[0, -1]], knots, derivative=2)
    # The orthogonal complement of the curvatures at both ends; the first B-spline is the intercept.
    Q, _ = np.linalg.qr(curvature[:, 1:].T, mode="complete")
    return np.asarray(values[:, 1:] @ Q[:, 2:])


def b_splines(x: Floats, knots: Floats, order: int = _ORDER, derivative: int = 0) -> Floats:
    """B-splines, or their derivatives, at x between the boundaries; shape ``(n, m - order)``.

    The recurrences of de Boor (1978, ch. X, eqs. 5 and 12), with 0/0 = 0.
    """
    m = knots.size
    if order == 1:
        at = np.searchsorted(knots, x, side="right") - 1
        last = int(np.searchsorted(knots, knots[-1])) - 1  # the upper boundary belongs to it
        return np.asarray(np.minimum(at, last)[:, None] == np.arange(m - 1), dtype=np.float64)
    lower = b_splines(x, knots, order - 1, max(derivative - 1, 0))
    width = knots[order - 1 :] - knots[: m - order + 1]
    scaled = lower * np.divide(1.0, width, out=np.zeros_like(width), where=width > 0.0)
    if derivative:
        return np.asarray((order - 1) * (scaled[:, :-1] - scaled[:, 1:]))
    left = (x[:, None] - knots[: m - order]) * scaled[:, :-1]
    return np.asarray(left + (knots[order:] - x[:, None]) * scaled[:, 1:])
