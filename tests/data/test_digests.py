"""Digests of rows: the same in every order and every division into parts."""

from __future__ import annotations

from functools import reduce
from operator import add

import numpy as np
import pytest

from multilogit.data.digests import RowDigest, response_digest
from multilogit.data.model_frame import Response


@pytest.fixture
def columns():
    rng = np.random.default_rng(0)
    return [rng.normal(size=100), rng.integers(0, 2, 100).astype(float), np.zeros(100)]


def _of(columns, rows):
    return RowDigest.of([column[rows] for column in columns], len(rows))


def test_order_and_parts_do_not_matter(columns):
    whole = _of(columns, np.arange(100)).text("names")
    shuffled = np.random.default_rng(1).permutation(100)
    parts = [_of(columns, rows) for rows in np.array_split(shuffled, 7)]
    assert reduce(add, parts).text("names") == whole
    assert reduce(add, parts).text("others") != whole


def test_every_value_matters(columns):
    whole = _of(columns, np.arange(100))
    for k in range(3):
        changed = [column.copy() for column in columns]
        changed[k][17] += 1e-15 if k == 0 else 1.0
        assert _of(changed, np.arange(100)) != whole
    swapped = [column.copy() for column in columns]
    swapped[0][[3, 4]] = swapped[0][[4, 3]]  # values stay, rows do not
    swapped[1][3], swapped[1][4] = 0.0, 1.0
    columns[1][3], columns[1][4] = 0.0, 1.0
    assert _of(swapped, np.arange(100)) != _of(columns, np.arange(100))
    assert _of(columns, np.arange(99)) != whole


def test_the_same_counts_in_other_rows_are_another_response():
    def digest(y, place=0):
        counts = np.asfortranarray(np.reshape(y, (-1, 1)), dtype=float)
        return response_digest(Response("binomial", "y", ("0", "1"), counts, np.ones(4)), place)

    whole = digest([0, 1, 1, 0])
    assert whole != digest([0, 1, 0, 1])
    assert whole == digest([1, 0, 1, 0], np.array([2, 0, 1, 3]))
    assert whole != digest([0, 1, 1, 0], 1)


def test_the_two_zeros_are_one(columns):
    assert _of([-columns[2]], np.arange(100)) == _of([columns[2]], np.arange(100))
