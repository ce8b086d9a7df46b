"""Likelihoods that are sums over parts of the data: chunks on disk, or partitions on workers.

Groups of the last level (of one grouping factor: its groups) are independent given ψ, so that

    ℓ(ψ) = Σ_k ℓ_k(ψ)

over parts k that hold whole groups. What estimation asks of a likelihood is then a sum over the
parts, a message to all of them, or a collection of what each of them knows of its own groups.
Where the parts live is known to :class:`Parts` alone. Sums are taken in the order of the parts,
so that they are the same every time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, reduce
from operator import add
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from multilogit.errors import OptionError
from multilogit.evaluation import Evaluation, Matrix, Vector
from multilogit.likelihood.covariance import CovarianceStructure
from multilogit.likelihood.mixed import Column, Order

Levels = NDArray[np.intp]


class Parts(Protocol):
    """The likelihoods of the parts, wherever they are."""

    def call(self, method: str, /, *arguments: Any) -> list[Any]:
        """What ``method`` of every part returns, in the order of the parts.

        A part is a :class:`~multilogit.likelihood.grouped.GroupedLikelihood`, a
        :class:`~multilogit.likelihood.nested.NestedLikelihood` or a
        :class:`~multilogit.likelihood.fixed.FixedLikelihood`; all are of one kind.
        """
        ...


@dataclass(frozen=True, slots=True)
class LocalParts:
    """Parts in the memory of this process.

    Attributes
    ----------
    likelihoods
        At least one.
    """

    likelihoods: Sequence[Any]

    def call(self, method: str, /, *arguments: Any) -> list[Any]:
        """What ``method`` of every part returns, one part after the other."""
        return [getattr(likelihood, method)(*arguments) for likelihood in self.likelihoods]


@dataclass(frozen=True, slots=True)
class MixedShape:
    """What all parts of a model with random effects have in common.

    Attributes
    ----------
    p
        Number of fixed effects, those of all logits.
    blocks
        Sizes of the blocks of correlated effects, of all grouping factors.
    effects
        Number of effects of each grouping factor, from the leaves to the roots.
    levels
        Number of levels of each grouping factor, in all parts together.
    z_scale
        Shape ``(q,)``: root mean square of each column of Z over all rows; see
        :func:`pooled_scale`.
    """

    p: int
    blocks: tuple[int, ...]
    effects: tuple[int, ...]
    levels: tuple[int, ...]
    z_scale: Vector


def pooled_scale(squares: Vector, rows: int) -> Vector:
    """``z_scale`` from the sum of squares of each column of Z over all parts, and their rows.

    1 for a column of zeros, as :func:`~multilogit.likelihood.columns.root_mean_square`.
    """
    scale = np.sqrt(np.asarray(squares, dtype=np.float64) / rows)
    scale[scale == 0.0] = 1.0
    return scale


class SummedMixed:
    """ℓ(ψ) of a model with random effects as the sum over parts of whole groups.

    A :class:`~multilogit.likelihood.mixed.MixedLikelihood`, the same as that of all rows
    together but for rounding.

    Parameters
    ----------
    parts
        The parts' likelihoods, whose groups are numbered within the part.
    shape
        What they have in common.
    levels
        ``levels[k][f]``: of each group of factor f in part k its number among all groups of the
        factor.
    """

    def __init__(self, parts: Parts, shape: MixedShape, levels: Sequence[Sequence[Levels]]) -> None:
        self.parts = parts
        self.shape = shape
        self.p = shape.p
        self.structure = CovarianceStructure.of_blocks(shape.blocks)
        self.z_scale = shape.z_scale
        self.order: Order = tuple(range(self.structure.q))
        self.depends_on_order, self.whole_hessian = False, True
        self.nodes = 1
        self._levels = levels

    def evaluate(self, psi: Vector, /) -> Evaluation:
        """ℓ(ψ), its gradient and its Hessian; a part that fails makes the sum fail."""
        found: list[Evaluation] = self.parts.call("evaluate", psi)
        return reduce(add, found)

    def set_nodes(self, nodes: int) -> None:
        """Nodes per effect from now on; 1: Laplace's approximation."""
        self.depends_on_order = nodes > 1 and max(self.structure.blocks) > 1
        self.nodes = nodes
        self.parts.call("set_nodes", nodes)

    @property
    def scale(self) -> Vector:
        """``z_scale`` in the present order of the effects."""
        return self.z_scale[list(self.order)]

    def reorder(self, order: Order, turn: Matrix | None = None) -> None:
        """Change the order within blocks; û becomes ``turn @ û``, or is forgotten."""
        self.order = order
        self.parts.call("reorder", order, turn)

    def restart(self) -> None:
        """Forget modes and reordering."""
        self.order = tuple(range(self.structure.q))
        self.parts.call("restart")

    def set_response(self, y: Column | Matrix, trials: Column) -> None:
        """Refused: which row of a new response belongs to which part is not known.

        Raises
        ------
        OptionError
            Always.
        """
        raise OptionError(
            "A model fitted to parts of its data takes no new response; fit it in memory."
        )

    def factors(self) -> tuple[slice, ...]:
        """The effects of each grouping factor."""
        ends = np.cumsum(self.shape.effects).tolist()
        return tuple(slice(end - q, end) for end, q in zip(ends, self.shape.effects, strict=True))

    def modes(self) -> tuple[Matrix, ...]:
        """û of the last evaluation: per factor, shape ``(levels, q_f)``."""
        return self._collected(self.parts.call("modes"))

    def mode_covariance(self) -> tuple[NDArray[np.float64], ...]:
        """ΛH⁻¹Λ' at the modes: per factor, shape ``(levels, q_f, q_f)``."""
        return self._collected(self.parts.call("mode_covariance"))

    def moments(self, beta: Vector) -> tuple[tuple[Matrix, NDArray[np.float64]], ...]:
        """Per factor Z'r, ``(levels, q_f)``, and Z'WZ, ``(levels, q_f, q_f)``, at b = 0."""
        found = self.parts.call("moments", beta)
        scores = self._collected([[score for score, _ in part] for part in found])
        information = self._collected([[matrix for _, matrix in part] for part in found])
        return tuple(zip(scores, information, strict=True))

    def _collected(
        self, by_part: Sequence[Sequence[NDArray[np.float64]]]
    ) -> tuple[NDArray[np.float64], ...]:
        """For every factor one array over all its levels, from those of the parts."""
        made = []
        for f, n in enumerate(self.shape.levels):
            out = np.zeros((n, *by_part[0][f].shape[1:]))
            for levels, arrays in zip(self._levels, by_part, strict=True):
                out[levels[f]] = arrays[f]
            made.append(out)
        return tuple(made)


