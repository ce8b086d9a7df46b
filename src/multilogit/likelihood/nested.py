"""The log marginal likelihood of a model with nested grouping factors.

    η = Xβ + o + Σ_d Z_d b_d,   b_d = Λ_d(θ)u_d,   u_d ~ N(0, I),   ψ = (β, θ)

Level 0 holds the leaves (pupils in classes: the classes), the last level the roots (their
schools); every group of a level lies within one group of the next. Responses are binomial or
multinomial; multinomial, η has a component for each logit, and every random effect is one of one
logit. Value, gradient and Hessian are exact and cost time in proportion to the rows: the groups
are eliminated from the leaves to the roots, as ``core/nested_forest.hpp`` says; quadrature is in
``core/nested_quadrature.hpp``; the mathematics is in ``docs/mathematics``.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from itertools import chain, pairwise

import numpy as np
from numpy.typing import NDArray

from multilogit import _core
from multilogit.errors import OptionError
from multilogit.evaluation import Matrix, Vector
from multilogit.likelihood.columns import (
    response_columns,
    root_mean_square,
    share_columns,
    unpack_symmetric,
)
from multilogit.likelihood.common import TiledRows
from multilogit.likelihood.covariance import CovarianceStructure
from multilogit.likelihood.grouped import product_rule
from multilogit.likelihood.mixed import Column, Order

Codes = NDArray[np.int32]

_MOST_EFFECTS = 32


def is_nested(codes_a: Codes, codes_b: Codes) -> bool:
    """Whether every group of factor a lies within one group of factor b.

    Parameters
    ----------
    codes_a, codes_b
        Shape ``(n,)``: each row's group, from 0.
    """
    if codes_a.size == 0:
        return True
    of_group = np.empty(int(codes_a.max()) + 1, dtype=codes_b.dtype)
    of_group[codes_a] = codes_b  # of several, the last one
    return bool(np.array_equal(of_group[codes_a], codes_b))


class NestedLikelihood(TiledRows[_core.NestedData]):
    """ℓ(ψ) for nested factors, of any depth: an :class:`~multilogit.evaluation.Objective`.

    Parameters
    ----------
    x
        p columns of X, each contiguous float64 of shape ``(n,)``.
    z_by_level
        For every level, from the leaves to the roots, its columns of Z.
    blocks_by_level
        For every level the sizes of the blocks of correlated effects, in the order of its
        columns.
    y, trials
        Shape ``(n,)``: successes and trials, frequency weights multiplied in. With ``logits``,
        ``y`` has shape ``(n, C)``, F-ordered: the counts of all categories but the baseline.
    codes_by_level
        For every level, shape ``(n,)`` int32 in ``0 .. n_groups - 1``.
    n_groups_by_level
        For every level its number of groups.
    offset
        Shape ``(n,)`` or None.
    logits
        For every level the logit, 0 … C − 1, of each of its effects: a multinomial response.
        None: a binomial one.
    nodes
        1: Laplace's approximation. K > 1: adaptive Gauss–Hermite quadrature with K nodes for
        every effect, each level within the one above: K^q times the rows for q effects, those
        of all levels together.
    threads
        Worker threads at most, over the groups of the last level; the result does not depend
        on it.
    scratch
        A directory: the columns are kept in files there, see :meth:`release`. Empty: in memory.

    Raises
    ------
    OptionError
        If a level is not nested in the next one, or there are more than 32 random effects in
        all.

    Notes
    -----
    One level alone is the model of
    :class:`~multilogit.likelihood.grouped.GroupedLikelihood`. The columns are copied once,
    into the core's tiles. The value leaves out the binomial or multinomial coefficients. The
    modes û found by one evaluation are the start of the next, so values at the same ψ may differ
    in the last digits when reached along different ways.
    """

    def __init__(
        self,
        x: Sequence[Column],
        z_by_level: Sequence[Sequence[Column]],
        blocks_by_level: Sequence[Sequence[int]],
        y: Column | Matrix,
        trials: Column,
        codes_by_level: Sequence[Codes],
        n_groups_by_level: Sequence[int],
        *,
        offset: Column | None = None,
        logits: Sequence[Sequence[int]] | None = None,
        nodes: int = 1,
        threads: int = 1,
        scratch: str = "",
    ) -> None:
        for lower, (a, b) in enumerate(pairwise(codes_by_level)):
            if not is_nested(a, b):
                raise OptionError(
                    f"level {lower} is not nested in level {lower + 1}: one of its groups has "
                    f"rows in several groups there. Give the levels from the leaves to the "
                    f"roots, or treat the factors as crossed."
                )
        z = [column for columns in z_by_level for column in columns]
        if len(z) > _MOST_EFFECTS:
            raise OptionError(
                f"Nested factors have {len(z)} random effects, those of all levels together; at "
                f"most {_MOST_EFFECTS} are available. Leave out levels or slopes."
            )
        responses = response_columns(y)
        self.p = len(x) * len(responses)
        self.structure = CovarianceStructure.of_blocks(
            [size for blocks in blocks_by_level for size in blocks]
        )
        self.threads = threads
        self.z_scale = np.array([root_mean_square(column) for column in z])
        self._effects = [len(columns) for columns in z_by_level]
        self._logits = [0] * len(z) if logits is None else list(chain(*logits))
        columns, self._z_index = share_columns(list(x), z)
        self._data = _core.NestedData(
            columns,
            len(x),
            logits is not None,
            responses,
            trials,
            offset,
            list(codes_by_level),
            list(n_groups_by_level),
            scratch,
        )
        self.order: Order = ()
        self.restart()
        self.set_nodes(nodes)

    def set_nodes(self, nodes: int) -> None:
        """Nodes per effect from now on; 1: Laplace's approximation."""
        self.depends_on_order = nodes > 1 and max(self.structure.blocks) > 1
        rules = [] if nodes == 1 else [serpentine(nodes, q) for q in self._effects]
        self._data.set_nodes([points for points, _ in rules], [weights for _, weights in rules])

    @property
    def quadrature_bytes(self) -> int:
        """About what an evaluation by quadrature keeps of the trees, in every thread.

        Whole trees are looked at together, once for every level that integrates.
        """
        size = self.p + self.structure.m
        effects = len(set(self._z_index))
        of_leaf = 3 * effects * size + 2 * effects * self.p + 40
        return 8 * of_leaf * len(self._effects) * self._data.most_leaves

    def reorder(self, order: Order, turn: Matrix | None = None) -> None:
        turned = None
        if turn is not None:
            turned = [
                np.ascontiguousarray(u @ turn[level, level].T)
                for u, level in zip(self.modes(), self.factors(), strict=True)
            ]
        self.order = order
        self._data.set_structure(
            [self._z_index[a] for a in order],
            [self._logits[a] for a in order],
            self._effects,
            self.structure.rows.tolist(),
            self.structure.columns.tolist(),
        )
        if turned is not None:
            self._data.set_modes(turned)

    def set_response(self, y: Column | Matrix, trials: Column) -> None:
        """Replace the response; design, grouping and modes stay."""
        self._data.set_response(response_columns(y), trials)

    def factors(self) -> tuple[slice, ...]:
        """The effects of each level, from the leaves to the roots."""
        ends = np.cumsum(self._effects).tolist()
        return tuple(slice(end - q, end) for end, q in zip(ends, self._effects, strict=True))

    def modes(self) -> tuple[Matrix, ...]:
        """û of the last evaluation: for each level, shape ``(n_groups, q_d)``."""
        return tuple(np.asarray(u) for u, _ in self._data.modes())

    def mode_covariance(self) -> tuple[NDArray[np.float64], ...]:
        """ΛH⁻¹Λ' of the last evaluation: for each level, shape ``(n_groups, q_d, q_d)``."""
        return tuple(
            unpack_symmetric(np.asarray(packed), q)
            for (_, packed), q in zip(self._data.modes(), self._effects, strict=True)
        )

    def moments(self, beta: Vector) -> tuple[tuple[Matrix, NDArray[np.float64]], ...]:
        """Z_d'r, ``(n_groups, q_d)``, and Z_d'WZ_d, ``(n_groups, q_d, q_d)``, at b = 0."""
        return tuple(
            (np.asarray(score), unpack_symmetric(np.asarray(information), q))
            for (score, information), q in zip(self._data.moments(beta), self._effects, strict=True)
        )


@cache
def serpentine(nodes: int, q: int) -> tuple[Matrix, Vector]:
    """The product rule in an order in which every node is next to the one before.

    The conditional modes of the levels below are followed from node to node.
    """
    points, log_weights = product_rule(nodes, q)
    index = np.indices((nodes,) * q).reshape(q, -1)
    for axis in range(1, q):  # back and forth
        back = np.arange(nodes**q) // nodes ** (q - axis) % 2 == 1
        index[axis, back] = nodes - 1 - index[axis, back]
    order = np.ravel_multi_index(tuple(index), (nodes,) * q)
    return np.ascontiguousarray(points[order]), log_weights[order]
