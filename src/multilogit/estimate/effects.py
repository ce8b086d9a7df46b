"""The random effects of a model: every column of every bar term, on every logit.

With J categories there are C = J − 1 logits, and a bar term of q columns has qC effects: its
columns on the first logit, then on the second, and so on. They are one block, with a full
covariance matrix across columns and logits; with ``||`` every effect is a block of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from multilogit.data.model_frame import Column, ModelFrame, RandomBlock


@dataclass(frozen=True, slots=True)
class FactorEffects:
    """The effects of one grouping factor, its bar terms one after the other.

    Attributes
    ----------
    group
        Name of the factor.
    codes
        Shape ``(n,)`` int32: each row's level, in ``0 .. n_levels - 1``.
    n_levels
        Number of levels.
    columns, logits, names
        Of each effect its column of Z, the logit that it belongs to, and its name.
    blocks
        Sizes of the blocks of correlated effects; they add up to their number.
    """

    group: str
    codes: NDArray[np.int32]
    n_levels: int
    columns: tuple[Column, ...]
    logits: tuple[int, ...]
    names: tuple[str, ...]
    blocks: tuple[int, ...]

    @property
    def q(self) -> int:
        """Effects per level."""
        return len(self.columns)


def factor_effects(frame: ModelFrame) -> tuple[FactorEffects, ...]:
    """The effects of each grouping factor, in the order of the bar terms."""
    groupings = frame.groupings
    prefixes = logit_prefixes(frame)
    found = []
    for group in dict.fromkeys(block.group for block in frame.random):
        mine = [block for block in frame.random if block.group == group]
        effects = [effect for block in mine for effect in _expand(block, prefixes)]
        columns, logits, names = zip(*effects, strict=True)
        blocks = tuple(size for block in mine for size in _sizes(block, len(prefixes)))
        grouping = groupings[group]
        found.append(
            FactorEffects(
                group, grouping.codes, len(grouping.levels), columns, logits, names, blocks
            )
        )
    return tuple(found)


def logit_prefixes(frame: ModelFrame) -> tuple[str, ...]:
    """What stands before the name of a term: the empty text, or ``"logit[category] "``."""
    response = frame.response
    if response.family == "binomial":
        return ("",)
    return tuple(f"logit[{category}] " for category in response.categories[1:])


def _expand(block: RandomBlock, prefixes: Sequence[str]) -> list[tuple[Column, int, str]]:
    """Column, logit and name of each effect of a bar term, logit by logit."""
    return [
        (column, c, prefix + name)
        for c, prefix in enumerate(prefixes)
        for column, name in zip(block.columns, block.names, strict=True)
    ]


def _sizes(block: RandomBlock, n_logits: int) -> list[int]:
    q = len(block.columns) * n_logits
    return [q] if block.correlated else [1] * q
