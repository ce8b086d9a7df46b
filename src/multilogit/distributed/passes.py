"""What workers do with the rows of one partition: look at them, then make them a likelihood."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from multilogit.data.cells import Cells
from multilogit.data.grouping import GroupLevels
from multilogit.data.ingest import read_table
from multilogit.data.model_frame import ModelFrame
from multilogit.data.populations import collapse, collapse_pays
from multilogit.estimate import Options, fixed_likelihood
from multilogit.estimate.mixed import mixed_likelihood
from multilogit.formula.design import complete_rows
from multilogit.formula.frame import columns_in_use
from multilogit.formula.layout import Layout, Question, complete_part
from multilogit.formula.survey import Survey, survey_complete
from multilogit.likelihood.mixed import WithQuadrature
from multilogit.outofcore.elsewhere import like_the_model
from multilogit.outofcore.rows import Packing
from multilogit.outofcore.totals import Totals


def look(question: Question, partition: pd.DataFrame) -> Survey | None:
    """The survey of a partition; None without rows."""
    if partition.empty:
        return None
    return survey_complete(complete_part(read_table(partition), question), question)


PLACE = "multilogit: place"
"""A column for the place of each row among all that are complete: a shuffle forgets it."""


def placed(partition: pd.DataFrame, question: Question, first: int) -> pd.DataFrame:
    """The complete rows of a partition with their places, from ``first`` on."""
    if partition.empty:
        return partition.assign(**{PLACE: np.zeros(0, dtype=np.int64)})
    table = read_table(partition)
    rows, _ = complete_rows(columns_in_use(question.spec, table, question.given), table.n_rows)
    kept = partition if rows is None else partition.iloc[rows]
    return kept.assign(**{PLACE: np.arange(first, first + len(kept))})


def count(question: Question, partition: pd.DataFrame) -> tuple[int, Cells | None]:
    """Complete rows of a partition, and the groups in them, where there are any."""
    if partition.empty:
        return 0, None
    part = complete_part(read_table(partition), question)
    names = dict.fromkeys(column.text for column in question.spec.group_columns())
    grouped = part.n > 0 and names
    return part.n, Cells.of({name: part.columns[name] for name in names}) if grouped else None


@dataclass(frozen=True)
class Model:
    """What a worker needs to make a partition a likelihood.

    Attributes
    ----------
    layout
        How columns are made.
    frame
        Names of the model's columns and bar terms, in its order, and a few rows; no groups.
    packing
        The different columns of X and Z.
    """

    layout: Layout
    frame: ModelFrame
    packing: Packing

    @classmethod
    def of(cls, layout: Layout, frame: ModelFrame) -> Model:
        """The model of a frame that stands for all rows; it is small, whatever the data are."""
        small = replace(frame, groupings={}, variables=None)
        return cls(layout, small, Packing.of(small))

    def rows(self, partition: pd.DataFrame) -> tuple[ModelFrame, dict[str, GroupLevels]]:
        """The frame of a partition, which has complete rows, and its groups."""
        made = self.layout.frame(read_table(partition))
        assert made is not None, "partitions without rows were left out"
        return like_the_model(made[0], self.frame), made[1]


@dataclass(frozen=True, slots=True)
class Facts:
    """What a part says of itself.

    Attributes
    ----------
    totals
        Sums over its rows.
    levels
        Of each grouping factor its groups, in the order in which it numbers them.
    kept
        Rows of the likelihood: populations, where they were collapsed.
    """

    totals: Totals
    levels: dict[str, GroupLevels]
    kept: int


class Part:
    """The likelihood of a part, and its facts."""

    def __init__(self, likelihood: Any, facts: Facts) -> None:
        self._likelihood = likelihood
        self._facts = facts

    def facts(self) -> Facts:
        """What it says of itself."""
        return self._facts

    def __getattr__(self, name: str) -> Any:
        return getattr(self._likelihood, name)


def mixed_part(model: Model, partition: pd.DataFrame) -> Part:
    """The likelihood of a partition with its random effects, by Laplace's approximation."""
    frame, levels = model.rows(partition)
    compact = _compact(frame)
    likelihood = mixed_likelihood(compact, Options())
    assert isinstance(likelihood, WithQuadrature)
    return Part(likelihood, _facts(model, frame, levels, compact, partition))


def single_part(model: Model, partition: pd.DataFrame) -> Part:
    """The likelihood of a partition without random effects."""
    frame, levels = model.rows(partition)
    compact = _compact(frame)
    return Part(fixed_likelihood(compact, 1), _facts(model, frame, levels, compact, partition))


def _compact(frame: ModelFrame) -> ModelFrame:
    return collapse(frame)[0] if collapse_pays(frame) else frame


def _facts(
    model: Model,
    frame: ModelFrame,
    levels: dict[str, GroupLevels],
    compact: ModelFrame,
    partition: pd.DataFrame,
) -> Facts:
    totals = Totals()
    totals.add(frame, model.packing.columns(frame), partition[PLACE].to_numpy())
    return Facts(totals, levels, compact.response.trials.size)
