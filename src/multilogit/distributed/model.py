"""From a Dask data frame to a likelihood that is a sum over the parts on its workers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import reduce
from itertools import pairwise
from operator import add
from typing import TYPE_CHECKING, Any

import numpy as np

from multilogit.data.cells import Cells, LevelCoder
from multilogit.data.grouping import GroupLevels, group
from multilogit.data.model_frame import Grouping, ModelFrame
from multilogit.distributed.parts import DaskParts
from multilogit.distributed.passes import (
    PLACE,
    Facts,
    Model,
    count,
    look,
    mixed_part,
    placed,
    single_part,
)
from multilogit.distributed.tables import (
    by_groups,
    heading,
    n_distinct,
    n_threads,
    partitions_of,
    sample,
    selected,
)
from multilogit.errors import DataError, OptionError
from multilogit.estimate import Options
from multilogit.estimate.effects import factor_effects
from multilogit.estimate.mixed import check_quadrature
from multilogit.formula.design import Learnt
from multilogit.formula.frame import KEYWORDS, columns_in_use
from multilogit.formula.layout import Layout, Question
from multilogit.formula.survey import Survey
from multilogit.likelihood.fixed import SingleLevel
from multilogit.likelihood.nested import is_nested
from multilogit.likelihood.summed import Levels, SummedFixed, SummedMixed, WithoutEffects
from multilogit.outofcore.elsewhere import (
    Streamed,
    assembled,
    collapsed,
    evaluates_rows,
    identified,
    shape_of,
)
from multilogit.outofcore.totals import Totals

if TYPE_CHECKING:
    from distributed import Client


def distribute(
    client: Client, data: Any, formula: str, given: dict[str, Any], options: Options
) -> Streamed:
    """Bring the rows of a Dask data frame to the workers, each group to one of them.

    Parameters
    ----------
    client
        Of the cluster.
    data
        A Dask data frame.
    formula
        As :func:`multilogit.fit`.
    given
        Its ``weights``, ``offset``, ``trials``, ``baseline`` and ``missing``.
    options
        Of the search: what the likelihood must be able to do.

    Raises
    ------
    FormulaError, DataError, OptionError
        What :func:`multilogit.fit` refuses, and crossed grouping factors.
    """
    question = _question(data, formula, given)
    data = selected(data, _names(question))
    layout, complete = _learn(client, data, question, given)
    data = _with_places(data, question, complete)
    partitions, cells = _with_rows(client, _partitions(client, data, question), question)
    frame, levels = _grouped(layout, cells)
    _check_groups(frame, options)
    build = mixed_part if frame.random else single_part
    model = Model.of(layout, frame)
    parts, facts = _built(client, build, model, partitions)
    totals = Totals.together([one.totals for one in facts])
    kept, aliased = identified(frame, totals, model.packing)
    if aliased or len(kept.diagnostics) > len(frame.diagnostics):
        frame, model = kept, Model.of(layout, kept)
        parts, facts = _built(client, build, model, partitions)
        totals = Totals.together([one.totals for one in facts])
    numbers = _numbers(frame, levels, facts)
    mixed = None
    single: SingleLevel = SummedFixed(*_of_rows(frame, parts, totals))
    if frame.random:
        mixed = SummedMixed(parts, shape_of(frame, totals, model.packing), numbers)
        if evaluates_rows(options.prior):
            parts, _ = _built(client, single_part, model, partitions)
            single = SummedFixed(*_of_rows(frame, parts, totals))
        else:
            single = WithoutEffects(mixed, single.n_logits, totals.trials)
        if isinstance(options.nodes, int) and options.nodes > 1:
            mixed.set_nodes(options.nodes)
    ratio = collapsed(totals.n_rows, sum(one.kept for one in facts))
    design = replace(layout.design, learnt=Learnt(layout.design.learnt.states, levels))
    return assembled(frame, design, aliased, totals, model.packing, mixed, single, ratio)


def _of_rows(frame: ModelFrame, parts: DaskParts, totals: Totals) -> tuple[Any, ...]:
    return parts, len(frame.fixed.columns), frame.response.counts.shape[1], totals.trials


def _question(data: Any, formula: str, given: Mapping[str, Any]) -> Question:
    keywords = {key: given.get(key) for key in KEYWORDS}
    for key, value in keywords.items():
        if not isinstance(value, str | None):
            raise OptionError(f"{key}= must name a column of a Dask data frame.")
    question = Question.of(formula, heading(data), **keywords)
    columns_in_use(question.spec, sample(data), question.given)  # what is not there is noticed now
    return question


def _names(question: Question) -> list[str]:
    """Columns that are read."""
    spec = question.spec
    left = [column for part in spec.response.parts for column in part.columns]
    columns = [*left, *spec.right_columns(), *spec.group_columns()]
    named = [value for value in question.given.values() if value is not None]
    return [*(column.text for column in columns), *named]


def _learn(
    client: Client, data: Any, question: Question, given: Mapping[str, Any]
) -> tuple[Layout, list[int]]:
    """The first pass: what the formula learns, and the complete rows of each partition."""
    asked = [
        client.submit(look, question, part, pure=False) for part in partitions_of(client, data)
    ]
    every: list[Survey | None] = client.gather(asked)
    surveys = [found for found in every if found is not None]
    if not surveys:
        raise DataError("The data have no rows.")
    survey = reduce(add, surveys)
    if not survey.n_shown:
        raise DataError(f"No rows are left: all {survey.n_rows} have a missing value.")
    missing = given.get("missing", "drop")
    if missing not in ("drop", "raise"):
        raise OptionError(f"missing={missing!r}: use 'drop' or 'raise'.")
    complete = [0 if found is None else found.n_rows - found.dropped for found in every]
    return survey.learn(given.get("baseline"), missing), complete


def _with_places(data: Any, question: Question, complete: Sequence[int]) -> Any:
    """The complete rows with their places; ``complete``: how many each partition has."""
    import dask.dataframe as dd
    from dask.delayed import delayed

    make = delayed(placed)
    firsts = np.cumsum([0, *complete]).tolist()
    parts = zip(data.to_delayed(), firsts[:-1], strict=True)
    meta = data._meta.assign(**{PLACE: np.zeros(0, dtype=np.int64)})
    made = [make(part, question, first) for part, first in parts]
    return dd.from_delayed(made, meta=meta, verify_meta=False)  # it was before


def _partitions(client: Client, data: Any, question: Question) -> list[Any]:
    """The rows, every group of the last factor in one partition."""
    factors = {
        bar.group.name: [column.text for column in bar.group.columns] for bar in question.spec.bars
    }
    if not factors:
        return partitions_of(client, data)
    sizes = dict.fromkeys(factors, 0)
    if len(factors) > 1:
        sizes = {name: n_distinct(data, columns) for name, columns in factors.items()}
    last = min(reversed(factors), key=lambda name: sizes[name])
    return partitions_of(client, by_groups(data, factors[last], n_threads(client)))


def _with_rows(
    client: Client, partitions: Sequence[Any], question: Question
) -> tuple[list[Any], Cells | None]:
    """Partitions that have complete rows, and the groups in them."""
    found = client.gather([client.submit(count, question, part) for part in partitions])
    kept = [part for part, (n, _) in zip(partitions, found, strict=True) if n]
    cells = [of_part for _, of_part in found if of_part is not None]
    return kept, Cells.together(cells) if cells else None


def _grouped(layout: Layout, cells: Cells | None) -> tuple[ModelFrame, dict[str, GroupLevels]]:
    """The frame that stands for all rows, with all groups, the factor of most levels first."""
    groupings: dict[str, Grouping] = {}
    levels: dict[str, GroupLevels] = {}
    if cells is None:
        return layout.shown, levels
    for bar in layout.question.spec.bars:
        name, names = bar.group.name, [column.text for column in bar.group.columns]
        groupings[name], levels[name] = group(name, names, [cells.column(c) for c in names])
    sizes = {name: len(found.levels) for name, found in groupings.items()}
    place = {name: k for k, name in enumerate(sizes)}
    random = sorted(
        layout.shown.random, key=lambda block: (-sizes[block.group], place[block.group])
    )
    return replace(layout.shown, groupings=groupings, random=tuple(random)), levels


def _check_groups(frame: ModelFrame, options: Options) -> None:
    """Refuse crossed factors."""
    factors = factor_effects(frame)
    for lower, upper in pairwise(factors):
        if not is_nested(lower.codes, upper.codes):
            raise OptionError(
                f"The grouping factors {lower.group!r} and {upper.group!r} are crossed: the rows "
                "cannot be parted so that every group is on one worker. Fit in memory, to a sample "
                "of the groups of one factor, or with one of the factors as a fixed effect."
            )
    if options.nodes != 1 and factors:
        check_quadrature(factors, nested=True, nodes=options.nodes)


def _built(
    client: Client, build: Callable[..., Any], model: Model, partitions: Sequence[Any]
) -> tuple[DaskParts, list[Facts]]:
    parts = DaskParts(client, build, [(model, partition) for partition in partitions])
    return parts, parts.call("facts")


def _numbers(
    frame: ModelFrame, levels: Mapping[str, GroupLevels], facts: Sequence[Facts]
) -> list[list[Levels]]:
    """Of each part and factor the numbers of its groups among all."""
    order = [effects.group for effects in factor_effects(frame)]
    coders = {name: LevelCoder(levels[name]) for name in order}
    return [
        [coders[name].codes(one.levels[name]).astype(np.intp) for name in order] for one in facts
    ]
