"""From files to a likelihood that is a sum over parts, in scratch files or in memory."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from multilogit.data.cells import Cells, LevelCoder
from multilogit.data.csv_file import CsvFile
from multilogit.data.grouping import GroupLevels, group
from multilogit.data.model_frame import Grouping, ModelFrame
from multilogit.data.parquet import ParquetFiles
from multilogit.data.populations import collapse, collapse_pays
from multilogit.errors import DataError, OptionError
from multilogit.estimate import Options, fixed_likelihood
from multilogit.estimate.effects import factor_effects
from multilogit.estimate.mixed import check_quadrature, mixed_likelihood
from multilogit.formula import Learnt
from multilogit.formula.layout import Layout, Question, complete_part
from multilogit.formula.survey import Survey, survey_complete
from multilogit.likelihood.fixed import FixedLikelihood, SingleLevel
from multilogit.likelihood.nested import is_nested
from multilogit.likelihood.spilled import SpilledFixed, SpilledParts
from multilogit.likelihood.summed import (
    LocalParts,
    Parts,
    SummedFixed,
    SummedMixed,
    WithoutEffects,
)
from multilogit.outofcore.elsewhere import (
    Streamed,
    assembled,
    collapsed,
    evaluates_rows,
    identified,
    like_the_model,
    shape_of,
)
from multilogit.outofcore.memory import LIBRARIES, Budget
from multilogit.outofcore.rows import Filling, Packing, Waiting, parts_of_groups, rows_by_code
from multilogit.outofcore.totals import Totals
from multilogit.progress import Progress, Show

_PER_GROUP = 400
"""Bytes of a group: its label, its number, its place; its random effects come on top."""
_MOST_SHOWN = 500
"""Levels of fixed factors, all together, of which columns are made of data in memory."""
_LEAST_FREE = 0.25
"""Part of the memory that groups must leave for rows."""


def stream(
    files: ParquetFiles | CsvFile,
    formula: str,
    given: dict[str, Any],
    options: Options,
    memory: int | None,
    show: Show = False,
) -> Streamed:
    """Read the files, and put the rows of the model into parts of whole groups.

    Parameters
    ----------
    files
        The data.
    formula
        As :func:`multilogit.fit`.
    given
        Its ``weights``, ``offset``, ``trials``, ``baseline`` and ``missing``, where given.
    options
        Of the search: what the likelihood must be able to do.
    memory
        Bytes that all this may take, the parts in scratch files; None: the parts are in memory.
    show
        Whether to show progress.

    Raises
    ------
    FormulaError, DataError, OptionError
        What :func:`multilogit.fit` refuses, and crossed grouping factors.
    """
    source = _Source.of(files, formula, given, memory)
    with Progress("Reading", 2 * files.n_rows, show) as progress:
        learnt = _learn(source, given, progress, None if memory is not None else _MOST_SHOWN)
        _check_groups(learnt, options)
        if memory is not None:
            learnt = replace(learnt, budget=_left_for_rows(learnt, memory))
            source = replace(source, budget=learnt.budget)
        with _scratch(memory) as scratch:
            spill = _Spill.of(learnt, learnt.shown, options, scratch)
            spill.read(source, progress)
            model, aliased = identified(learnt.shown, spill.totals, spill.packing)
            if aliased or len(model.diagnostics) > len(learnt.shown.diagnostics):
                progress.total += files.n_rows
                spill = _Spill.of(learnt, model, options, scratch)
                spill.read(source, progress)
    return _assembled(learnt, model, aliased, spill)


def _scratch(memory: int | None) -> AbstractContextManager[str]:
    """A directory for scratch files; no name where there are none."""
    if memory is None:
        return nullcontext("")
    return tempfile.TemporaryDirectory(prefix="multilogit-")


@dataclass(frozen=True)
class _Source:
    """The files, the columns that are read of them, and how many rows at once."""

    files: ParquetFiles | CsvFile
    question: Question
    names: tuple[str, ...]
    budget: Budget

    @classmethod
    def of(
        cls, files: ParquetFiles | CsvFile, formula: str, given: dict[str, Any], memory: int | None
    ) -> _Source:
        keywords = {}
        for key in ("weights", "offset", "trials"):
            keywords[key] = given.get(key)
            if not isinstance(given.get(key), str | None):
                raise OptionError(f"{key}= must name a column where the data are read in chunks.")
        question = Question.of(formula, files.head(), **keywords)
        complete_part(files.head(), question)  # a column that is not there is noticed now
        spec = question.spec
        left = [column for part in spec.response.parts for column in part.columns]
        columns = [*left, *spec.right_columns(), *spec.group_columns()]
        named = [value for value in keywords.values() if value is not None]
        names = tuple(dict.fromkeys([*(column.text for column in columns), *named]))
        budget = Budget.unlimited() if memory is None else Budget.of(memory)
        return cls(files, question, names, budget)

    def chunks(self, progress: Progress) -> Iterator[Any]:
        rows = max(1_000, self.budget.chunk // (8 * len(self.names)))
        for table in self.files.chunks(self.names, rows):
            yield table
            progress.advance(table.n_rows)


@dataclass(frozen=True)
class _Learnt:
    """What the first pass has found.

    Attributes
    ----------
    layout
        How columns are made of a chunk.
    shown
        The frame of a few rows, with the groupings of all cells, arranged.
    levels
        Of each grouping factor all levels.
    cell_rows
        Rows of each cell.
    """

    layout: Layout
    shown: ModelFrame
    levels: dict[str, GroupLevels]
    cell_rows: NDArray[np.int64]
    budget: Budget

    @property
    def order(self) -> tuple[str, ...]:
        """Grouping factors from the leaves to the roots."""
        return tuple(dict.fromkeys(block.group for block in self.shown.random))


def _learn(
    source: _Source, given: dict[str, Any], progress: Progress, most_shown: int | None
) -> _Learnt:
    """The first pass: surveys and cells of all chunks; at most so many rows show all levels."""
    question = source.question
    grouping = list(dict.fromkeys(column.text for column in question.spec.group_columns()))
    surveys: list[Survey] = []
    cells: list[Cells] = []
    for table in source.chunks(progress):
        part = complete_part(table, question)
        survey = survey_complete(part, question)
        surveys = [surveys[0] + survey] if surveys else [survey]
        if part.n and grouping:
            cells.append(Cells.of({name: part.columns[name] for name in grouping}))
            cells = Cells.compacted(cells)
    missing = given.get("missing", "drop")
    if missing not in ("drop", "raise"):
        raise OptionError(f"missing={missing!r}: use 'drop' or 'raise'.")
    if not surveys[0].n_shown:
        raise DataError(f"No rows are left: all {surveys[0].n_rows} have a missing value.")
    if most_shown is not None and surveys[0].n_shown > most_shown:
        raise OptionError("Factors of very many levels are kept without their columns in memory.")
    layout = surveys[0].learn(given.get("baseline"), missing)
    groupings: dict[str, Grouping] = {}
    levels: dict[str, GroupLevels] = {}
    rows = np.array([surveys[0].n_rows - surveys[0].dropped])
    if grouping:
        every = Cells.together(cells)
        rows = every.rows
        for bar in question.spec.bars:
            names = [column.text for column in bar.group.columns]
            columns = [every.column(name) for name in names]
            groupings[bar.group.name], levels[bar.group.name] = group(
                bar.group.name, names, columns
            )
    shown = replace(layout.shown, groupings=groupings)
    sizes = {name: len(found.levels) for name, found in groupings.items()}
    place = {name: k for k, name in enumerate(sizes)}
    random = sorted(shown.random, key=lambda block: (-sizes[block.group], place[block.group]))
    return _Learnt(layout, replace(shown, random=tuple(random)), levels, rows, source.budget)


def _check_groups(learnt: _Learnt, options: Options) -> None:
    """Refuse crossed factors, quadrature that there is not, and a start that needs rows."""
    groupings = learnt.shown.groupings
    for lower, upper in pairwise(learnt.order):
        if not is_nested(groupings[lower].codes, groupings[upper].codes):
            raise OptionError(
                f"The grouping factors {lower!r} and {upper!r} are crossed: the rows cannot be "
                "parted so that every group is in one part, and each evaluation needs all of them "
                "at once. Fit in memory (leave out memory=), to a sample of the groups of one "
                "factor, or with one of the factors as a fixed effect."
            )
    if learnt.order and isinstance(options.start, str) and options.start == "ols":
        raise OptionError("start='ols' needs the data in memory; leave start= out, or give values.")
    if options.nodes != 1:
        check_quadrature(factor_effects(learnt.shown), nested=True, nodes=options.nodes)


def _left_for_rows(learnt: _Learnt, memory: int) -> Budget:
    """What is left where the groups, their modes and the derivatives of modes stay in memory."""
    effects = factor_effects(learnt.shown)
    p = len(learnt.shown.fixed.columns) * learnt.shown.response.counts.shape[1]
    groups = sum(one.n_levels * (_PER_GROUP + 8 * one.q * (p + 3 * one.q)) for one in effects)
    if memory - groups < _LEAST_FREE * memory:
        least = groups / (1.0 - _LEAST_FREE) + LIBRARIES
        raise OptionError(
            f"The {sum(one.n_levels for one in effects):,} groups alone take about "
            f"{groups / 1e9:.2g} GB of memory, which grows with random effects and coefficients: "
            f"give at least memory='{1.1 * least / 1e9:.1f}GB'."
        )
    return Budget.of(memory - groups)


# --- the second pass -----------------------------------------------------------------------------


@dataclass
class _Spill:
    """The second pass: rows are made, added up, dealt out to their parts and put into files.

    ``scratch``: the directory of the files; empty: the parts stay in memory.
    """

    learnt: _Learnt
    model: ModelFrame
    options: Options
    scratch: str
    packing: Packing
    part_of_group: NDArray[np.int64] | None
    waiting: Waiting | Filling
    totals: Totals
    mixed: list[Any]
    singles: list[Any]
    levels: list[list[NDArray[np.intp]]]
    kept_rows: int = 0
    collapses: bool | None = None

    @classmethod
    def of(cls, learnt: _Learnt, model: ModelFrame, options: Options, scratch: str) -> _Spill:
        packing = Packing.of(model, trials=not learnt.layout.question.single_trials)
        rows = learnt.budget.part // (8 * packing.width)
        part_of_group = None
        if model.random:
            roots = model.groupings[model.random[-1].group]
            sizes = rows_by_code(roots.codes, learnt.cell_rows)
            part_of_group = parts_of_groups(sizes, rows)
            expected = rows_by_code(part_of_group.astype(np.int32), sizes)
        else:
            n = int(learnt.cell_rows.sum())
            expected = np.diff(np.unique([*range(0, n, max(rows, 1)), n]))
        waiting: Waiting | Filling = Filling(expected, packing.width)
        if scratch:
            waiting = Waiting(expected, packing.width, learnt.budget.waiting, Path(scratch))
        return cls(
            learnt, model, options, scratch, packing, part_of_group, waiting, Totals(), [], [], []
        )

    @property
    def order(self) -> tuple[str, ...]:
        """Grouping factors from the leaves to the roots."""
        return tuple(dict.fromkeys(block.group for block in self.model.random))

    def read(self, source: _Source, progress: Progress) -> None:
        """Make the rows of all chunks."""
        coders = {name: LevelCoder(self.learnt.levels[name]) for name in self.packing.groups}
        done = 0
        for table in source.chunks(progress):
            made = self.learnt.layout.frame(table)
            if made is None:
                continue
            frame, levels = made
            frame = like_the_model(frame, self.model)
            codes = {
                name: coder.codes(levels[name])[frame.groupings[name].codes]
                for name, coder in coders.items()
            }
            self.totals.add(frame, self.packing.columns(frame), done)
            block = self.packing.pack(frame, codes)
            complete = self.waiting.add(block, self._parts(codes, done, block.shape[1]))
            while (part := next(complete, None)) is not None:  # none is kept until the next one
                self._build(part[1])
            done += block.shape[1]

    def _parts(self, codes: dict[str, NDArray[np.int32]], done: int, n: int) -> NDArray[np.int64]:
        """The part of each row: that of its group, or by its number."""
        if self.part_of_group is not None:
            return self.part_of_group[codes[self.model.random[-1].group]]
        ends = np.cumsum(self.waiting.expected)
        return np.searchsorted(ends, np.arange(done, done + n), side="right")

    def _build(self, rows: NDArray[np.float64]) -> None:
        """The likelihood of a complete part."""
        frame = self.packing.unpack(rows, self.model)
        if self.collapses is None:
            self.collapses = collapse_pays(frame)
        if self.collapses:
            frame = collapse(frame)[0]
        self.kept_rows += frame.response.trials.size
        if frame.random:
            options = replace(self.options, nodes=1)
            likelihood = mixed_likelihood(frame, options, self.scratch)
            likelihood.release()  # type: ignore[attr-defined]
            self.mixed.append(likelihood)
            self.levels.append(
                [np.asarray(frame.groupings[name].levels, dtype=np.intp) for name in self.order]
            )
        if not frame.random or evaluates_rows(self.options.prior):
            self.singles.append(self._single(frame))

    def _single(self, frame: ModelFrame) -> FixedLikelihood:
        """The likelihood of a part without random effects."""
        threads = self.options.threads
        if not self.scratch:
            return fixed_likelihood(frame, threads)
        response = frame.response
        return SpilledFixed(
            frame.fixed.columns,
            response.counts,
            response.trials,
            frame.offset,
            None,
            threads,
            self.scratch,
        )

    def parts(self, likelihoods: list[Any], resident: int) -> Parts:
        """The parts, of which ``resident`` bytes stay in memory; all of them without files."""
        return SpilledParts(likelihoods, resident) if self.scratch else LocalParts(likelihoods)


def _assembled(
    learnt: _Learnt, model: ModelFrame, aliased: tuple[str, ...], spill: _Spill
) -> Streamed:
    """The parts as likelihoods of all rows."""
    totals, resident = spill.totals, learnt.budget.resident
    n_logits = model.response.counts.shape[1]
    mixed = None
    single: SingleLevel
    if spill.singles:
        parts = spill.parts(spill.singles, 0 if spill.mixed else resident)
        single = SummedFixed(parts, len(model.fixed.columns), n_logits, totals.trials)
    if spill.mixed:
        parts = spill.parts(spill.mixed, resident)
        mixed = SummedMixed(parts, shape_of(model, totals, spill.packing), spill.levels)
        if isinstance(spill.options.nodes, int) and spill.options.nodes > 1:
            mixed.set_nodes(spill.options.nodes)
        if not spill.singles:
            single = WithoutEffects(mixed, n_logits, totals.trials)
    design = learnt.layout.design
    design = replace(design, learnt=Learnt(design.learnt.states, learnt.levels))
    noticed = collapsed(totals.n_rows, spill.kept_rows)
    return assembled(model, design, aliased, totals, spill.packing, mixed, single, noticed)
