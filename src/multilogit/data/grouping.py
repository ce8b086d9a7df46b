"""Grouping factors: rows to levels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from multilogit.data.columns import Column, Factor, Numeric, distinct_integers, factor_of, label
from multilogit.data.model_frame import Grouping


@dataclass(frozen=True, slots=True)
class GroupLevels:
    """The levels of a grouping factor, and how the columns behind it combine to them.

    Attributes
    ----------
    columns
        Names of the columns: one, or several for ``a:b``.
    parts
        Levels of each column, in order.
    combinations
        Shape ``(n_levels, n_columns)``: codes into ``parts`` of each level.
    """

    columns: tuple[str, ...]
    parts: tuple[tuple[Any, ...], ...]
    combinations: NDArray[np.int32]

    def labels(self) -> NDArray[np.object_]:
        """Labels: values of one column, or texts ``"a:b"``."""
        if len(self.columns) == 1:
            return _objects(self.parts[0])
        texts = [
            _objects([label(level) for level in part])[codes]
            for part, codes in zip(self.parts, self.combinations.T, strict=True)
        ]
        return _objects([":".join(row) for row in zip(*texts, strict=True)])


@dataclass(frozen=True, slots=True)
class NewGrouping:
    """A grouping factor on new data, in terms of the training levels.

    Attributes
    ----------
    name
        As in the formula.
    codes
        Shape ``(n,)``, int32: training level of each row, -1 for one that is new.
    labels
        Shape ``(n,)``: the rows' own labels.
    """

    name: str
    codes: NDArray[np.int32]
    labels: NDArray[np.object_]


def group(
    name: str, names: Sequence[str], columns: Sequence[Column]
) -> tuple[Grouping, GroupLevels]:
    """Codes and levels of a grouping factor; levels that do not occur are left out.

    Parameters
    ----------
    name
        Name of the factor.
    names, columns
        The columns behind it, without missing values.
    """
    factors = [_of_levels_that_occur(column) for column in columns]
    parts = tuple(factor.levels for factor in factors)
    if len(factors) == 1:
        codes = factors[0].codes
        combinations = np.arange(len(parts[0]), dtype=np.int32).reshape(-1, 1)
    else:
        codes, combinations = _combine(factors)
    levels = GroupLevels(tuple(names), parts, combinations)
    return Grouping(name, codes, levels.labels()), levels


def _of_levels_that_occur(column: Column) -> Factor:
    """A column as a factor; the levels of numbers are those that occur."""
    factor = factor_of(column)
    return factor if isinstance(column, Numeric) and not column.boolean else factor.used()


def _combine(factors: Sequence[Factor]) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Codes of the combinations that occur, in lexicographic order, and their parts."""
    codes = factors[0].codes
    combinations = np.arange(len(factors[0].levels), dtype=np.int32).reshape(-1, 1)
    for factor in factors[1:]:
        width = len(factor.levels)
        codes, joint = distinct_integers(codes.astype(np.int64) * width + factor.codes)
        outer, inner = np.divmod(joint, width)
        combinations = np.column_stack([combinations[outer], inner]).astype(np.int32)
    return codes, combinations


def match_levels(name: str, levels: GroupLevels, columns: Sequence[Column]) -> NewGrouping:
    """Find the training level of each row of new data."""
    factors = [factor_of(column) for column in columns]
    own = [_codes_in(factor, part) for factor, part in zip(factors, levels.parts, strict=True)]
    if len(own) == 1:
        labels = _objects(factors[0].levels)[factors[0].codes]
        return NewGrouping(name, own[0], labels)
    texts = [np.array(f.labels(), dtype=object)[f.codes] for f in factors]
    labels = _objects([":".join(row) for row in zip(*texts, strict=True)])
    return NewGrouping(name, _find_rows(own, levels), labels)


def _codes_in(factor: Factor, levels: Sequence[Any]) -> NDArray[np.int32]:
    """Codes of the rows among ``levels``, compared by label: 1, 1.0 and "1" are the same."""
    if factor.levels == levels:
        return factor.codes
    position = {label(level): k for k, level in enumerate(levels)}
    rank = [position.get(text, -1) for text in factor.labels()]
    return np.array([*rank, -1], dtype=np.int32)[factor.codes]


def _find_rows(own: Sequence[NDArray[np.int32]], levels: GroupLevels) -> NDArray[np.int32]:
    """Level of each row from the codes of its parts; -1 where the combination is new."""
    widths = [len(part) + 1 for part in levels.parts]  # one more: -1 is a code of its own
    key = np.zeros(own[0].shape[0], dtype=np.int64)
    known = np.zeros(levels.combinations.shape[0], dtype=np.int64)
    for k, width in enumerate(widths):
        key = key * width + (own[k] + 1)
        known = known * width + (levels.combinations[:, k] + 1)
    order = np.argsort(known)
    place = np.minimum(np.searchsorted(known[order], key), known.size - 1)
    found = order[place]
    return np.where(known[found] == key, found, -1).astype(np.int32)


def _objects(values: Sequence[Any]) -> NDArray[np.object_]:
    out = np.empty(len(values), dtype=object)
    out[:] = values
    return out
