"""Separation from sums alone: what the linear programs over all rows say."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from multilogit.estimate.recession import find_separation
from multilogit.likelihood.fixed import FixedLikelihood
from multilogit.outofcore.separated import recession_direction

Array = NDArray[np.float64]
N = 2_000
RNG = np.random.default_rng(0)
ONE, X, Z = np.ones(N), RNG.normal(size=N), 10 * RNG.normal(size=N) + 5
COIN = (RNG.random(N) < 1.0 / (1.0 + np.exp(-Z / 10))).astype(float)
ONLY_ONES = ((RNG.random(N) < 0.05) & (COIN == 1)).astype(float)
ONLY_ZEROS = ((RNG.random(N) < 0.03) & (COIN == 0)).astype(float)
BUT_ONE = ONLY_ONES + (np.arange(N) == np.flatnonzero(COIN == 0)[0])
FEW = (np.arange(N) % 500 == 0).astype(float)
PLACE = np.where(ONLY_ONES == 1, 2, RNG.integers(0, 3, N))

CASES: dict[str, tuple[list[Array], Array]] = {
    "complete": ([ONE, X, Z], (X + 0.3 * Z > 1).astype(float)),
    "quasi": ([ONE, X, Z, ONLY_ONES], COIN),
    "two": ([ONE, X, ONLY_ONES, ONLY_ZEROS], COIN),
    "all but one row": ([ONE, X, Z, BUT_ONE], COIN),
    "overlap": ([ONE, X, Z], COIN),
    "rare": ([ONE, X, Z], FEW),
    "three categories": ([ONE, X, ONLY_ONES], np.column_stack([PLACE == 1, PLACE == 2])),
}


@pytest.mark.parametrize("name", CASES)
def test_the_same_as_linear_programs(name: str) -> None:
    columns, y = CASES[name]
    counts = np.asfortranarray(y.reshape(N, -1), dtype=float)
    found = recession_direction(FixedLikelihood(columns, counts, np.ones(N)))
    proved = find_separation(columns, counts, np.ones(N))
    assert (found.kind if found else "overlap") == proved.kind
    if found:
        certain = proved.signs != 0  # one direction need not show an infinity of either sign
        np.testing.assert_array_equal(np.sign(found.delta)[certain], proved.signs[certain])
        assert proved.infinite[found.delta != 0.0].all()
