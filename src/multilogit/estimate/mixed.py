"""Models with random effects: likelihood, prior, start values, search, accuracy."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from multilogit.data.model_frame import Column, ModelFrame, Response
from multilogit.estimate.accuracy import check_laplace, climb_ladder
from multilogit.estimate.estimate import Estimate
from multilogit.estimate.multistart import search_from_many
from multilogit.estimate.options import Options
from multilogit.estimate.priors import bind_prior
from multilogit.estimate.search import Target
from multilogit.estimate.single import longest_steps
from multilogit.estimate.starts import start_values
from multilogit.likelihood.fixed import FixedLikelihood
from multilogit.likelihood.grouped import GroupedLikelihood
from multilogit.likelihood.mixed import MixedLikelihood


def estimate_mixed(frame: ModelFrame, fixed: FixedLikelihood, options: Options) -> Estimate:
    """Maximum of Q for a model with random effects.

    ``fixed`` is the likelihood of the same frame without its random effects.

    Raises
    ------
    OptionError
        If ``options.start`` has the wrong length, or quadrature needs too many nodes.
    """
    likelihood = mixed_likelihood(frame, options)
    prior = bind_prior(options.prior, frame, likelihood.structure, options)
    target = Target(likelihood, prior, None if prior is None else longest_steps(fixed))
    start = start_values(likelihood, fixed, options)
    if options.nodes == "auto":
        return climb_ladder(target, start, options)
    estimate = search_from_many(target, start, options)
    if options.nodes > 1:
        return replace(estimate, nodes=options.nodes)
    noticed = check_laplace(target, estimate, frame)
    return replace(estimate, diagnostics=estimate.diagnostics + noticed)


def mixed_likelihood(frame: ModelFrame, options: Options) -> MixedLikelihood:
    """The marginal likelihood of a binary frame whose bar terms share one grouping factor."""
    (grouping,) = (frame.groupings or {}).values()
    return GroupedLikelihood(
        frame.fixed.columns,
        [column for block in frame.random for column in block.columns],
        [len(block.columns) for block in frame.random],
        *successes_and_trials(frame.response),
        grouping.codes,
        len(grouping.levels),
        offset=frame.offset,
        nodes=1 if options.nodes == "auto" else options.nodes,
        threads=options.threads,
    )


def successes_and_trials(response: Response) -> tuple[Column, Column]:
    """y and n of a binary response, multiplied by the frequency weights."""
    y, trials = response.counts[:, 0], response.trials
    if response.weights is not None:
        y, trials = y * response.weights, trials * response.weights
    return np.ascontiguousarray(y), trials
