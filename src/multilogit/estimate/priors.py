"""A prior specification meets the model."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from multilogit.data.model_frame import ModelFrame
from multilogit.estimate.effects import factor_effects
from multilogit.estimate.options import Options
from multilogit.likelihood.mixed import MixedLikelihood
from multilogit.prior import BoundPrior, Prior, PriorContext, RowsElsewhere, bind

_NO_THETA = np.zeros(0, dtype=np.intp)


def bind_prior(
    prior: Prior | BoundPrior | None,
    frame: ModelFrame,
    mixed: MixedLikelihood | None,
    options: Options,
) -> BoundPrior | None:
    """log π for the model of a frame, whose marginal likelihood is ``mixed`` if it has bars.

    Raises
    ------
    OptionError
        If ``prior`` is no prior, or does not fit the model.
    """
    return None if prior is None else bind(prior, prior_context(frame, mixed, options))


def bind_elsewhere(
    prior: Prior | BoundPrior | None,
    frame: ModelFrame,
    mixed: MixedLikelihood | None,
    options: Options,
    rows: RowsElsewhere,
) -> BoundPrior | None:
    """log π for a model whose rows are not in memory; ``frame`` has its names and levels.

    Raises
    ------
    OptionError
        If ``prior`` is no prior, does not fit the model, or needs every row.
    """
    if prior is None:
        return None
    nothing = np.zeros(0)
    context = replace(
        prior_context(frame, mixed, options),
        columns=(),
        trials=nothing,
        offset=None,
        mean=rows.total_counts / rows.single.total_trials,
        elsewhere=rows,
    )
    return bind(prior, context)


def prior_context(
    frame: ModelFrame, mixed: MixedLikelihood | None, options: Options
) -> PriorContext:
    """The plain arrays of the model."""
    counts, trials = frame.response.weighted()
    structure = None if mixed is None else mixed.structure
    return PriorContext(
        columns=frame.fixed.columns,
        names=frame.fixed.names,
        trials=trials,
        offset=frame.offset,
        mean=counts.sum(axis=0) / trials.sum(),
        theta_rows=_NO_THETA if structure is None else structure.rows,
        theta_columns=_NO_THETA if structure is None else structure.columns,
        blocks=() if structure is None else structure.blocks,
        threads=options.threads,
        effect_logits=tuple(logit for part in factor_effects(frame) for logit in part.logits),
        order=None if mixed is None else lambda: mixed.order,
    )
