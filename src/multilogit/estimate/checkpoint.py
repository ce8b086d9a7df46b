"""Iterates kept on the way, so that an estimation that was killed goes on where it was.

An estimation is a sequence of searches: one for most models; several where a saddle is left, where
there are several starts, more and more quadrature nodes, or a strength to choose. Which searches
there are follows from data and options alone. So it is enough to keep the last iterate of each,
in order: the k-th search of a resumed estimation goes on from the k-th iterate, and a search that
had ended is at its end at once, for one evaluation.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from multilogit.errors import CheckpointError
from multilogit.likelihood.mixed import Order
from multilogit.newton import Iterate


@dataclass(frozen=True, slots=True)
class Kept:
    """The last iterate of one search.

    Attributes
    ----------
    iterate
        The point, and what else the search must know.
    order
        Of the random effects there, as in :class:`~multilogit.likelihood.mixed.MixedLikelihood`;
        empty without random effects.
    """

    iterate: Iterate
    order: Order = ()


class Checkpoint:
    """The last iterate of every search that an estimation has begun.

    Parameters
    ----------
    write
        Called with all of them whenever one has changed.
    kept
        Those of an earlier estimation of the same model from the same data.
    """

    def __init__(
        self, write: Callable[[tuple[Kept, ...]], None], kept: tuple[Kept, ...] = ()
    ) -> None:
        self._write = write
        self._kept = kept
        self._present = -1

    def begin(self, size: int) -> Kept | None:
        """The next search begins, in so many parameters: where it was, if it has begun before.

        Raises
        ------
        CheckpointError
            What was kept has another number of parameters.
        """
        self._present += 1
        if self._present >= len(self._kept):
            return None
        kept = self._kept[self._present]
        if kept.iterate.psi.size != size:
            raise CheckpointError(
                f"The checkpoint is damaged: search {self._present + 1} has "
                f"{kept.iterate.psi.size} parameters there, and {size} in this fit. Delete it."
            )
        return kept

    def keep(self, kept: Kept) -> None:
        """The present search is here now.

        Where it has moved, searches that were begun later started from elsewhere: their iterates
        are forgotten.
        """
        before = self._kept[self._present : self._present + 1]
        if before and len(kept.iterate.trace) <= len(before[0].iterate.trace):
            return
        self._kept = (*self._kept[: self._present], kept)
        self._write(self._kept)
