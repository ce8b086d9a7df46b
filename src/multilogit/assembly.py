"""What fits of every kind share: what is refused, names of effects, how a search has ended."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from multilogit.data.model_frame import Column, FixedColumns, ModelFrame, RandomBlock
from multilogit.errors import DataError, Diagnostic, OptionError, Status
from multilogit.estimate import Estimate, Options
from multilogit.estimate.effects import FactorEffects, factor_effects
from multilogit.result import RandomEffects

_MOST_EFFECTS = 16
_MOST_NAMES = 5


def check_supported(frame: ModelFrame, options: Options) -> None:
    """Refuse what this version cannot estimate."""
    if not frame.fixed.columns and frame.fixed.levels is None:
        raise OptionError("The model has no fixed effects; add an intercept or a predictor.")
    if not frame.random:
        return
    if options.prior is None:
        _refuse_single_levels(frame)
    if options.infinite == "freeze":
        raise OptionError(
            "infinite='freeze' is for models without random effects; with them use "
            "prior=ml.RelativeEntropy()."
        )
    for effects in factor_effects(frame):
        if effects.q > _MOST_EFFECTS:
            raise OptionError(
                f"{effects.group!r} has {effects.q} random effects per level"
                f"{_on_logits(frame, effects)}; at most {_MOST_EFFECTS} are available."
            )


def _on_logits(frame: ModelFrame, effects: FactorEffects) -> str:
    n_logits = len(frame.response.categories) - 1
    return f" ({effects.q // n_logits} on each of {n_logits} logits)" if n_logits > 1 else ""


def _refuse_single_levels(frame: ModelFrame) -> None:
    for group, grouping in frame.groupings.items():
        if len(grouping.levels) < 2:
            raise DataError(
                f"The grouping factor {group!r} has only one level; remove its bar from the "
                "formula, or give a prior for its variance, such as prior=ml.RelativeEntropy()."
            )


def random_effects(frame: ModelFrame, estimate: Estimate) -> tuple[RandomEffects, ...]:
    """The random effects of each grouping factor, named."""
    if estimate.Lambda is None:
        return ()
    found = []
    theta = len(frame.fixed.columns) * (len(frame.response.categories) - 1)
    for effects, factor in zip(factor_effects(frame), estimate.factors, strict=True):
        m = sum(size * (size + 1) // 2 for size in effects.blocks)
        found.append(
            RandomEffects(
                group=effects.group,
                names=effects.names,
                blocks=effects.blocks,
                theta=slice(theta, theta + m),
                Lambda=estimate.Lambda[factor.effects, factor.effects],
                modes=factor.modes,
                mode_covariance=factor.covariance,
            )
        )
        theta += m
    return tuple(found)


_REMEDIES = {
    Status.MAX_ITERATIONS: (
        "Newton–Raphson reached max_iterations before it converged.",
        "Look at fit.trace; centre or rescale predictors that are far from 0 or very large; give "
        "more max_iterations or other start values.",
    ),
    Status.LINE_SEARCH_FAILED: (
        "Newton–Raphson found no step that increases the log-likelihood.",
        "Look at fit.trace; centre predictors that are far from 0 and rescale very large or very "
        "small ones, or give start values.",
    ),
    Status.NOT_FINITE: (
        "The log-likelihood or its derivatives are not finite.",
        "Look for extreme values among the predictors, the offset and the start values.",
    ),
    Status.INNER_FAILED: (
        "The conditional modes of some group were not found.",
        "Look for extreme values among the predictors and the offset.",
    ),
    Status.DIVERGING: (
        "Some coefficients grow without bound: the maximum of the likelihood is at infinity, as "
        "it is when a predictor separates the responses.",
        "Look for predictors that determine the response; combine their levels or drop them.",
    ),
    Status.INTERRUPTED: (
        "The fit was interrupted.",
        "What is reported is the last Newton iterate; a fit with start= this one goes on from it.",
    ),
}


_FAR = 100.0
"""|mean|/sd above which η loses digits that second derivatives need."""


_EXTREME = 1e6
"""Largest absolute value that is worth naming where numbers overflow, or one by it."""


def _far_from_zero(columns: Mapping[str, Column]) -> str:
    """The columns to centre, if there are any."""
    found = []
    for name, column in columns.items():
        mean, sd = float(np.mean(column)), float(np.std(column))
        if sd > 0.0 and abs(mean) > _FAR * sd:
            found.append(f"{name!r} (mean {mean:.3g}, sd {sd:.2g})")
    return f" Far from 0: {_first(found)}; subtract the mean." if found else ""


def _extreme(columns: Mapping[str, Column]) -> str:
    """The columns to rescale, if there are any."""
    found = []
    for name, column in columns.items():
        largest = float(np.abs(column).max(initial=0.0))
        if largest != 0.0 and not 1.0 / _EXTREME < largest < _EXTREME:
            found.append(f"{name!r} (largest value {largest:.3g})")
    return f" Very large or small: {_first(found)}; divide by that value." if found else ""


def _first(named: list[str]) -> str:
    return ", ".join(named[:_MOST_NAMES]) + (", ..." if len(named) > _MOST_NAMES else "")


def _columns(frame: ModelFrame) -> dict[str, Column]:
    """The columns of X and Z by their names."""
    terms: tuple[FixedColumns | RandomBlock, ...] = (frame.fixed, *frame.random)
    return {
        name: column
        for each in terms
        for name, column in zip(each.names, each.columns, strict=True)
    }


def status_diagnostics(estimate: Estimate, frame: ModelFrame) -> tuple[Diagnostic, ...]:
    """Why the search did not converge, unless something better has been said already."""
    status = estimate.solution.status
    explained = any(noticed.severity == "error" for noticed in estimate.diagnostics)
    if status is Status.CONVERGED or explained:
        return ()
    message, remedy = _REMEDIES[status]
    if status in (Status.MAX_ITERATIONS, Status.LINE_SEARCH_FAILED):
        remedy += _far_from_zero(_columns(frame))
    if status in (Status.NOT_FINITE, Status.INNER_FAILED):
        remedy += _extreme(_columns(frame))
    code = status.value.replace("_", "-")
    return (Diagnostic(code, "error", message, remedy, {"status": status.value}),)
