"""Grouping factors of data that are read in chunks: which groups there are, and of what size.

A *cell* is a combination of the grouping columns that occurs. The cells of chunks add; those of
all rows tell the levels of every grouping factor, whether factors are nested, and how many rows
each group has.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from multilogit.data.columns import Column, Factor, factor_of, sorted_levels
from multilogit.data.grouping import GroupLevels
from multilogit.lazy import pd

_ROWS = "\0rows"


@dataclass(frozen=True, slots=True)
class Cells:
    """The cells of some rows.

    Attributes
    ----------
    table
        One row per cell: the value of each grouping column.
    rows
        Shape ``(cells,)``: rows of each.
    declared
        By column, its levels, where they are in an order of their own.
    """

    table: pd.DataFrame
    rows: NDArray[np.int64]
    declared: dict[str, tuple[Any, ...]]

    @classmethod
    def of(cls, columns: Mapping[str, Column]) -> Cells:
        """The cells of rows with these grouping columns, which have no missing values."""
        factors = {name: factor_of(column).used() for name, column in columns.items()}
        key = np.zeros(len(next(iter(columns.values()))), dtype=np.int64)
        for factor in factors.values():
            key = key * len(factor.levels) + factor.codes
        codes, cell = pd.factorize(key)
        values: dict[str, Any] = {}
        for name, factor in reversed(factors.items()):
            cell, own = np.divmod(cell, len(factor.levels))
            values[name] = _array(factor.levels)[own]
        table = pd.DataFrame({name: values[name] for name in columns})
        declared = {
            name: column.levels
            for name, column in columns.items()
            if isinstance(column, Factor) and list(column.levels) != sorted_levels(column.levels)
        }
        return cls(table, np.bincount(codes, minlength=len(table)), declared)

    @classmethod
    def together(cls, parts: Sequence[Cells]) -> Cells:
        """The cells of all rows."""
        return _added(parts)

    @classmethod
    def compacted(cls, parts: list[Cells]) -> list[Cells]:
        """The same cells, added up where those behind the first are as many as the first."""
        first, *others = [len(part.rows) for part in parts]
        return [_added(parts)] if sum(others) > first else parts

    def column(self, name: str) -> Factor:
        """A grouping column over the cells."""
        codes, found = pd.factorize(self.table[name])
        declared = self.declared.get(name, ())
        levels: Sequence[Any] = sorted_levels(found.tolist())
        if set(levels) <= set(declared):
            levels = [level for level in declared if level in set(levels)]
        rank = pd.Index(levels).get_indexer(pd.Index(found))
        return Factor(rank.astype(np.int32)[codes], tuple(levels))


def _array(levels: Sequence[Any]) -> NDArray[Any]:
    """Levels as an array; whole numbers stay numbers."""
    if all(type(level) is int for level in levels):
        return np.array(levels, dtype=np.int64)
    out = np.empty(len(levels), dtype=object)
    out[:] = levels
    return out


def _added(parts: Sequence[Cells]) -> Cells:
    if len(parts) == 1:
        return parts[0]
    table = pd.concat([part.table for part in parts], ignore_index=True)
    table[_ROWS] = np.concatenate([part.rows for part in parts])
    names = [name for name in table.columns if name != _ROWS]
    added = table.groupby(names, sort=False, observed=True)[_ROWS].sum().reset_index()
    declared: dict[str, tuple[Any, ...]] = {}
    for part in parts:
        for name, levels in part.declared.items():
            declared[name] = tuple(dict.fromkeys((*declared.get(name, ()), *levels)))
    return Cells(added[names], added[_ROWS].to_numpy(dtype=np.int64), declared)


class LevelCoder:
    """Numbers the groups of chunks among those of all rows.

    Parameters
    ----------
    levels
        All levels of a grouping factor.
    """

    def __init__(self, levels: GroupLevels) -> None:
        self._parts = [pd.Index(_array(part)) for part in levels.parts]
        key = self._key(levels.combinations.T)
        self._order = np.argsort(key)
        self._sorted = key[self._order]

    def codes(self, levels: GroupLevels) -> NDArray[np.int32]:
        """Of each level of a chunk its number among all levels, which hold it."""
        own = [
            index.get_indexer(pd.Index(_array(part)))[codes]
            for index, part, codes in zip(
                self._parts, levels.parts, levels.combinations.T, strict=True
            )
        ]
        place = np.searchsorted(self._sorted, self._key(own))
        return self._order[place].astype(np.int32)

    def _key(self, codes: Sequence[NDArray[Any]] | NDArray[Any]) -> NDArray[np.int64]:
        key = np.zeros(len(codes[0]), dtype=np.int64)
        for part, own in zip(self._parts, codes, strict=True):
            key = key * len(part) + own
        return key
