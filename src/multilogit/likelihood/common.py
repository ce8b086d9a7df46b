"""What likelihoods of mixed models have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Generic, TypeVar

from multilogit import _core
from multilogit.errors import Status
from multilogit.evaluation import Evaluation, Matrix, Vector
from multilogit.likelihood.covariance import CovarianceStructure
from multilogit.likelihood.mixed import Order

Tiles = TypeVar("Tiles", _core.GroupedData, _core.NestedData)


class OrderedEffects(ABC):
    """Random effects whose order within a block may change, as estimation asks for.

    Attributes
    ----------
    structure, order, z_scale, depends_on_order, whole_hessian
        See :class:`~multilogit.likelihood.mixed.MixedLikelihood`.
    """

    structure: CovarianceStructure
    order: Order
    z_scale: Vector
    depends_on_order: bool = False
    whole_hessian: bool = True

    @abstractmethod
    def reorder(self, order: Order, turn: Matrix | None = None) -> None:
        """Let row a of Λ belong to effect ``order[a]`` from now on.

        ``order`` may only permute within blocks; û becomes ``turn @ û``, or is forgotten.
        """

    @property
    def scale(self) -> Vector:
        """Root mean square of the columns of Z, in the present order of the effects."""
        return self.z_scale[list(self.order)]

    def restart(self) -> None:
        """Forget the modes and any reordering: what comes next depends on nothing before."""
        self.reorder(tuple(range(self.structure.q)))


class TiledRows(OrderedEffects, Generic[Tiles]):
    """A likelihood whose rows lie in the tiles of the core, in memory or in files.

    Attributes
    ----------
    threads
        Worker threads at most.
    """

    threads: int
    _data: Tiles

    def evaluate(self, psi: Vector, /) -> Evaluation:
        """ℓ(ψ), its gradient and its Hessian; ``INNER_FAILED`` where modes were not found."""
        value, gradient, hessian, found, _ = self._data.evaluate(psi, self.threads)
        return Evaluation(value, gradient, hessian, Status.OK if found else Status.INNER_FAILED)

    @property
    def bytes(self) -> int:
        """What the columns take, in memory or in files."""
        return self._data.bytes

    def release(self) -> None:
        """Columns in files take no memory until they are used again."""
        self._data.release()

    def prefetch(self) -> None:
        """Begin to read columns in files: they are needed soon."""
        self._data.prefetch()
