"""How a fit looks that suffers from separation. Most do not; only then is the reason looked for."""

from __future__ import annotations

import numpy as np

from multilogit.data.model_frame import ModelFrame
from multilogit.divergence import later
from multilogit.errors import Diagnostic, Status
from multilogit.estimate import Estimate
from multilogit.estimate.effects import factor_effects
from multilogit.evaluation import Matrix

_SMALL_STEP = 0.1
"""Bound on the change of any η, on the logit scale, in the last step of a healthy search."""
_MOST_VARIANCE = 4.0
"""Average variance of the fitted linear predictor, on the logit scale, that is beyond suspicion.
A healthy fit has about p / (n w̄), w̄ the average of π(1 − π)."""
_LARGE_SD = 10.0
"""Standard deviation of random effects, on the logit scale, that asks for an explanation."""
_SUSPECT = {
    Status.DIVERGING,
    Status.MAX_ITERATIONS,
    Status.LINE_SEARCH_FAILED,
    Status.NOT_FINITE,
    Status.INNER_FAILED,
}


def check_fit(frame: ModelFrame, at_zero: Matrix, estimate: Estimate) -> tuple[Diagnostic, ...]:
    """Diagnostics of a maximum likelihood fit, if it shows the symptoms of separation.

    Parameters
    ----------
    frame
        The data of the fit, aliased columns dropped, populations collapsed or not.
    at_zero
        Hessian at β = 0 of the single-level likelihood of ``frame``.
    estimate
        Where the search ended. With a proper prior nothing is infinite: do not ask.

    Notes
    -----
    A standard deviation beyond 10 on the logit scale is a symptom as well, converged or not:
    Laplace's approximation can have a maximum where the likelihood itself has none. If fixed and
    random effects of these factors predict every row, that is an error.
    """
    found: tuple[Diagnostic, ...] = ()
    if shows_symptoms(frame, at_zero, estimate):
        found = later.explanation.explain_divergence(
            frame, estimate.solution.psi[: at_zero.shape[0]]
        )
    if any(noticed.severity == "error" for noticed in found):
        return found
    grown = grown_variances(frame, estimate)
    return (later.joint.run_off(frame, grown) or found) if grown else found


def shows_symptoms(frame: ModelFrame, at_zero: Matrix, estimate: Estimate) -> bool:
    """Whether a maximum likelihood fit looks as separation makes it look.

    It does where the search did not converge. If it did, the steps of Newton–Raphson tell: on
    separated rows each of them moves η by about 1 for ever, so that max |Δβ| K √max(X'NX)_jj ≥ 1
    for the last one, K the number of coefficients; the last step of a healthy search is far below
    0.1 of that. Where it is not, the average variance of the linear predictor, tr(Cov X'NX) / N,
    decides: separation makes it huge, because the information dies out along the way.

    Parameters are those of :func:`check_fit`. The second moments X'NX are
    ``-at_zero J² / (J − 1)``, up to an offset: no pass over the data is needed.
    """
    solution, p = estimate.solution, len(frame.fixed.columns)
    if solution.status is not Status.CONVERGED:
        return solution.status in _SUSPECT
    n_logits = at_zero.shape[0] // p
    gram = -at_zero[:p, :p] * ((n_logits + 1) ** 2 / n_logits)
    steps = solution.trace[-2:-1]
    if steps:
        moved = steps[0].max_change * at_zero.shape[0] * np.sqrt(gram.diagonal().max())
        if moved < _SMALL_STEP:
            return False
    response = frame.response
    n_trials = float(response.weighted()[1].sum())
    covariance = estimate.covariance()
    blocks = [slice(p * c, p * (c + 1)) for c in range(n_logits)]
    variance = sum(float((covariance[block, block] * gram).sum()) for block in blocks)
    return not variance <= _MOST_VARIANCE * n_trials


def grown_variances(frame: ModelFrame, estimate: Estimate) -> dict[str, float]:
    """Factors with a standard deviation, on the logit scale, that is beyond belief: the largest."""
    if estimate.Lambda is None:
        return {}
    sd = np.sqrt((estimate.Lambda**2).sum(axis=1))
    largest: dict[str, float] = {}
    for effects, factor in zip(factor_effects(frame), estimate.factors, strict=True):
        on_logits = float((sd[factor.effects] * factor.scale).max())
        if on_logits > _LARGE_SD:
            largest[effects.group] = on_logits
    return largest
