"""Matrices and grouping columns to model frames, without a formula to evaluate.

What an estimator that is handed arrays needs: the frame that a formula would have made, and a
design, so that the result is like any other. The formula is written for the reader and for new
data in named columns; it is parsed, never evaluated here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, count

import numpy as np
from numpy.typing import NDArray

from multilogit.data.columns import Factor
from multilogit.data.grouping import GroupLevels, group, match_levels
from multilogit.data.model_frame import (
    FixedColumns,
    Grouping,
    ModelFrame,
    RandomBlock,
    Response,
)
from multilogit.errors import DataError, OptionError
from multilogit.formula import Design
from multilogit.formula.design import Learnt
from multilogit.formula.parse import parse
from multilogit.formula.spec import INTERCEPT, FormulaSpec
from multilogit.predict.tangent import Rows
from multilogit.result import Fit
from multilogit.result.arrays.prediction_rows import assembled

Floats = NDArray[np.float64]
Slopes = Mapping[str, Sequence[int]]

_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9_]*")


@dataclass(frozen=True, slots=True)
class Columns:
    """Data as columns.

    Attributes
    ----------
    features
        Shape ``(n, p)``, F-ordered, finite.
    names
        p different names.
    groups
        Grouping factors by name.
    """

    features: Floats
    names: tuple[str, ...]
    groups: dict[str, Factor]

    def take(self, rows: NDArray[np.int64]) -> Columns:
        """Only these rows."""
        groups = {name: factor.take(rows) for name, factor in self.groups.items()}
        return Columns(np.asfortranarray(self.features[rows]), self.names, groups)


def model_frame(
    data: Columns, response: Response, slopes: Slopes, *, intercept: bool
) -> tuple[ModelFrame, Design]:
    """The frame of ``response ~ features + (1 + slopes | group) + ...``, and its design.

    Parameters
    ----------
    data
        The columns.
    response
        The response; the frame gives it a name that no column has.
    slopes
        For each grouping factor the features, by position, whose coefficients vary.
    intercept
        Whether there is a constant (groups always have their own).

    Raises
    ------
    DataError
        A group is missing in some row.
    OptionError
        Two columns have the same name.
    """
    _check_names(data)
    spec = _formula(data, slopes, intercept)
    groupings: dict[str, Grouping] = {}
    learnt: dict[str, GroupLevels] = {}
    for name, factor in data.groups.items():
        if (factor.codes < 0).any():
            row = int(np.flatnonzero(factor.codes < 0)[0])
            raise DataError(f"The group {name!r} is missing at row {row}; remove the row.")
        groupings[name], learnt[name] = group(name, [name], [factor])
    fixed, random = _columns(data, spec, slopes)
    named = Response(
        response.family,
        spec.response.name,
        response.categories,
        response.counts,
        response.trials,
        response.weights,
    )
    n = data.features.shape[0]
    frame = ModelFrame(named, fixed, random, groupings, n_input_rows=n)
    return frame, Design(spec, Learnt({}, learnt))


def new_rows(fit: Fit, data: Columns, slopes: Slopes) -> Rows:
    """Rows to predict from; groups that the fit has not seen, or that are missing, have code −1."""
    levels = fit.design.learnt.groups
    n = data.features.shape[0]
    unknown = np.full(n, -1, dtype=np.int32)
    codes = {
        name: match_levels(name, levels[name], [data.groups[name]]).codes
        if name in data.groups
        else unknown
        for name in levels
    }
    fixed, random = _columns(data, fit.design.spec, slopes)
    return assembled(fit, fixed, random, codes, None, n, "conditional")


def _check_names(data: Columns) -> None:
    every = [INTERCEPT, *data.names, *data.groups]
    twice = sorted({name for name in every if every.count(name) > 1})
    if twice:
        raise OptionError(f"Two columns are called {twice[0]!r}: rename one of them.")


def _formula(data: Columns, slopes: Slopes, intercept: bool) -> FormulaSpec:
    names = {*data.names, *data.groups}
    response = next(name for name in chain(["y"], _numbered("y")) if name not in names)
    bars = [
        f"({' + '.join(['1', *(_quoted(data.names[k]) for k in slopes[name])])} | {_quoted(name)})"
        for name in data.groups
    ]
    terms = ["1" if intercept else "0", *map(_quoted, data.names), *bars]
    return parse(f"{response} ~ {' + '.join(terms)}")


def _numbered(name: str) -> Iterator[str]:
    return (f"{name}{k}" for k in count())


def _quoted(name: str) -> str:
    return name if _PLAIN.fullmatch(name) else f"`{name}`"


def _columns(
    data: Columns, spec: FormulaSpec, slopes: Slopes
) -> tuple[FixedColumns, tuple[RandomBlock, ...]]:
    """X and Z under the names that the formula gives them."""
    ones = np.ones(data.features.shape[0])
    x = tuple(data.features.T)
    constant = int(spec.fixed.intercept)
    names = (*[INTERCEPT] * constant, *spec.fixed.names())
    fixed = FixedColumns((*[ones] * constant, *x), names, names)
    random = tuple(
        RandomBlock(
            bar.group.name,
            (ones, *(x[k] for k in slopes[bar.group.name])),
            (INTERCEPT, *bar.terms.names()),
        )
        for bar in spec.bars
    )
    return fixed, random
