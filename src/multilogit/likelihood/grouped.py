"""The log marginal likelihood of a model with one grouping factor.

    η = Xβ + o + Zb_g,   b_g = Λ(θ)u_g,   u_g ~ N(0, I_q),   ψ = (β, θ)

With J > 2 categories η has C = J − 1 logits, each with a β of its own, and every random effect
belongs to one logit: η_ic = x_i'β_c + o_i + Σ_a [logit(a) = c] z_ia b_ga.

Value, gradient and Hessian are exact and come from the compiled core; this module knows which
element of θ is which element of Λ, and in which coordinates the core works. The mathematics is
in ``docs/mathematics``; every formula is named in ``core/group_unit.hpp``, ``core/laplace.hpp``
and ``core/quadrature.hpp``, the rows' part in ``core/binomial_rows.hpp`` and
``core/categorical_rows.hpp``.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray

from multilogit import _core
from multilogit.evaluation import Matrix, Vector
from multilogit.likelihood.columns import (
    response_matrix,
    root_mean_square,
    share_columns,
    unpack_symmetric,
)
from multilogit.likelihood.common import TiledRows
from multilogit.likelihood.covariance import CovarianceStructure
from multilogit.likelihood.mixed import Column, Order


class GroupedLikelihood(TiledRows[_core.GroupedData]):
    """ℓ(ψ) for one grouping factor: an :class:`~multilogit.evaluation.Objective`.

    Parameters
    ----------
    x
        Columns of X, each contiguous float64 of shape ``(n,)``.
    z
        q columns of Z, one per effect.
    blocks
        Sizes of the blocks of correlated effects, in the order of ``z``.
    y, trials
        Shape ``(n,)``: successes and trials, frequency weights multiplied in. With ``logits``
        ``y`` has shape ``(n, C)``, F-ordered: counts of the categories but the baseline.
    codes
        Shape ``(n,)`` int32 in ``0 .. n_groups - 1``.
    n_groups
        Number of groups.
    offset
        Shape ``(n,)``, the same for every logit, or None.
    logits
        Shape ``(q,)``: the logit of each effect, 0 … C − 1, for a categorical response. None:
        binomial.
    nodes
        1: Laplace's approximation. K > 1: adaptive Gauss–Hermite quadrature with K nodes per
        effect (product rule: K^q per group).
    threads
        Worker threads at most; the result does not depend on it.
    scratch
        A directory: the columns are kept in files there, see :meth:`release`. Empty: in memory.

    Notes
    -----
    The columns are copied once, into the core's tiles. The value leaves out the binomial
    coefficients. The modes û found by one evaluation are the start of the next, so values at
    the same ψ may differ in the last digits when reached along different ways.
    """

    def __init__(
        self,
        x: Sequence[Column],
        z: Sequence[Column],
        blocks: Sequence[int],
        y: Column | Matrix,
        trials: Column,
        codes: NDArray[np.int32],
        n_groups: int,
        *,
        offset: Column | None = None,
        logits: Sequence[int] | None = None,
        nodes: int = 1,
        threads: int = 1,
        scratch: str = "",
    ) -> None:
        self.p = len(x) if logits is None else len(x) * y.shape[1]
        self.structure = CovarianceStructure.of_blocks(blocks)
        self.threads = threads
        columns, self._z_index = share_columns(list(x), z)
        self.z_scale = np.array([root_mean_square(column) for column in z])
        self._logits = [0] * len(z) if logits is None else list(logits)
        self._data = _core.GroupedData(
            columns,
            len(x),
            response_matrix(y),
            trials,
            offset,
            codes,
            n_groups,
            logits is not None,
            scratch,
            threads,
        )
        self.order: Order = ()
        self.restart()
        self.set_nodes(nodes)

    def set_nodes(self, nodes: int) -> None:
        """Nodes per effect from now on; 1: Laplace's approximation."""
        self.depends_on_order = nodes > 1 and max(self.structure.blocks) > 1
        points, log_weights = product_rule(nodes, self.structure.q)
        if nodes == 1:  # the same number by a shorter way
            points, log_weights = points[:0], log_weights[:0]
        self._data.set_nodes(points, log_weights)

    def reorder(self, order: Order, turn: Matrix | None = None) -> None:
        u = None if turn is None else self.modes()[0] @ turn.T
        self.order = order
        self._data.set_structure(
            [self._z_index[a] for a in order],
            [self._logits[a] for a in order],
            self.structure.rows.tolist(),
            self.structure.columns.tolist(),
        )
        if u is not None:
            self._data.set_modes(np.ascontiguousarray(u))

    def set_response(self, y: Column | Matrix, trials: Column) -> None:
        """Replace the response; design, grouping and modes stay."""
        self._data.set_response(response_matrix(y), trials)

    def factors(self) -> tuple[slice, ...]:
        """All effects belong to the one factor."""
        return (slice(0, self.structure.q),)

    def modes(self) -> tuple[Matrix, ...]:
        """û of the last evaluation, shape ``(n_groups, q)``."""
        return (np.asarray(self._data.modes()[0]),)

    def mode_covariance(self) -> tuple[NDArray[np.float64], ...]:
        """ΛH⁻¹Λ' of the last evaluation, shape ``(n_groups, q, q)``."""
        return (unpack_symmetric(np.asarray(self._data.modes()[1]), self.structure.q),)

    def moments(self, beta: Vector) -> tuple[tuple[Matrix, NDArray[np.float64]], ...]:
        """Z'r and Z'WZ of every group at b = 0; shapes ``(n_groups, q)``, ``(n_groups, q, q)``."""
        score, information = self._data.moments(beta)
        return ((np.asarray(score), unpack_symmetric(np.asarray(information), self.structure.q)),)


@cache
def product_rule(nodes: int, q: int) -> tuple[Matrix, Vector]:
    """Nodes, shape ``(nodes**q, q)``, and log weights for the standard normal in q dimensions."""
    x, weight = np.polynomial.hermite_e.hermegauss(nodes)
    log_weight = np.log(weight / weight.sum())
    grids = np.meshgrid(*[x] * q, indexing="ij")
    logs = np.meshgrid(*[log_weight] * q, indexing="ij")
    points = np.column_stack([grid.ravel() for grid in grids])
    return np.ascontiguousarray(points), np.sum([log.ravel() for log in logs], axis=0)
