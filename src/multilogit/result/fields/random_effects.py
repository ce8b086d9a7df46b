"""Random effects: what was estimated of one grouping factor."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from multilogit.errors import OptionError


@dataclass(frozen=True, slots=True)
class RandomEffects:
    """Random effects of one grouping factor, all its bar terms together.

    Attributes
    ----------
    group
        Name of the grouping factor.
    names
        q names of the effects, in the order of the bar terms.
    blocks
        Sizes of the bar terms; they add up to q. Effects of different blocks are independent.
    theta
        Slice of ψ that holds the free elements of Λ: per block the column-major lower
        triangle, blocks in order.
    Lambda
        Shape ``(q, q)``, lower-triangular, non-negative diagonal: Σ = ΛΛ'.
    modes
        Shape ``(n_levels, q)``: conditional modes b̂ = Λû.
    mode_covariance
        Shape ``(n_levels, q, q)``: ΛH⁻¹Λ', the conditional covariance of b at the mode.
    """

    group: str
    names: tuple[str, ...]
    blocks: tuple[int, ...]
    theta: slice
    Lambda: NDArray[np.float64]
    modes: NDArray[np.float64]
    mode_covariance: NDArray[np.float64]

    def earlier(self, k: int) -> range:
        """Effects of the same bar term that stand before effect ``k``."""
        start = 0
        for size in self.blocks:
            if k < start + size:
                break
            start += size
        return range(start, k)

    def sd_label(self, k: int) -> str:
        """How tables call the standard deviation of effect ``k``: ``"sd_x|g"``, as lme4."""
        return f"sd_{self.names[k]}|{self.group}"

    def correlation_label(self, k: int, j: int) -> str:
        """The same for its correlation with an earlier effect ``j``: ``"cor_x.y|g"``."""
        return f"cor_{self.names[k]}.{self.names[j]}|{self.group}"


def effects_of(random: Sequence[RandomEffects], group: str | None) -> RandomEffects:
    """The random effects of a grouping factor; None stands for the only one.

    Raises
    ------
    OptionError
        If there is no such grouping factor, or a choice of several.
    """
    known = [effects.group for effects in random]
    if group is None and len(known) == 1:
        return random[0]
    if group in known:
        return random[known.index(group)]
    named = ", ".join(map(repr, known)) or "none: this is a single-level model"
    if group is None and known:
        raise OptionError(f"Name one grouping factor of {named}, as in group={known[0]!r}.")
    asked = "Name one grouping factor" if group is None else f"No grouping factor {group!r}"
    raise OptionError(f"{asked}; this fit has {named}.")


def refuse_single_level(random: Sequence[RandomEffects], what: str) -> None:
    """Refuse what only random effects have.

    Raises
    ------
    OptionError
        There are none.
    """
    if not random:
        raise OptionError(f"{what} belongs to random effects; this is a single-level model.")
