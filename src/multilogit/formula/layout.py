"""The second pass over data in parts: columns of every part, made with what was learnt from all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from multilogit.data.columns import Column, Numeric
from multilogit.data.grouping import GroupLevels, group
from multilogit.data.ingest import Table
from multilogit.data.model_frame import Grouping, ModelFrame
from multilogit.formula.design import (
    Design,
    build_design,
    complete_rows,
    total_offset,
)
from multilogit.formula.evaluate import Environment
from multilogit.formula.frame import (
    KEYWORDS,
    columns_in_use,
    parse_for,
    split_keywords,
)
from multilogit.formula.learning import check_learnable, learning_calls
from multilogit.formula.response import check_weights, part_response
from multilogit.formula.spec import FormulaSpec


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked of the data: the formula, and the columns of the keywords.

    Attributes
    ----------
    spec
        The parsed formula.
    given
        Columns of ``weights``, ``offset`` and ``trials`` by keyword, or None.
    """

    spec: FormulaSpec
    given: Mapping[str, str | None]

    @classmethod
    def of(cls, formula: str, table: Table, **given: str | None) -> Question:
        """The question that a formula asks of tables with these columns.

        Raises
        ------
        FormulaError
            The formula has an error, or needs all rows at once.
        """
        spec = parse_for(formula, table, given)
        for _, call in learning_calls(spec):
            check_learnable(call)
        return cls(spec, {key: given.get(key) for key in KEYWORDS})

    @property
    def single_trials(self) -> bool:
        """Whether every row is one observation."""
        counted = self.spec.response.bound or self.given["trials"] is not None
        return not counted and self.given["weights"] is None


@dataclass(frozen=True, slots=True)
class CompletePart:
    """A part of the data without the rows that miss a value.

    Attributes
    ----------
    columns
        All that are in use, at the complete rows.
    n_rows, n
        Rows, and those that are complete.
    missing
        Missing values by column.
    rows
        Numbers of the complete rows; None: all are.
    """

    columns: Mapping[str, Column]
    n_rows: int
    n: int
    missing: Mapping[str, int]
    rows: NDArray[np.int64] | None


def complete_part(table: Table, question: Question) -> CompletePart:
    """The complete rows of a part.

    Raises
    ------
    DataError
        A column is not there, is of a type that cannot be used, or is infinite.
    """
    columns = columns_in_use(question.spec, table, question.given)
    rows, masks = complete_rows(columns, table.n_rows)
    missing = {c.lstrip("\0"): int(masks[c].sum()) if c in masks else 0 for c in columns}
    if rows is None:
        return CompletePart(columns, table.n_rows, table.n_rows, missing, None)
    kept = {name: column.take(rows) for name, column in columns.items()}
    return CompletePart(kept, table.n_rows, rows.shape[0], missing, rows)


@dataclass(frozen=True)
class Layout:
    """How columns are made of a part of the data, the same for every part.

    Attributes
    ----------
    question
        The formula and the columns of its keywords.
    shown
        The frame of the few rows that were learnt from: names of columns, categories, bar terms.
    design
        What was learnt; the levels of grouping factors are not in it.
    """

    question: Question
    shown: ModelFrame
    design: Design

    @cached_property
    def spec(self) -> FormulaSpec:
        """The parsed formula."""
        return self.question.spec

    def frame(self, table: Table) -> tuple[ModelFrame, dict[str, GroupLevels]] | None:
        """The frame of a part, and the levels of grouping factors in it; None without rows.

        The groups are numbered within the part.

        Raises
        ------
        DataError
            A value that the formula, or the response, cannot use.
        """
        part = complete_part(table, self.question)
        if part.n == 0:
            return None
        columns, keywords = split_keywords(part.columns)
        states = self.design.learnt.states
        environment = Environment(columns, part.n, part.rows, states, training=False)
        if "weights" in keywords:
            check_weights(keywords["weights"], environment)
        fixed, random = build_design(self.spec, environment)
        response = part_response(
            self.spec.response,
            environment,
            self.shown.response.categories,
            ones=np.ones(part.n),
            trials=keywords.get("trials"),
            weights=keywords.get("weights"),
        )
        groupings, levels = _groups(self.spec, columns)
        extra = Numeric(keywords["offset"]) if "offset" in keywords else None
        frame = ModelFrame(
            response=response,
            fixed=fixed,
            random=random,
            groupings=groupings,
            offset=total_offset(self.spec.offsets, environment, extra),
            n_input_rows=table.n_rows,
        )
        return frame, levels


def _groups(
    spec: FormulaSpec, columns: Mapping[str, Column]
) -> tuple[dict[str, Grouping], dict[str, GroupLevels]]:
    groupings, levels = {}, {}
    for bar in spec.bars:
        name, parts = bar.group.name, [column.text for column in bar.group.columns]
        if name not in groupings:
            groupings[name], levels[name] = group(name, parts, [columns[part] for part in parts])
    return groupings, levels
