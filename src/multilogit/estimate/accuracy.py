"""How good is the approximation of the integral over the random effects?

Laplace's approximation errs where groups tell little about their random effect and that effect
varies much: few binary rows per group, a large variance. The error goes either way. Adaptive
quadrature shows how large it is; with more and more nodes it converges to the integral. Crossed
factors have no quadrature; there the next term of Laplace's expansion tells.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from multilogit.errors import Diagnostic, Status
from multilogit.estimate.estimate import Estimate, information_inverse
from multilogit.estimate.options import Options
from multilogit.estimate.search import Target, search
from multilogit.evaluation import Vector
from multilogit.likelihood.crossed import CrossedLaplace
from multilogit.likelihood.mixed import MixedLikelihood, WithQuadrature
from multilogit.likelihood.nested import NestedLikelihood
from multilogit.newton import newton_direction

LADDER = (5, 9, 15, 25, 41, 65, 101, 151)
"""Numbers of nodes that ``nodes="auto"`` tries after Laplace's approximation."""
MOST_PRODUCT_NODES = 5_000
"""Most nodes per group, all random effects together; nested: per group of the last level."""

_STABLE_LOGLIK = 1e-3
_STABLE_ESTIMATES = 0.01
"""Changes from one rung to the next that count as none: of ℓ, and of ψ in standard errors."""
_CHECK_NODES = {1: (15, 5), 2: (7, 3), 3: (5, 3)}
_CHECK_NODES_NESTED = {2: (5, 3), 3: (3,), 4: (3,)}
"""By the number q of random effects; the second number where the first costs too much."""
_FEW_TRIALS = 20
_LARGE_SD = 1.5
"""Laplace's approximation is checked with fewer trials per group than this, or a larger sd."""
_MOST_CHECKED = 20_000_000
_MOST_CHECKED_NESTED = 10_000_000
"""Rows times nodes that the check may cost: quadrature within quadrature takes longer."""
_MOST_CHECKED_BYTES = 1e9
"""Memory of a crossed model that is checked: its size tells what an evaluation costs."""
_ALWAYS_CHECKED_BYTES = 100e6
_MOST_CHECKED_TIMES = 2.0
"""Memory of nested trees that are checked: so much, or so many times that of the columns."""
_WORTH_A_WARNING = 0.3
"""Newton decrement of the better approximation, a distance in standard errors, worth a warning."""
_MOST_EXPANDED = 5_000_000
"""Rows times squared effects times elements of θ: what the expansion may cost otherwise."""
_VARIANCES_SUFFER = (
    "The variances of the random effects suffer most; refits to simulated responses "
    "(fit.simulate) show by how much."
)
_NO_QUADRATURE = f"Crossed factors have no quadrature. {_VARIANCES_SUFFER}"
_NO_NODES = f"There are too many random effects for quadrature. {_VARIANCES_SUFFER}"
_COMPARE = "Compare with a fit of several nodes, such as nodes=5."
_SMALL_STEP = 0.1
"""Of a difference quotient, in standard errors."""


def climb_ladder(target: Target, start: Vector, options: Options) -> Estimate:
    """Fit with more and more nodes until log-likelihood and estimates stay.

    Each fit starts from the one before. The diagnostic ``"nodes"`` says what was chosen and
    how much the last step changed; it is a warning where the ladder ended first.
    """
    likelihood = target.likelihood
    assert isinstance(likelihood, WithQuadrature)
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


def check_laplace(
    target: Target,
    estimate: Estimate,
    rows: int,
    trials: float,
    as_crossed: Callable[[], CrossedLaplace] | None,
) -> tuple[Diagnostic, ...]:
    """A warning where a better approximation would move the estimates.

    ``trials``: their sum over the ``rows``, frequency weights multiplied in.
    ``as_crossed`` makes the same likelihood by the kernel for crossed factors, which knows the
    next term of Laplace's expansion: for factors with too many effects for quadrature. None: it
    cannot be made, and they are not checked.
    """
    likelihood = target.likelihood
    if not _in_doubt(likelihood, estimate, trials):
        return ()
    if isinstance(likelihood, CrossedLaplace):
        if likelihood.bytes > _MOST_CHECKED_BYTES:
            return _not_checked(_NO_QUADRATURE)
        return _check_by_expansion(likelihood, estimate, _NO_QUADRATURE)
    assert isinstance(likelihood, WithQuadrature)
    structure = likelihood.structure
    one_factor = len(likelihood.factors()) == 1
    by_effects = _CHECK_NODES if one_factor else _CHECK_NODES_NESTED
    if structure.q in by_effects:
        nodes = _affordable(by_effects[structure.q], structure.q, rows, one_factor)
        if nodes is None or not _fits(likelihood):
            return _not_checked(_COMPARE)
        return _check_by_quadrature(target, estimate, nodes)
    most = int(MOST_PRODUCT_NODES ** (1.0 / structure.q))
    remedy = (
        f"Fit with several nodes; at most nodes={most} are possible." if most > 1 else _NO_NODES
    )
    if as_crossed is None or rows * structure.q**2 * structure.m > _MOST_EXPANDED:
        return _not_checked(remedy)
    return _check_by_expansion(as_crossed(), estimate, remedy)


