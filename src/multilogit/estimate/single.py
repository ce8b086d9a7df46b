"""Single-level models: no random effects."""

from __future__ import annotations

import numpy as np

from multilogit.data.model_frame import ModelFrame, Response
from multilogit.errors import OptionError
from multilogit.estimate.climb import climb
from multilogit.estimate.estimate import Estimate
from multilogit.estimate.options import Options
from multilogit.estimate.priors import bind_prior
from multilogit.evaluation import Vector
from multilogit.likelihood.columns import x_log
from multilogit.likelihood.fixed import FixedLikelihood, SingleLevel, start_ols
from multilogit.newton import maximise
from multilogit.objective import Penalised
from multilogit.prior import BoundPrior

_LONGEST = 5.0
"""Largest change of a typical linear predictor in one step of a penalised fit."""


def fixed_likelihood(frame: ModelFrame, threads: int) -> FixedLikelihood:
    """The single-level likelihood of a frame; its random effects, if any, are left out."""
    response = frame.response
    return FixedLikelihood(
        frame.fixed.columns,
        response.counts,
        response.trials,
        frame.offset,
        response.weights,
        threads,
    )


def estimate_single(frame: ModelFrame, likelihood: FixedLikelihood, options: Options) -> Estimate:
    """Maximum of Q for a binomial or multinomial model (Czepiel, §§2.1–2.2).

    ``likelihood`` is that of ``frame``.

    Raises
    ------
    OptionError
        If ``options.start`` has the wrong length.
    """
    return single_maximum(likelihood, bind_prior(options.prior, frame, None, options), options)


def single_maximum(likelihood: SingleLevel, prior: BoundPrior | None, options: Options) -> Estimate:
    """Maximum of Q = ℓ + log π of a model without random effects, wherever its rows are.

    Raises
    ------
    OptionError
        If ``options.start`` has the wrong length.
    """
    start = start_values(likelihood, options)
    known = prior is None and not start.any()
    objective = likelihood if prior is None else Penalised(likelihood, prior)
    solution = climb(
        objective,
        start,
        options,
        max_change=None if prior is None else longest_steps(likelihood),
        first=likelihood.at_zero if known else None,
    )
    there = solution.evaluation
    if isinstance(objective, Penalised):
        there = objective.likelihood_at(solution.psi)
    return Estimate(solution, there, np.zeros(solution.psi.size, dtype=bool))


def longest_steps(likelihood: SingleLevel) -> Vector:
    """Caps on β: a step moves a predictor of its typical size by at most 5 logits.

    Penalised likelihoods stay finite where the likelihood has no maximum; from far away a full
    Newton step would then go very far.
    """
    p, n_logits = likelihood.p, likelihood.n_logits
    categories = n_logits + 1
    gram = -likelihood.at_zero.hessian.diagonal()[:p] * (categories**2 / n_logits)
    size = np.sqrt(np.maximum(gram, 0.0) / likelihood.total_trials)
    caps = np.full(p, np.inf)
    caps[size > 0] = _LONGEST / size[size > 0]
    return np.tile(caps, n_logits)


def start_values(likelihood: SingleLevel, options: Options) -> Vector:
    """β to start from; zero unless the user wants something else."""
    size = likelihood.n_parameters
    start = options.start
    if start is None or (isinstance(start, str) and start == "zero"):
        return np.zeros(size)
    if isinstance(start, str):
        return start_ols(likelihood)
    if start.shape != (size,):
        raise OptionError(f"start has {start.size} values; this model has {size} parameters.")
    return start


def null_loglik(frame: ModelFrame, threads: int = 1) -> float:
    """Log-likelihood (without coefficients) of the intercept, or the offset alone.

    As in R: the null model has an intercept if the model has one, and the offset.
    """
    response = frame.response
    n_logits = response.counts.shape[1]
    has_intercept = "(Intercept)" in frame.fixed.names
    if frame.offset is None and has_intercept:
        return constant_loglik(response)
    columns = [np.ones(response.trials.size)] if has_intercept else [np.zeros(response.trials.size)]
    likelihood = FixedLikelihood(
        columns, response.counts, response.trials, frame.offset, response.weights, threads
    )
    if not has_intercept:
        return likelihood.evaluate(np.zeros(n_logits)).value
    return maximise(likelihood, np.zeros(n_logits)).evaluation.value


def constant_loglik(response: Response) -> float:
    """Σ_j Y_j log(Y_j / N): the same probabilities for every row."""
    w = response.weights
    totals = response.counts.sum(axis=0) if w is None else w @ response.counts
    n = float(response.trials.sum() if w is None else w @ response.trials)
    every = np.append(totals, n - totals.sum())
    return float(x_log(every, every / n).sum())


def saturated_loglik(response: Response) -> float:
    """Log-likelihood (without coefficients) when every row has its own probabilities."""
    trials = response.trials
    if float(trials.max()) <= 1.0:
        return 0.0  # the fitted probability of every observation is 1
    rest = trials - response.counts.sum(axis=1)
    n = np.where(trials > 0, trials, 1.0)
    rows = x_log(rest, rest / n)
    for j in range(response.counts.shape[1]):
        rows += x_log(response.counts[:, j], response.counts[:, j] / n)
    return float(rows.sum() if response.weights is None else response.weights @ rows)
