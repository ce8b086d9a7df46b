"""The likelihood of a part of the rows, at the estimates of all of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from multilogit.data.model_frame import Grouping, ModelFrame
from multilogit.estimate import fixed_likelihood
from multilogit.estimate.mixed import mixed_likelihood
from multilogit.evaluation import Evaluation
from multilogit.likelihood.mixed import WithInformation
from multilogit.result.fields.measures import Measures

Rows = NDArray[np.int64]


def rows_of_codes(codes: Rows, n_levels: int | None = None) -> list[Rows]:
    """Rows of every code."""
    counts = np.bincount(codes, minlength=n_levels or 0)
    return np.split(np.argsort(codes, kind="stable"), np.cumsum(counts)[:-1])


def evaluate_rows(fit: Measures, rows: Rows) -> Evaluation:
    """ℓ of some rows at ψ̂, with its whole Hessian."""
    frame = subset(fit.frame, rows)
    psi = fit.solution.psi if fit.far is None else fit.far
    if not frame.random:
        return fixed_likelihood(frame, 1).evaluate(psi)
    likelihood = mixed_likelihood(frame, replace(fit.options, threads=1))
    if isinstance(likelihood, WithInformation):
        return likelihood.information(psi)
    return likelihood.evaluate(psi)


def subset(frame: ModelFrame, rows: Rows) -> ModelFrame:
    """Some rows of a frame, with the levels of the grouping factors that occur in them."""
    response, fixed = frame.response, frame.fixed
    w = response.weights
    response = replace(
        response,
        counts=np.asfortranarray(response.counts[rows]),
        trials=response.trials[rows],
        weights=None if w is None else w[rows],
    )
    return replace(
        frame,
        response=response,
        fixed=replace(fixed, columns=tuple(column[rows] for column in fixed.columns)),
        random=tuple(
            replace(block, columns=tuple(column[rows] for column in block.columns))
            for block in frame.random
        ),
        groupings={name: _levels(g, rows) for name, g in frame.groupings.items()},
        offset=None if frame.offset is None else frame.offset[rows],
        rows=None,
        index=None,
    )


def _levels(grouping: Grouping, rows: Rows) -> Grouping:
    kept, codes = np.unique(grouping.codes[rows], return_inverse=True)
    return Grouping(grouping.name, codes.astype(np.int32), grouping.levels[kept])
