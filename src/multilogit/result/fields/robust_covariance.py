"""A covariance that replaces the model's own."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class RobustCovariance:
    """A covariance matrix that stays valid where the model's own does not.

    Attributes
    ----------
    kind
        ``"HC0"`` … ``"HC3"``, ``"CR0"``, ``"CR1"`` or ``"CR1S"``.
    matrix
        Shape ``(d, d)``, of ψ; NaN for parameters on their boundary.
    groups
        Name of the clusters; empty for ``"HC…"``.
    n_groups
        Number of independent pieces of data: clusters, or rows.
    """

    kind: str
    matrix: NDArray[np.float64]
    groups: str
    n_groups: int
