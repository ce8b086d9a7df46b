"""Models with random effects: likelihood, prior, start values, search, accuracy."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from multilogit.data.model_frame import Column, ModelFrame, Response
from multilogit.estimate.accuracy import check_laplace, climb_ladder
from multilogit.estimate.estimate import Estimate
from multilogit.estimate.multistart import search_from_many
from multilogit.estimate.options import Options
from multilogit.estimate.priors import bind_prior
from multilogit.estimate.search import Target
from multilogit.estimate.single import longest_steps
from multilogit.estimate.starts import start_values
from multilogit.likelihood.crossed import CrossedLaplace
from multilogit.likelihood.fixed import FixedLikelihood
from multilogit.likelihood.grouped import GroupedLikelihood
from multilogit.likelihood.mixed import MixedLikelihood
from multilogit.likelihood.nested import NestedLikelihood, is_nested


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


def arranged(frame: ModelFrame) -> ModelFrame:
    """The same model with the bar terms of a factor together, more levels first (as lme4)."""
    groupings = frame.groupings or {}
    order = {name: k for k, name in enumerate(groupings)}
    random = sorted(
        frame.random,
        key=lambda block: (-len(groupings[block.group].levels), order[block.group]),
    )
    return replace(frame, random=tuple(random))


@dataclass(frozen=True, slots=True)
class _Factor:
    """One grouping factor with all its bar terms."""

    columns: list[Column]
    blocks: list[int]
    codes: NDArray[np.int32]
    n_levels: int


def _factors(frame: ModelFrame) -> list[_Factor]:
    """The grouping factors in the order of the (arranged) bar terms."""
    groupings = frame.groupings or {}
    found = []
    for name in dict.fromkeys(block.group for block in frame.random):
        mine = [block for block in frame.random if block.group == name]
        columns = [column for block in mine for column in block.columns]
        sizes = [len(block.columns) for block in mine]
        found.append(_Factor(columns, sizes, groupings[name].codes, len(groupings[name].levels)))
    return found


def mixed_likelihood(frame: ModelFrame, options: Options) -> MixedLikelihood:
    """The marginal likelihood of an arranged binary frame.

    One grouping factor, nested factors, or crossed ones, whatever the data are.
    """
    factors = _factors(frame)
    y, trials = successes_and_trials(frame.response)
    if len(factors) == 1:
        (factor,) = factors
        return GroupedLikelihood(
            frame.fixed.columns,
            factor.columns,
            factor.blocks,
            y,
            trials,
            factor.codes,
            factor.n_levels,
            offset=frame.offset,
            nodes=1 if options.nodes == "auto" else options.nodes,
            threads=options.threads,
        )
    nested = all(is_nested(lower.codes, upper.codes) for lower, upper in pairwise(factors))
    several = NestedLikelihood if nested else CrossedLaplace
    return several(
        frame.fixed.columns,
        [factor.columns for factor in factors],
        [factor.blocks for factor in factors],
        y,
        trials,
        [factor.codes for factor in factors],
        [factor.n_levels for factor in factors],
        offset=frame.offset,
        threads=options.threads,
    )


def successes_and_trials(response: Response) -> tuple[Column, Column]:
    """y and n of a binary response, multiplied by the frequency weights."""
    y, trials = response.counts[:, 0], response.trials
    if response.weights is not None:
        y, trials = y * response.weights, trials * response.weights
    return np.ascontiguousarray(y), trials
