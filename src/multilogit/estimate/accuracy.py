"""How good is the approximation of the integral over the random effects?

Laplace's approximation errs where groups tell little about their random effect and that effect
varies much: few binary rows per group, a large variance. The error goes either way. Adaptive
quadrature shows how large it is; with more and more nodes it converges to the integral.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from multilogit.data.model_frame import ModelFrame
from multilogit.errors import Diagnostic
from multilogit.estimate.estimate import Estimate, information_inverse
from multilogit.estimate.options import Options
from multilogit.estimate.search import Target, search
from multilogit.evaluation import Vector
from multilogit.likelihood.grouped import GroupedLikelihood
from multilogit.likelihood.nested import NestedLikelihood
from multilogit.newton import newton_direction

LADDER = (5, 9, 15, 25, 41, 65, 101, 151)
"""Numbers of nodes that ``nodes="auto"`` tries after Laplace's approximation."""
MOST_PRODUCT_NODES = 5_000
"""Most nodes per group, all random effects together; nested: per group of the last level."""

_STABLE_LOGLIK = 1e-3
_STABLE_ESTIMATES = 0.01
"""Changes from one rung to the next that count as none: of ℓ, and of ψ in standard errors."""
_CHECK_NODES = {1: 15, 2: 7, 3: 5}
_CHECK_NODES_NESTED = {2: 5, 3: 3}
"""By the number q of random effects; with more, Laplace's approximation is not checked."""
_FEW_TRIALS = 20
_LARGE_SD = 1.5
"""Laplace's approximation is checked with fewer trials per group than this, or a larger sd."""
_MOST_CHECKED = 20_000_000
_MOST_CHECKED_NESTED = 2_000_000
"""Rows times nodes that the check may cost: quadrature within quadrature takes longer."""
_WORTH_A_WARNING = 0.3
"""Newton decrement with more nodes, a distance in standard errors, that is worth a warning."""


def climb_ladder(target: Target, start: Vector, options: Options) -> Estimate:
    """Fit with more and more nodes until log-likelihood and estimates stay.

    Each fit starts from the one before. The diagnostic ``"nodes"`` says what was chosen and
    how much the last step changed; it is a warning where the ladder ended first.
    """
    likelihood = target.likelihood
    assert isinstance(likelihood, GroupedLikelihood | NestedLikelihood)
    estimate = search(target, start, options)
    nodes, change, moved = 1, np.inf, np.inf
    for rung in LADDER:
        if rung**likelihood.structure.q > MOST_PRODUCT_NODES or not estimate.solution.converged:
            break
        likelihood.set_nodes(rung)
        finer = search(target, _inside(likelihood, estimate.solution.psi), options)
        change = abs(finer.likelihood.value - estimate.likelihood.value)
        moved = _distance(finer, finer.solution.psi - estimate.solution.psi)
        estimate, nodes = finer, rung
        if change <= _STABLE_LOGLIK and moved <= _STABLE_ESTIMATES:
            break
    stable = change <= _STABLE_LOGLIK and moved <= _STABLE_ESTIMATES
    chosen = Diagnostic(
        "nodes",
        "info" if stable else "warning",
        f"nodes='auto' chose {nodes} quadrature nodes per random effect; the last increase "
        f"changed the log-likelihood by {change:.2g} and no estimate by more than {moved:.2g} "
        "standard errors.",
        "" if stable else "The integral may not be accurate yet: give more nodes, if possible.",
        {"nodes": nodes, "loglik_change": float(change), "moved": float(moved)},
    )
    return replace(estimate, nodes=nodes, diagnostics=(*estimate.diagnostics, chosen))


def check_laplace(target: Target, estimate: Estimate, frame: ModelFrame) -> tuple[Diagnostic, ...]:
    """A warning where some nodes would move the estimates: one evaluation, one Newton step."""
    likelihood = target.likelihood
    if not isinstance(likelihood, GroupedLikelihood | NestedLikelihood):
        return ()
    nodes = _check_nodes(likelihood, frame.response.trials.size)
    if nodes is None or not _in_doubt(likelihood, estimate, frame):
        return ()
    psi = estimate.solution.psi
    likelihood.set_nodes(nodes)
    finer, there = target.objective.evaluate(psi), likelihood.evaluate(psi).value
    likelihood.set_nodes(1)
    moved = newton_direction(finer.gradient, finer.hessian).decrement
    change = there - estimate.likelihood.value
    if not moved > _WORTH_A_WARNING:
        return ()
    return (
        Diagnostic(
            "laplace-accuracy",
            "warning",
            f"Laplace's approximation is poor here: {nodes} quadrature nodes change the "
            f"log-likelihood by {change:+.3g}; with them the estimates are {moved:.2g} standard "
            "errors from the maximum.",
            "Fit with nodes='auto', or a number of nodes such as nodes=25.",
            {"nodes": nodes, "loglik_change": change, "moved": moved},
        ),
    )


def _check_nodes(likelihood: GroupedLikelihood | NestedLikelihood, rows: int) -> int | None:
    """Nodes of the check; None where it is not possible or costs too much."""
    q = likelihood.structure.q
    if isinstance(likelihood, GroupedLikelihood):
        nodes, most = _CHECK_NODES.get(q), _MOST_CHECKED
    else:
        one_each = q == len(likelihood.factors())
        nodes, most = _CHECK_NODES_NESTED.get(q) if one_each else None, _MOST_CHECKED_NESTED
    return None if nodes is None or rows * nodes**q > most else nodes


def _in_doubt(
    likelihood: GroupedLikelihood | NestedLikelihood, estimate: Estimate, frame: ModelFrame
) -> bool:
    """Whether the design makes a check worth its cost."""
    if not estimate.solution.converged:
        return False
    assert estimate.Lambda is not None
    sd = np.sqrt((estimate.Lambda**2).sum(axis=1)) * likelihood.z_scale
    total = float(frame.response.trials.sum())
    few = any(
        total < _FEW_TRIALS * factor.modes.shape[0] and sd[factor.effects].max() > 0.0
        for factor in estimate.factors
    )
    return few or bool(sd.max() > _LARGE_SD)


def _distance(estimate: Estimate, change: Vector) -> float:
    """The largest change of a parameter, in its standard errors."""
    variance = information_inverse(
        estimate.solution.evaluation.hessian, ~estimate.boundary
    ).diagonal()
    known = np.isfinite(variance) & (variance > 0.0)
    if not known.any():
        return np.inf
    return float(np.abs(change[known] / np.sqrt(variance[known])).max())


def _inside(likelihood: GroupedLikelihood | NestedLikelihood, psi: Vector) -> Vector:
    """ψ with zero columns of Λ moved off the boundary, which is a saddle."""
    structure, p = likelihood.structure, likelihood.p
    Lambda = structure.Lambda(psi[p:])
    for a in np.flatnonzero(~Lambda.any(axis=0)):
        Lambda[a, a] = 0.1 / likelihood.z_scale[a]
    return np.concatenate([psi[:p], Lambda[structure.rows, structure.columns]])
