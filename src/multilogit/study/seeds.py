"""Seeds: every replicate of every cell has its own, whatever is run before, beside or after it."""

from __future__ import annotations

import hashlib

import numpy as np


def generator(design: str, cell: str, replicate: int, purpose: str) -> np.random.Generator:
    """Random numbers of one replicate for one purpose (``"data"``, ``"fresh"``, an estimator).

    The names enter by their SHA-256, so that renaming a cell, and nothing else, changes its data.
    """
    words = [_number(design), _number(cell), replicate, _number(purpose)]
    return np.random.default_rng(np.random.SeedSequence(words))


def _number(name: str) -> int:
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "little")
