"""Rows of a model on their way to their parts: how they are packed, and where they wait."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from multilogit.data.model_frame import FixedColumns, Grouping, ModelFrame, RandomBlock
from multilogit.formula.spec import INTERCEPT

Block = NDArray[np.float64]
"""Shape ``(k, n)``: k numbers of each of n rows; what belongs together is contiguous."""


@dataclass(frozen=True, slots=True)
class Packing:
    """Where everything stands in a packed row: columns, counts, trials, offset, codes.

    Frequency weights are multiplied into counts and trials. What is 1 in every row is not packed:
    the column of the intercept, and trials where every row is one observation.

    Attributes
    ----------
    shared
        The different columns of X and Z: ``(None, k)``, column k of X, or ``(b, k)``, column k of
        bar term b.
    packed
        Places of those that are packed: all but the intercept.
    fixed
        Of each column of X its place among them.
    random
        Of each column of each bar term its place among them.
    n_logits
        C = J − 1.
    trials
        Whether they are packed.
    offset
        Whether there is one.
    groups
        Names of the grouping factors.
    """

    shared: tuple[tuple[int | None, int], ...]
    packed: tuple[int, ...]
    fixed: tuple[int, ...]
    random: tuple[tuple[int, ...], ...]
    n_logits: int
    trials: bool
    offset: bool
    groups: tuple[str, ...]

    @classmethod
    def of(cls, frame: ModelFrame, trials: bool = True) -> Packing:
        """The packing of frames like this one; ``trials``: rows may have other than one.

        Columns of the same name and values are one. The rows of ``frame`` show every level, so
        that what is equal there is equal everywhere.
        """
        shared: list[tuple[int | None, int]] = []
        known: list[tuple[str, NDArray[np.float64]]] = []

        def place(at: tuple[int | None, int], name: str, column: NDArray[np.float64]) -> int:
            for k, (other_name, other) in enumerate(known):
                if name == other_name and np.array_equal(column, other):
                    return k
            shared.append(at)
            known.append((name, column))
            return len(known) - 1

        x = frame.fixed
        fixed = [place((None, k), x.names[k], column) for k, column in enumerate(x.columns)]
        random = [
            tuple(place((b, k), z.names[k], column) for k, column in enumerate(z.columns))
            for b, z in enumerate(frame.random)
        ]
        ones = {fixed[k] for k, term in enumerate(x.terms) if term == INTERCEPT}
        return cls(
            shared=tuple(shared),
            packed=tuple(k for k in range(len(shared)) if k not in ones),
            fixed=tuple(fixed),
            random=tuple(random),
            n_logits=frame.response.counts.shape[1],
            trials=trials,
            offset=frame.offset is not None,
            groups=tuple(frame.groupings),
        )

    @property
    def width(self) -> int:
        """Numbers per row."""
        return self._ends[-1] + len(self.groups)

    @property
    def _ends(self) -> tuple[int, int, int, int]:
        """Where counts, trials, offset and groups begin."""
        counts = len(self.packed)
        trials = counts + self.n_logits
        offset = trials + self.trials
        return counts, trials, offset, offset + self.offset

    def columns(self, frame: ModelFrame) -> Block:
        """The different columns of X and Z, shape ``(len(shared), n)``."""
        return np.array([_column(frame, *at) for at in self.shared])

    def pack(self, frame: ModelFrame, codes: Mapping[str, NDArray[np.int32]]) -> Block:
        """The rows of a frame, shape ``(width, n)``; ``codes``: their groups among all groups."""
        counts, trials = frame.response.weighted()
        out = np.empty((self.width, trials.size))
        at_counts, at_trials, at_offset, at_groups = self._ends
        for row, place in enumerate(self.packed):
            out[row] = _column(frame, *self.shared[place])
        out[at_counts:at_trials] = counts.T
        if self.trials:
            out[at_trials] = trials
        if frame.offset is not None:
            out[at_offset] = frame.offset
        for k, name in enumerate(self.groups):
            out[at_groups + k] = codes[name]
        return out

    def unpack(self, block: Block, like: ModelFrame) -> ModelFrame:
        """The frame of packed rows; names and categories are those of ``like``.

        Groups are numbered within the frame; ``levels`` of a grouping are their numbers among
        all groups.
        """
        at_counts, at_trials, at_offset, at_groups = self._ends
        ones = np.ones(block.shape[1])
        columns = [ones] * len(self.shared)
        for k, place in enumerate(self.packed):
            columns[place] = block[k]
        groupings = {}
        for k, name in enumerate(self.groups):
            levels, codes = np.unique(block[at_groups + k], return_inverse=True)
            groupings[name] = Grouping(name, codes.astype(np.int32), levels.astype(np.intp))
        x = like.fixed
        return ModelFrame(
            response=replace(
                like.response,
                counts=block[at_counts:at_trials].T,
                trials=block[at_trials] if self.trials else ones,
                weights=None,
            ),
            fixed=FixedColumns(tuple(columns[k] for k in self.fixed), x.names, x.terms),
            random=tuple(
                RandomBlock(z.group, tuple(columns[k] for k in places), z.names, z.correlated)
                for z, places in zip(like.random, self.random, strict=True)
            ),
            groupings=groupings,
            offset=block[at_offset] if self.offset else None,
        )


def _column(frame: ModelFrame, b: int | None, k: int) -> NDArray[np.float64]:
    """Column k of X, or of bar term b."""
    return frame.fixed.columns[k] if b is None else frame.random[b].columns[k]


@dataclass
class Filling:
    """Packed rows that wait in memory until their part is complete, each in its place there.

    Attributes
    ----------
    expected
        Shape ``(parts,)``: rows of each part.
    width
        Numbers per row.
    """

    expected: NDArray[np.int64]
    width: int
    _blocks: dict[int, Block] = field(default_factory=dict)
    _rows: dict[int, int] = field(default_factory=dict)

    def add(self, block: Block, parts: NDArray[np.int64]) -> Iterator[tuple[int, Block]]:
        """Deal the rows of a block out, as :meth:`Waiting.add`."""
        for part, piece in _dealt(block, parts):
            n = int(self.expected[part])
            if part not in self._blocks:
                self._blocks[part], self._rows[part] = np.empty((self.width, n)), 0
            begin = self._rows[part]
            self._rows[part] = end = begin + piece.shape[1]
            self._blocks[part][:, begin:end] = piece
            if end == n:
                yield part, self._blocks.pop(part)


@dataclass
class Waiting:
    """Packed rows that wait until their part is complete, in memory or, if need be, in files.

    Attributes
    ----------
    expected
        Shape ``(parts,)``: rows of each part.
    width
        Numbers per row.
    most
        Bytes that may wait in memory.
    directory
        Where files go.
    """

    expected: NDArray[np.int64]
    width: int
    most: int
    directory: Path
    _blocks: dict[int, list[Block]] = field(default_factory=dict)
    _written: dict[int, list[int]] = field(default_factory=dict)
    _rows: NDArray[np.int64] = field(init=False)
    _bytes: int = 0

    def __post_init__(self) -> None:
        self._rows = np.zeros(self.expected.size, dtype=np.int64)

    def add(self, block: Block, parts: NDArray[np.int64]) -> Iterator[tuple[int, Block]]:
        """Deal the rows of a block out; yields the parts that are complete with them.

        ``parts``, shape ``(n,)``: the part of each row. Rows keep their order within a part.
        """
        dealt = _dealt(block, parts)
        for part, piece in dealt:
            self._blocks.setdefault(part, []).append(piece)
            self._bytes += piece.nbytes
            self._rows[part] += piece.shape[1]
        for part, _ in dealt:
            if self._rows[part] == self.expected[part]:
                yield part, self._collect(part)
        while self._bytes > self.most:
            self._write(max(self._blocks, key=lambda k: sum(b.nbytes for b in self._blocks[k])))

    def _collect(self, part: int) -> Block:
        """All rows of a part, which waits no more."""
        blocks = self._blocks.pop(part, [])
        self._bytes -= sum(block.nbytes for block in blocks)
        if part in self._written:
            path = self._path(part)
            values = np.fromfile(path)
            path.unlink()
            ends = np.cumsum(self._written.pop(part)) * self.width
            pieces = np.split(values, ends[:-1])
            blocks = [piece.reshape(self.width, -1) for piece in pieces] + blocks
        return blocks[0] if len(blocks) == 1 else np.concatenate(blocks, axis=1)

    def _write(self, part: int) -> None:
        with self._path(part).open("ab") as file:
            for block in self._blocks.pop(part):
                np.ascontiguousarray(block).tofile(file)
                self._written.setdefault(part, []).append(block.shape[1])
                self._bytes -= block.nbytes

    def _path(self, part: int) -> Path:
        return self.directory / f"part-{part}"


def _dealt(block: Block, parts: NDArray[np.int64]) -> list[tuple[int, Block]]:
    """The rows of a block by part, in their order; ``parts``, shape ``(n,)``: that of each row."""
    present = np.unique(parts)
    if present.size == 1:
        return [(int(present[0]), block)]
    order = np.argsort(parts, kind="stable")
    ends = np.searchsorted(parts[order], present, side="right")
    pieces = np.split(order, ends[:-1])
    return [(part, block[:, rows]) for part, rows in zip(present.tolist(), pieces, strict=True)]


def parts_of_groups(rows: NDArray[np.int64], most: int) -> NDArray[np.int64]:
    """The part of each group, for parts of about ``most`` rows; ``rows``: those of each group."""
    ends = np.cumsum(rows)
    return np.unique((ends - 1) // max(most, 1), return_inverse=True)[1].astype(np.int64)


def rows_by_code(codes: NDArray[np.int32], rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """Rows of every group, from the rows of the cells that lie in it."""
    return np.bincount(codes, weights=rows).astype(np.int64)
