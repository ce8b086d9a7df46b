"""Data sets drawn from a fit, and estimation from each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from multilogit.assess.simulation import draw_counts, stream
from multilogit.checks import check_whole
from multilogit.data.model_frame import ModelFrame
from multilogit.estimate import Estimate
from multilogit.evaluation import Matrix
from multilogit.inference.bootstrap import (
    Ratios,
    Replicate,
    run,
)
from multilogit.inference.reestimate import Reestimator
from multilogit.predict import probabilities
from multilogit.progress import Progress, Show
from multilogit.result.arrays.assessment_model import simulated_model
from multilogit.result.fields.measures import Measures


def check_run(n: int, seed: int, workers: int | None) -> None:
    """Refuse numbers that no run of resampling can have; None workers are the fit's own threads."""
    for name, value, least in (("n", n, 1), ("seed", seed, 0), ("workers", workers, 1)):
        if name != "workers" or value is not None:
            check_whole(name, value, least)


def estimating(fit: Measures, seed: int) -> Callable[[], Replicate[Estimate]]:
    """How a worker computes replicates: a model to draw from, and its own estimator."""

    def make() -> Replicate[Estimate]:
        draw, reestimate = _drawer(fit, seed), _reestimator(fit)
        return lambda k: reestimate(draw(k))

    return make


def ratios(
    smaller: Measures, larger: Measures, n: int, seed: int, workers: int | None, progress: Show
) -> Ratios:
    """Likelihood ratios of two nested fits on data sets drawn from the smaller one.

    Raises
    ------
    OptionError
        Options that cannot be used; frequency weights that are not whole numbers.
    DataNotSavedError
        If a fit was loaded from a file.
    """
    check_run(n, seed, workers)
    for fit in (smaller, larger):
        fit._frame_for("A bootstrap")
    found = Ratios.empty(n)

    def make() -> Replicate[float]:
        draw = _drawer(smaller, seed)
        first, second = (_reestimator(fit) for fit in (smaller, larger))
        return lambda k: _ratio(first, second, draw(k))

    team = min(workers or smaller.options.threads, n)
    with Progress("Bootstrap", n, progress) as bar:
        run(found, [make] * team, bar)
    return found


def _ratio(smaller: Reestimator, larger: Reestimator, counts: Matrix) -> float:
    """2(ℓ₁ − ℓ₀), at least 0; NaN where a search failed. Separated data have a supremum, too."""
    estimates = [smaller(counts), larger(counts)]
    if not all(estimate.solution.status.at_supremum for estimate in estimates):
        return float("nan")
    first, second = (estimate.likelihood.value for estimate in estimates)
    return max(2.0 * (second - first), 0.0)


def _drawer(fit: Measures, seed: int) -> Callable[[int], Matrix]:
    """The counts of data set k."""
    model = simulated_model(fit)
    given = None if model.factors else probabilities(model.eta())
    return lambda k: draw_counts(model, stream(seed, k), given)


def _reestimator(fit: Measures) -> Reestimator:
    return Reestimator(_whole_rows(fit.frame), fit.solution.psi, fit.options)


def _whole_rows(frame: ModelFrame) -> ModelFrame:
    """The frame without frequency weights: a row of weight w has w times its trials.

    The likelihood is the same but for its binomial coefficients; and replicates of equal rows
    need not be equal.
    """
    counts, trials = frame.response.weighted()
    return frame.with_response(replace(frame.response, counts=counts, trials=trials, weights=None))
