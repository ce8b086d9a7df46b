"""A prior specification meets the model."""

from __future__ import annotations

import numpy as np

from multilogit.data.model_frame import ModelFrame
from multilogit.estimate.options import Options
from multilogit.likelihood.covariance import CovarianceStructure
from multilogit.prior import BoundPrior, Prior, PriorContext, bind

_NO_THETA = np.zeros(0, dtype=np.intp)


def bind_prior(
    prior: Prior | BoundPrior | None,
    frame: ModelFrame,
    structure: CovarianceStructure | None,
    options: Options,
) -> BoundPrior | None:
    """log π for the model of a frame.

    Raises
    ------
    OptionError
        If ``prior`` is no prior, or does not fit the model.
    """
    return None if prior is None else bind(prior, prior_context(frame, structure, options))


def prior_context(
    frame: ModelFrame, structure: CovarianceStructure | None, options: Options
) -> PriorContext:
    """The plain arrays of the model."""
    response = frame.response
    w = response.weights
    trials = response.trials if w is None else response.trials * w
    totals = response.counts.sum(axis=0) if w is None else (response.counts.T * w).sum(axis=1)
    return PriorContext(
        columns=frame.fixed.columns,
        names=frame.fixed.names,
        trials=trials,
        offset=frame.offset,
        mean=totals / trials.sum(),
        theta_rows=_NO_THETA if structure is None else structure.rows,
        theta_columns=_NO_THETA if structure is None else structure.columns,
        blocks=() if structure is None else structure.blocks,
        threads=options.threads,
    )