def _check_by_quadrature(target: Target, estimate: Estimate, nodes: int) -> tuple[Diagnostic, ...]:
    """One evaluation with more nodes, one Newton step."""
    likelihood = target.likelihood
    assert isinstance(likelihood, WithQuadrature)
    psi = estimate.solution.psi
    likelihood.set_nodes(nodes)
    finer = target.objective.evaluate(psi)
    there = target.likelihood_at(psi, finer).value
    likelihood.set_nodes(1)
    if finer.status is not Status.OK or not np.isfinite(finer.hessian).all():
        return _not_checked(_COMPARE)
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


def _check_by_expansion(
    likelihood: CrossedLaplace, estimate: Estimate, remedy: str
) -> tuple[Diagnostic, ...]:
    """The next term ε(ψ) of the expansion, and the Newton step that it makes ℓ + ε take.

    Along θ only, with the β that belong to it: nearly all of ε changes with the variances.
    Where Laplace's approximation is poor the next term is too, and overstates what it lacks.
    """
    psi, p = estimate.solution.psi, likelihood.p
    free = p + np.flatnonzero(~estimate.boundary[p:])
    information = -estimate.solution.evaluation.hessian
    ways = np.zeros((psi.size, free.size))  # dψ/dθ
    ways[free, range(free.size)] = 1.0
    ways[:p] = np.linalg.lstsq(information[:p, :p], -information[:p, free], rcond=None)[0]
    profiled = ways.T @ information @ ways
    if not (profiled.diagonal() > 0.0).all():
        return ()
    steps = _SMALL_STEP / np.sqrt(profiled.diagonal())
    change = likelihood.correction(psi)
    there = np.array(
        [likelihood.correction(psi + h * d) for h, d in zip(steps, ways.T, strict=True)]
    )
    moved = newton_direction((there - change) / steps, -profiled).decrement
    if not moved > _WORTH_A_WARNING:
        return ()
    return (
        Diagnostic(
            "laplace-accuracy",
            "warning",
            "Laplace's approximation is poor here: the next term of its expansion changes the "
            f"log-likelihood by {change:+.3g} and moves the estimates by about {moved:.2g} "
            "standard errors.",
            remedy,
            {"loglik_change": change, "moved": moved},
        ),
    )


def _not_checked(remedy: str) -> tuple[Diagnostic, ...]:
    """What a reader should know where the check would take much longer than the fit."""
    return (
        Diagnostic(
            "laplace-unchecked",
            "info",
            "Laplace's approximation may be poor here, with few rows per group or a large "
            "variance; it was not checked, because that would take long.",
            remedy,
        ),
    )


def _fits(likelihood: MixedLikelihood) -> bool:
    """Whether the check takes little memory beside the columns; one tree may be all of the data."""
    if not isinstance(likelihood, NestedLikelihood):
        return True
    most = max(_ALWAYS_CHECKED_BYTES, _MOST_CHECKED_TIMES * likelihood.bytes)
    return likelihood.quadrature_bytes <= most


def _affordable(choices: Sequence[int], q: int, rows: int, one_factor: bool) -> int | None:
    """The first number of nodes that does not cost too much; None: each of them does."""
    most = _MOST_CHECKED if one_factor else _MOST_CHECKED_NESTED
    return next((nodes for nodes in choices if rows * nodes**q <= most), None)


def _in_doubt(likelihood: MixedLikelihood, estimate: Estimate, trials: float) -> bool:
    """Whether the design makes a check worth its cost."""
    if not estimate.solution.converged:
        return False
    assert estimate.Lambda is not None
    sd = np.sqrt((estimate.Lambda**2).sum(axis=1)) * likelihood.z_scale
    few = any(
        trials < _FEW_TRIALS * factor.modes.shape[0] and sd[factor.effects].max() > 0.0
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


def _inside(likelihood: MixedLikelihood, psi: Vector) -> Vector:
    """ψ with zero columns of Λ moved off the boundary, which is a saddle."""
    structure, p = likelihood.structure, likelihood.p
    Lambda = structure.Lambda(psi[p:])
    for a in np.flatnonzero(~Lambda.any(axis=0)):
        Lambda[a, a] = 0.1 / likelihood.z_scale[a]
    return np.concatenate([psi[:p], Lambda[structure.rows, structure.columns]])
