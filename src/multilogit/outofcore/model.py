"""From files to a likelihood that is a sum over parts in scratch files, and its maximum."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from multilogit.data.cells import Cells, LevelCoder
from multilogit.data.grouping import GroupLevels, group
from multilogit.data.model_frame import Grouping, ModelFrame
from multilogit.data.parquet import ParquetFiles
from multilogit.data.populations import collapse, collapse_pays
from multilogit.errors import DataError, Diagnostic, OptionError
from multilogit.estimate import Estimate, Options, arranged
from multilogit.estimate.effects import factor_effects
from multilogit.estimate.mixed import check_quadrature, mixed_likelihood, mixed_maximum
from multilogit.estimate.priors import bind_elsewhere
from multilogit.estimate.rank import split_dependent
from multilogit.estimate.single import constant_loglik, single_maximum
from multilogit.evaluation import Evaluation, Vector
from multilogit.formula import Design, Learnt
from multilogit.formula.frame import group_diagnostics, rare_categories
from multilogit.formula.survey import (
    Layout,
    Question,
    Survey,
    complete_part,
    survey_complete,
)
from multilogit.likelihood.fixed import SingleLevel
from multilogit.likelihood.nested import is_nested
from multilogit.likelihood.spilled import SpilledFixed, SpilledParts
from multilogit.likelihood.summed import (
    MixedShape,
    SummedFixed,
    SummedMixed,
    WithoutEffects,
    pooled_scale,
)
from multilogit.newton import maximise
from multilogit.outofcore.memory import Budget
from multilogit.outofcore.rows import Packing, Waiting, parts_of_groups, rows_by_code
from multilogit.outofcore.totals import Totals
from multilogit.prior import Prior, RowsElsewhere, SumPrior
from multilogit.progress import Progress, Show
from multilogit.result.training import Labels, TrainingRecord

_PER_GROUP = 150
"""Bytes of a group: its label, its number, its place; its random effects come on top."""


@dataclass(frozen=True)
class Streamed:
    """A model whose rows are in scratch files.

    Attributes
    ----------
    frame
        Names, levels and categories of the model, and a few of its rows.
    design
        Rebuilds the columns for new data.
    aliased
        Columns that were dropped because they depend on earlier ones.
    totals
        Sums over all rows.
    mixed
        The likelihood with random effects; None for single-level models.
    single
        The likelihood without them.
    elsewhere
        What priors may know of the rows.
    """

    frame: ModelFrame
    design: Design
    aliased: tuple[str, ...]
    totals: Totals
    mixed: SummedMixed | None
    single: SingleLevel
    elsewhere: RowsElsewhere

    def digest(self) -> str:
        """SHA-256 of the response."""
        return self.totals.digest(self.frame.response.categories)

    def estimate(self, options: Options) -> Estimate:
        """The maximum of Q = ℓ + log π."""
        prior = bind_elsewhere(options.prior, self.frame, self.mixed, options, self.elsewhere)
        if self.mixed is None:
            return single_maximum(self.single, prior, options)
        return mixed_maximum(self.mixed, self.single, prior, options, self.totals.n_rows)

    def training(self) -> TrainingRecord:
        """What the fit knows of its data; the log-likelihood of the null model is computed."""
        return TrainingRecord(
            labels=Labels.of(self.frame),
            n_rows=self.totals.n_rows,
            n_obs=self.totals.n_obs,
            n_trials=self.totals.trials,
            log_coefficient=self.totals.log_coefficient,
            null_loglik=self._null_loglik(),
            saturated_loglik=self.totals.saturated_loglik,
            digest=self.digest(),
        )

    def _null_loglik(self) -> float:
        names = self.frame.fixed.names
        intercepts = np.flatnonzero(np.array(names) == "(Intercept)")
        if self.frame.offset is None and intercepts.size:
            return constant_loglik(self.totals.as_response(self.frame.response))
        places = [c * len(names) + k for c in range(self.single.n_logits) for k in intercepts]
        null = _Restricted(self.single, np.array(places, dtype=np.intp))
        if not places:
            return null.evaluate(np.zeros(0)).value
        return maximise(null, np.zeros(len(places))).evaluation.value


@dataclass(frozen=True, slots=True)
class _Restricted:
    """A single-level likelihood with all coefficients 0 but some."""

    whole: SingleLevel
    free: NDArray[np.intp]

    def evaluate(self, psi: Vector, /) -> Evaluation:
        """ℓ and its derivatives in the free coefficients."""
        beta = np.zeros(self.whole.n_parameters)
        beta[self.free] = psi
        there = self.whole.evaluate(beta)
        hessian = there.hessian[np.ix_(self.free, self.free)]
        return Evaluation(there.value, there.gradient[self.free], hessian, there.status)


def stream(
    files: ParquetFiles,
    formula: str,
    given: dict[str, Any],
    options: Options,
    memory: int,
    show: Show = False,
) -> Streamed:
    """Read the files, and put the rows of the model into scratch files.

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
        Bytes that the process may take.
    show
        Whether to show progress.

    Raises
    ------
    FormulaError, DataError, OptionError
        What :func:`multilogit.fit` refuses, and crossed grouping factors.
    """
    source = _Source.of(files, formula, given, memory)
    with Progress("Reading", 2 * files.n_rows, show) as progress:
        learnt = _learn(source, given, progress)
        _check_groups(learnt, options, memory)
        with tempfile.TemporaryDirectory(prefix="multilogit-") as scratch:
            spill = _Spill.of(learnt, learnt.shown, options, scratch)
            spill.read(source, progress)
            model, aliased = _identified(learnt.shown, spill)
            if aliased or len(model.diagnostics) > len(learnt.shown.diagnostics):
                progress.total += files.n_rows
                spill = _Spill.of(learnt, model, options, scratch)
                spill.read(source, progress)
    return _assembled(learnt, model, aliased, spill)


@dataclass(frozen=True)
class _Source:
    """The files, the columns that are read of them, and how many rows at once."""

    files: ParquetFiles
    question: Question
    names: tuple[str, ...]
    rows: int
    budget: Budget

    @classmethod
    def of(cls, files: ParquetFiles, formula: str, given: dict[str, Any], memory: int) -> _Source:
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
        budget = Budget.of(memory)
        return cls(files, question, names, max(1_000, budget.chunk // (8 * len(names))), budget)

    def chunks(self, progress: Progress) -> Iterator[Any]:
        for table in self.files.chunks(self.names, self.rows):
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


def _learn(source: _Source, given: dict[str, Any], progress: Progress) -> _Learnt:
    """The first pass: surveys and cells of all chunks."""
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
    shown = replace(layout.shown, groupings=groupings or None)
    sizes = {name: len(found.levels) for name, found in groupings.items()}
    place = {name: k for k, name in enumerate(sizes)}
    random = sorted(shown.random, key=lambda block: (-sizes[block.group], place[block.group]))
    return _Learnt(layout, replace(shown, random=tuple(random)), levels, rows, source.budget)


def _check_groups(learnt: _Learnt, options: Options, memory: int) -> None:
    """Refuse crossed factors, and groups that leave no memory."""
    groupings = learnt.shown.groupings or {}
    for lower, upper in pairwise(learnt.order):
        if not is_nested(groupings[lower].codes, groupings[upper].codes):
            raise OptionError(
                f"The grouping factors {lower!r} and {upper!r} are crossed: the rows cannot be "
                "parted so that every group is in one part, and each evaluation needs all of them "
                "at once. Fit in memory (leave out memory=), to a sample of the groups of one "
                "factor, or with one of the factors as a fixed effect."
            )
    effects = factor_effects(learnt.shown)
    if options.nodes != 1:
        check_quadrature(effects, nested=True, nodes=options.nodes)
    p = len(learnt.shown.fixed.columns) * learnt.shown.response.counts.shape[1]
    needed = sum(one.n_levels * (_PER_GROUP + 8 * one.q * (p + 3 * one.q)) for one in effects)
    if needed > memory // 2:
        raise OptionError(
            f"The {sum(one.n_levels for one in effects):,} groups alone take about "
            f"{needed / 1e9:.1f} GB of memory, which grows with random effects and coefficients: "
            f"give at least memory='{2 * needed / 1e9:.1f}GB'."
        )


# --- the second pass -----------------------------------------------------------------------------


@dataclass
class _Spill:
    """The second pass: rows are made, added up, dealt out to their parts and put into files."""

    learnt: _Learnt
    model: ModelFrame
    options: Options
    scratch: str
    packing: Packing
    part_of_group: NDArray[np.int64] | None
    waiting: Waiting
    totals: Totals
    mixed: list[Any]
    singles: list[Any]
    levels: list[list[NDArray[np.intp]]]
    kept_rows: int = 0
    collapses: bool | None = None

    @classmethod
    def of(cls, learnt: _Learnt, model: ModelFrame, options: Options, scratch: str) -> _Spill:
        packing = Packing.of(model)
        rows = learnt.budget.part // (8 * packing.width)
        part_of_group = None
        if model.random:
            roots = (model.groupings or {})[model.random[-1].group]
            sizes = rows_by_code(roots.codes, learnt.cell_rows)
            part_of_group = parts_of_groups(sizes, rows)
            expected = rows_by_code(part_of_group.astype(np.int32), sizes)
        else:
            n = int(learnt.cell_rows.sum())
            expected = np.diff(np.unique([*range(0, n, max(rows, 1)), n]))
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
            frame = self._like_the_model(frame)
            codes = {
                name: coder.codes(levels[name])[(frame.groupings or {})[name].codes]
                for name, coder in coders.items()
            }
            self.totals.add(frame, self.packing.columns(frame))
            block = self.packing.pack(frame, codes)
            for _, rows in self.waiting.add(block, self._parts(codes, done, block.shape[1])):
                self._build(rows)
            done += block.shape[1]

    def _like_the_model(self, frame: ModelFrame) -> ModelFrame:
        """A frame with the columns and bar terms of the model, in its order."""
        names = self.model.fixed.names
        keep = [frame.fixed.names.index(name) for name in names]
        random = []
        for wanted in self.model.random:
            block = next(
                b
                for b in frame.random
                if b.group == wanted.group
                and set(wanted.names) <= set(b.names)
                and b.correlated == wanted.correlated
            )
            random.append(block.keep([block.names.index(name) for name in wanted.names]))
        return replace(frame, fixed=frame.fixed.keep(keep), random=tuple(random))

    def _parts(self, codes: dict[str, NDArray[np.int32]], done: int, n: int) -> NDArray[np.int64]:
        """The part of each row: that of its group, or by its number."""
        if self.part_of_group is not None:
            return self.part_of_group[codes[self.model.random[-1].group]]
        ends = np.cumsum(self.waiting.expected)
        return np.searchsorted(ends, np.arange(done, done + n), side="right")

    def _build(self, rows: NDArray[np.float64]) -> None:
        """The likelihood of a complete part, in files."""
        frame = self.packing.unpack(rows, self.model)
        if self.collapses is None:
            self.collapses = collapse_pays(frame)
        if self.collapses:
            frame = collapse(frame)[0]
        self.kept_rows += frame.response.trials.size
        response, threads = frame.response, self.options.threads
        if frame.random:
            options = replace(self.options, nodes=1)
            likelihood = mixed_likelihood(frame, options, self.scratch)
            likelihood.release()  # type: ignore[attr-defined]
            self.mixed.append(likelihood)
            self.levels.append(
                [
                    np.asarray((frame.groupings or {})[name].levels, dtype=np.intp)
                    for name in self.order
                ]
            )
        if not frame.random or _evaluates_rows(self.options.prior):
            self.singles.append(
                SpilledFixed(
                    frame.fixed.columns,
                    response.counts,
                    response.trials,
                    frame.offset,
                    None,
                    threads,
                    self.scratch,
                )
            )


def _evaluates_rows(prior: object) -> bool:
    """Whether a prior is evaluated with the likelihood without random effects."""
    if isinstance(prior, SumPrior):
        return any(map(_evaluates_rows, prior.parts))
    return isinstance(prior, Prior) and type(prior).__name__ == "RelativeEntropy"


def _identified(shown: ModelFrame, spill: _Spill) -> tuple[ModelFrame, tuple[str, ...]]:
    """The model without columns that depend on others, and the names of those of X.

    R holds all inner products of columns: its columns stand for those of the data.
    """
    R, packing = spill.totals.R, spill.packing
    assert R is not None
    stand_in = [np.ascontiguousarray(column) for column in R.T]
    x = tuple(stand_in[k] for k in packing.fixed)
    random = tuple(
        replace(block, columns=tuple(stand_in[k] for k in places))
        for block, places in zip(shown.random, packing.random, strict=True)
    )
    keep, dropped = split_dependent(x) if x else ([], [])
    found = arranged(replace(shown, random=random))
    by_term = {
        (b.group, b.correlated, name): column
        for b in shown.random
        for name, column in zip(b.names, b.columns, strict=True)
    }
    blocks = tuple(
        replace(b, columns=tuple(by_term[b.group, b.correlated, name] for name in b.names))
        for b in found.random
    )
    aliased = tuple(shown.fixed.names[k] for k in dropped)
    return replace(found, fixed=shown.fixed.keep(keep), random=blocks), aliased


def _assembled(
    learnt: _Learnt, model: ModelFrame, aliased: tuple[str, ...], spill: _Spill
) -> Streamed:
    """The parts as likelihoods of all rows."""
    totals, resident = spill.totals, learnt.budget.resident
    n_logits = model.response.counts.shape[1]
    mixed = None
    single: SingleLevel
    if spill.singles:
        parts = SpilledParts(spill.singles, 0 if spill.mixed else resident)
        single = SummedFixed(parts, len(model.fixed.columns), n_logits, totals.trials)
    if spill.mixed:
        effects = factor_effects(model)
        shape = MixedShape(
            p=len(model.fixed.columns) * n_logits,
            blocks=tuple(size for one in effects for size in one.blocks),
            effects=tuple(one.q for one in effects),
            levels=tuple(one.n_levels for one in effects),
            z_scale=_scales(model, spill),
        )
        mixed = SummedMixed(SpilledParts(spill.mixed, resident), shape, spill.levels)
        if isinstance(spill.options.nodes, int) and spill.options.nodes > 1:
            mixed.set_nodes(spill.options.nodes)
        if not spill.singles:
            single = WithoutEffects(mixed, n_logits, totals.trials)
    places = list(spill.packing.fixed)
    elsewhere = RowsElsewhere(
        single,
        np.atleast_1d(totals.counts),
        totals.U_trials[places],
        totals.U_counts[places],
        totals.offset_trials,
        np.atleast_1d(totals.offset_counts),
    )
    noticed = (
        *rare_categories(totals.as_response(model.response), len(model.fixed.columns)),
        *(
            found
            for name, grouping in (model.groupings or {}).items()
            for found in group_diagnostics(
                name, len(grouping.levels), totals.n_rows, totals.largest
            )
        ),
        *_collapsed(spill),
    )
    frame = replace(model, diagnostics=(*model.diagnostics, *noticed))
    design = learnt.layout.design
    design = replace(design, learnt=Learnt(design.learnt.states, learnt.levels))
    return Streamed(frame, design, aliased, totals, mixed, single, elsewhere)


def _scales(model: ModelFrame, spill: _Spill) -> Vector:
    """Root mean square of the column of each random effect, in the order of the effects."""
    R = spill.totals.R
    assert R is not None
    squares = (R**2).sum(axis=0)
    n_logits = model.response.counts.shape[1]
    found: list[float] = []
    for name in dict.fromkeys(block.group for block in model.random):
        for block, places in zip(model.random, spill.packing.random, strict=True):
            if block.group == name:
                found += squares[list(places)].tolist() * n_logits
    return pooled_scale(np.array(found), spill.totals.n_rows)


def _collapsed(spill: _Spill) -> tuple[Diagnostic, ...]:
    n, kept = spill.totals.n_rows, spill.kept_rows
    if not spill.collapses:
        return ()
    return (
        Diagnostic(
            "rows-collapsed",
            "info",
            f"{n} rows were collapsed to {kept} with their counts ({n / kept:.3g} to 1): rows of "
            "equal predictors within a group are one.",
            facts={"rows": n, "kept": kept, "ratio": n / kept},
        ),
    )
