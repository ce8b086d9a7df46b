"""Draws from the posterior of a fit."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from multilogit.checks import check_whole
from multilogit.evidence import posterior
from multilogit.evidence.posterior import PosteriorSample
from multilogit.inference.variance import positions
from multilogit.result.fields.measures import Measures
from multilogit.result.fields.parameter_names import coefficient_names, theta_names
from multilogit.result.inference.objective import objective_of


def posterior_sample(fit: Measures, n: int, seed: int) -> PosteriorSample:
    """Weighted draws of ψ from exp Q."""
    check_whole("n", n, 2)
    check_whole("seed", seed, 0)
    diagonal = np.zeros(fit.solution.psi.size, dtype=bool)
    for effects in fit.random:
        diagonal[effects.theta] = [i == j for i, j in positions(effects.blocks)]
    sample = posterior.posterior_sample(
        objective_of(fit, "posterior_sample()").Q,
        fit.solution.psi,
        fit.solution.evaluation.hessian,
        n,
        seed,
        positive=diagonal,
        free=~fit.boundary,
    )
    return replace(sample, names=(*coefficient_names(fit.labels), *theta_names(fit.random)))
