"""Several maxima: the Laplace objective can have them where groups are few and variances large."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from multilogit.errors import Diagnostic, Status
from multilogit.estimate.estimate import Estimate, information_inverse
from multilogit.estimate.options import Options
from multilogit.estimate.search import Target, search
from multilogit.evaluation import Matrix, Vector

_SAME = 1e-5
"""Maxima that differ by less than this in Q, or by |Q| / 10⁸, may be one."""
_NEAR = 0.1
"""They are if they are no more than this apart, in standard errors (or if β and Σ agree)."""
_SEED = 20_251
_SMALLEST_SD, _LARGEST_SD = 0.1, 30.0
"""Range of the standard deviations to start from, on the logit scale."""
_FEW_GROUPS = 30
_LARGE_SD = 3.0
"""With fewer groups and a larger standard deviation a second maximum is looked for by default."""


def search_from_many(target: Target, start: Vector, options: Options) -> Estimate:
    """The highest maximum found from ``options.starts`` starts; all are in its diagnostics.

    One start is looked at twice where a second maximum is likely.
    """
    found = [search(target, start, options)]
    for other in _others(target, found[0], options):
        if found[-1].solution.status is Status.INTERRUPTED:
            break
        found.append(_again(target, other, options))
    maxima = _distinct(found, target.likelihood.p)
    best = maxima[0]
    if found[-1].solution.status is Status.INTERRUPTED:
        best = replace(best, solution=replace(best.solution, status=Status.INTERRUPTED))
    return replace(best, diagnostics=(*best.diagnostics, *_report(maxima)))


def _others(target: Target, first: Estimate, options: Options) -> list[Vector]:
    """Further points to start from."""
    if options.starts > 1:
        return [_stretched(target, first), *_scattered(target, first, options.starts - 2)]
    return [_stretched(target, first)] if _doubtful(target, first) else []


def _again(target: Target, start: Vector, options: Options) -> Estimate:
    target.likelihood.restart()
    return search(target, start, options)


def _doubtful(target: Target, estimate: Estimate) -> bool:
    """Whether groups are few and a variance is large."""
    if not estimate.solution.converged or estimate.Lambda is None:
        return False
    few = min(factor.modes.shape[0] for factor in estimate.factors) <= _FEW_GROUPS
    sd = np.sqrt((estimate.Lambda**2).sum(axis=1)) * target.likelihood.z_scale
    return few and bool(sd.max() > _LARGE_SD)


def _stretched(target: Target, estimate: Estimate) -> Vector:
    """Standard deviations three times as large, fixed effects twice."""
    p = target.likelihood.p
    psi = estimate.solution.psi
    return np.concatenate([2.0 * psi[:p], 3.0 * psi[p:]])


def _scattered(target: Target, first: Estimate, count: int) -> list[Vector]:
    """Random starts: standard deviations log-uniform, β grown with them, and scattered."""
    likelihood = target.likelihood
    p, structure = likelihood.p, likelihood.structure
    rng = np.random.default_rng(_SEED)
    psi = first.solution.psi
    variance = information_inverse(first.solution.evaluation.hessian, ~first.boundary).diagonal()
    spread = np.sqrt(np.where(np.isfinite(variance[:p]), variance[:p], 1.0))
    found = _total(structure.Lambda(psi[p:]) * likelihood.z_scale[:, None])
    starts = []
    for _ in range(count):
        sd = np.exp(rng.uniform(np.log(_SMALLEST_SD), np.log(_LARGEST_SD), structure.q))
        theta = np.where(structure.diagonal, (sd / likelihood.z_scale)[structure.rows], 0.0)
        grown = _inflation(_total(sd), target.n_logits) / _inflation(found, target.n_logits)
        beta = psi[:p] * grown + spread * rng.normal(size=p)
        starts.append(np.concatenate([beta, theta]))
    return starts


def _total(sd: Matrix) -> float:
    """The variance of Zb of standard deviations, or of rows of Λ."""
    return float((sd**2).sum())


def _inflation(variance: float, n_logits: int) -> float:
    """By how much conditional effects exceed population-averaged ones (Zeger et al. 1988).

    ``variance``: of Zb, summed over logits.
    """
    return float(np.sqrt(1.0 + 0.346 * variance / n_logits))


def _distinct(found: list[Estimate], p: int) -> list[Estimate]:
    """Converged maxima, highest first, each once; the first search if none converged."""
    converged = [estimate for estimate in found if estimate.solution.converged]
    maxima: list[Estimate] = []
    for estimate in sorted(converged, key=_height, reverse=True):
        if all(not _same(estimate, other, p) for other in maxima):
            maxima.append(estimate)
    return maxima or [found[0]]


def _height(estimate: Estimate) -> float:
    return estimate.solution.evaluation.value


def _same(a: Estimate, b: Estimate, p: int) -> bool:
    """Equally high, and in the same place: symmetric data have mirrored maxima."""
    slack = _slack(_height(a))
    if abs(_height(a) - _height(b)) > slack:
        return False
    if np.allclose(_moments(a, p), _moments(b, p), rtol=1e-3, atol=1e-6):
        return True
    step = a.solution.psi - b.solution.psi
    curvature = min(-step @ one.solution.evaluation.hessian @ step for one in (a, b))
    return bool(curvature <= max(_NEAR**2, 10.0 * slack))


def _slack(height: float) -> float:
    return max(_SAME, 1e-8 * abs(height))


def _moments(estimate: Estimate, p: int) -> Vector:
    """β and Σ: the same for every way to write Λ."""
    assert estimate.Lambda is not None  # several starts are for random effects
    Sigma = estimate.Lambda @ estimate.Lambda.T
    return np.concatenate([estimate.solution.psi[:p], Sigma.ravel()])


def _tied(values: list[float]) -> bool:
    return values[0] - values[1] <= _slack(values[0])


def _report(maxima: list[Estimate]) -> tuple[Diagnostic, ...]:
    if len(maxima) == 1:
        return ()
    values = [_height(estimate) for estimate in maxima]
    shown = ", ".join(f"{value:.4f}" for value in values)
    return (
        Diagnostic(
            "several-maxima",
            "warning",
            f"The objective has {len(maxima)} maxima ({shown}, without binomial coefficients); "
            f"{'one of the highest' if _tied(values) else 'the highest'} is reported.",
            "Laplace's approximation makes such maxima on small groups: use nodes='auto', or a "
            "prior.",
            {"values": values, "psi": [estimate.solution.psi.tolist() for estimate in maxima]},
        ),
    )
