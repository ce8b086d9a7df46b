"""Models with random effects: likelihood, prior, start values, search, accuracy."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from itertools import pairwise
from typing import Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from multilogit.data.model_frame import Column, ModelFrame, RandomBlock, Response
from multilogit.errors import Diagnostic, OptionError
from multilogit.estimate.accuracy import MOST_PRODUCT_NODES, check_laplace, climb_ladder
from multilogit.estimate.effects import FactorEffects, factor_effects
from multilogit.estimate.estimate import Estimate
from multilogit.estimate.multistart import search_from_many
from multilogit.estimate.options import Options
from multilogit.estimate.priors import bind_prior
from multilogit.estimate.rank import split_dependent
from multilogit.estimate.search import Target
from multilogit.estimate.single import longest_steps
from multilogit.estimate.starts import start_values
from multilogit.likelihood.crossed import CrossedLaplace
from multilogit.likelihood.fixed import FixedLikelihood, SingleLevel
from multilogit.likelihood.grouped import GroupedLikelihood
from multilogit.likelihood.mixed import MixedLikelihood
from multilogit.likelihood.nested import NestedLikelihood, is_nested
from multilogit.prior import BoundPrior

_Several = TypeVar("_Several", NestedLikelihood, CrossedLaplace)


def estimate_mixed(frame: ModelFrame, fixed: FixedLikelihood, options: Options) -> Estimate:
    """Maximum of Q for a model with random effects.

    ``fixed`` is the likelihood of the same frame without its random effects.

    Raises
    ------
    OptionError
        If ``options.start`` has the wrong length, or quadrature needs too many nodes.
    """
    likelihood = mixed_likelihood(frame, options)
    prior = bind_prior(options.prior, frame, likelihood, options)
    as_crossed = partial(_several_factors, CrossedLaplace, frame, options.threads)
    rows = frame.response.trials.size
    return mixed_maximum(likelihood, fixed, prior, options, rows, as_crossed)


def mixed_maximum(
    likelihood: MixedLikelihood,
    fixed: SingleLevel,
    prior: BoundPrior | None,
    options: Options,
    rows: int,
    as_crossed: Callable[[], CrossedLaplace] | None = None,
) -> Estimate:
    """Maximum of Q = ℓ + log π, wherever the rows of the likelihood are.

    Parameters
    ----------
    likelihood, prior
        ℓ and log π.
    fixed
        The likelihood without random effects.
    options
        How to search.
    rows
        Number of rows.
    as_crossed
        Makes the likelihood that :func:`~multilogit.estimate.accuracy.check_laplace` may need.
    """
    longest = None if prior is None else longest_steps(fixed)
    target = Target(likelihood, prior, longest, fixed.n_logits)
    start = start_values(likelihood, fixed, options)
    if options.nodes == "auto":
        return climb_ladder(target, start, options)
    estimate = search_from_many(target, start, options)
    if options.nodes > 1:
        return replace(estimate, nodes=options.nodes)
    noticed = check_laplace(target, estimate, rows, fixed.total_trials, as_crossed)
    return replace(estimate, diagnostics=estimate.diagnostics + noticed)


def arranged(frame: ModelFrame) -> ModelFrame:
    """The same model, ready for estimation.

    Columns of Z without a variance of their own are left out, with a diagnostic; the bar terms
    of a factor stand together, the factor of most levels first (as lme4).
    """
    frame = _identified(frame)
    groupings = frame.groupings
    order = {name: k for k, name in enumerate(groupings)}
    random = sorted(
        frame.random,
        key=lambda block: (-len(groupings[block.group].levels), order[block.group]),
    )
    return replace(frame, random=tuple(random))


def _identified(frame: ModelFrame) -> ModelFrame:
    """Without the columns of Z that depend on earlier ones of their bar term, or are zero.

    Σ of a bar term is unstructured, so that the covariance ZΣZ' of the logits says nothing of
    a column more than there are dimensions. The same is true of a term of one column that is a
    combination of the columns of one other term of the same factor, as in
    ``(1 | g) + (0 + f | g)`` with a factor f, or ``(1 + k || g)`` with k constant.
    """
    blocks, noticed = [], []
    for block in frame.random:
        keep, dropped = split_dependent(block.columns, block.names)
        noticed += [_left_out(block, k, _why(block, k)) for k in dropped]
        if keep:
            blocks.append(block if not dropped else block.keep(keep))
    for block in [block for block in reversed(blocks) if len(block.columns) == 1]:
        others = [other for other in blocks if other is not block and other.group == block.group]
        if any(split_dependent((*other.columns, *block.columns))[1] for other in others):
            blocks = [other for other in blocks if other is not block]
            noticed.append(_left_out(block, 0, "is part of another term of the same factor"))
    if not noticed:
        return frame
    left = {block.group for block in blocks}
    groupings = {name: g for name, g in frame.groupings.items() if name in left}
    return replace(
        frame,
        random=tuple(blocks),
        groupings=groupings,
        diagnostics=(*frame.diagnostics, *noticed),
    )


def _why(block: RandomBlock, k: int) -> str:
    return "depends on earlier columns of its term" if block.columns[k].any() else "is always 0"


def _left_out(block: RandomBlock, k: int, why: str) -> Diagnostic:
    name, group = block.names[k], block.group
    term = " + ".join("1" if n == "(Intercept)" else n for n in block.names)
    if "(Intercept)" not in block.names:
        term = f"0 + {term}"
    return Diagnostic(
        "aliased-random-effect",
        "warning",
        f"The column {name!r} of the random effects ({term} | {group}) {why}: its variance "
        "cannot be estimated, and it was dropped.",
        facts={"group": group, "column": name},
    )


def mixed_likelihood(frame: ModelFrame, options: Options, scratch: str = "") -> MixedLikelihood:
    """The marginal likelihood of an arranged frame.

    One grouping factor, nested factors, or crossed ones, whatever the data are. ``scratch``: the
    directory of files for its columns; empty: in memory.

    Raises
    ------
    OptionError
        If ``options.nodes`` asks for quadrature that there is not, or for too many nodes.
    """
    factors = factor_effects(frame)
    nested = all(is_nested(lower.codes, upper.codes) for lower, upper in pairwise(factors))
    if options.nodes != 1:
        check_quadrature(factors, nested, options.nodes)
    nodes = 1 if options.nodes == "auto" else options.nodes
    y, trials = counts_and_trials(frame.response)
    binary = frame.response.family == "binomial"
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
            nodes=nodes,
            threads=options.threads,
            logits=None if binary else factor.logits,
            scratch=scratch,
        )
    if nested:
        kind = partial(NestedLikelihood, nodes=nodes, scratch=scratch)
        return _several_factors(kind, frame, options.threads)
    return _several_factors(CrossedLaplace, frame, options.threads)


def _several_factors(kind: Callable[..., _Several], frame: ModelFrame, threads: int) -> _Several:
    """The likelihood of that kind, for any number of factors."""
    factors = factor_effects(frame)
    y, trials = counts_and_trials(frame.response)
    return kind(
        frame.fixed.columns,
        [factor.columns for factor in factors],
        [factor.blocks for factor in factors],
        y,
        trials,
        [factor.codes for factor in factors],
        [factor.n_levels for factor in factors],
        offset=frame.offset,
        threads=threads,
        logits=None
        if frame.response.family == "binomial"
        else [factor.logits for factor in factors],
    )


def check_quadrature(
    factors: Sequence[FactorEffects], nested: bool, nodes: int | Literal["auto"]
) -> None:
    """Quadrature is for one factor or nested ones, and bounded."""
    named = ", ".join(repr(factor.group) for factor in factors)
    if not nested:
        raise OptionError(
            f"nodes={nodes!r}: random effects are grouped by {named}, which are crossed; "
            "quadrature is available for one grouping factor or nested ones. Use nodes=1, "
            "Laplace's approximation."
        )
    q = sum(factor.q for factor in factors)
    if nodes != "auto" and nodes**q > MOST_PRODUCT_NODES:
        raise OptionError(
            f"nodes={nodes} makes {nodes}^{q} nodes per group for the {q} random effects of "
            f"{named}; at most {MOST_PRODUCT_NODES} are available: use "
            f"nodes={int(MOST_PRODUCT_NODES ** (1.0 / q))} or less."
        )


def counts_and_trials(response: Response) -> tuple[NDArray[np.float64], Column]:
    """y and n, multiplied by the frequency weights.

    y has shape ``(n,)`` for a binary response, ``(n, C)`` for a multinomial one.
    """
    counts, trials = response.weighted()
    binary = response.family == "binomial"
    return np.ascontiguousarray(counts[:, 0]) if binary else counts, trials