class SummedFixed:
    """The single-level log-likelihood as the sum over parts of the rows.

    Parameters
    ----------
    parts
        :class:`~multilogit.likelihood.fixed.FixedLikelihood` of every part.
    p, n_logits
        Columns of X, and logits.
    total_trials
        Σ weights × trials, over all parts.
    """

    def __init__(self, parts: Parts, p: int, n_logits: int, total_trials: float) -> None:
        self.parts = parts
        self.p = p
        self.n_logits = n_logits
        self.total_trials = total_trials

    @property
    def n_parameters(self) -> int:
        """p (J − 1): length of ψ."""
        return self.p * self.n_logits

    def evaluate(self, psi: Vector, /) -> Evaluation:
        """ℓ, its gradient and Hessian at ψ = β."""
        found: list[Evaluation] = self.parts.call("evaluate", psi)
        return reduce(add, found)

    @cached_property
    def at_zero(self) -> Evaluation:
        """The evaluation at β = 0."""
        return self.evaluate(np.zeros(self.n_parameters))

    def normal_equations(self) -> tuple[Matrix, Matrix]:
        """What :func:`~multilogit.likelihood.fixed.start_ols` solves: sums over the parts."""
        grams, crosses = zip(*self.parts.call("normal_equations"), strict=True)
        return reduce(add, grams), reduce(add, crosses)


class WithoutEffects:
    """The single-level likelihood within a model with random effects: all of them at 0.

    Where Λ = 0, the marginal likelihood is the single-level one, and so are its derivatives in
    β: no second copy of the rows is needed. It moves the modes of ``mixed``.

    Parameters
    ----------
    mixed
        The likelihood with random effects.
    n_logits
        C = J − 1.
    total_trials
        Σ weights × trials.
    """

    def __init__(self, mixed: SummedMixed, n_logits: int, total_trials: float) -> None:
        self.mixed = mixed
        self.p = mixed.p // n_logits
        self.n_logits = n_logits
        self.total_trials = total_trials

    @property
    def n_parameters(self) -> int:
        """p (J − 1): length of ψ."""
        return self.mixed.p

    def evaluate(self, psi: Vector, /) -> Evaluation:
        """ℓ, its gradient and Hessian at ψ = β."""
        k = self.mixed.p
        nodes = self.mixed.nodes
        if nodes > 1:  # without effects, one node says it all
            self.mixed.set_nodes(1)
        there = self.mixed.evaluate(np.concatenate([psi, np.zeros(self.mixed.structure.m)]))
        if nodes > 1:
            self.mixed.set_nodes(nodes)
        return Evaluation(there.value, there.gradient[:k], there.hessian[:k, :k], there.status)

    @cached_property
    def at_zero(self) -> Evaluation:
        """The evaluation at β = 0."""
        return self.evaluate(np.zeros(self.n_parameters))

    def normal_equations(self) -> tuple[Matrix, Matrix]:
        """Refused: the likelihood alone does not tell them.

        Raises
        ------
        OptionError
            Always.
        """
        raise OptionError("start='ols' needs the data in memory; leave start= out, or give values.")
