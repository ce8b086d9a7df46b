"""Draws from the posterior of a fit."""

from __future__ import annotations

import numpy as np

from multilogit.data.populations import collapse, collapse_pays
from multilogit.estimate import fixed_likelihood
from multilogit.estimate.mixed import mixed_likelihood
from multilogit.estimate.priors import bind_prior
from multilogit.evaluation import Objective
from multilogit.evidence import posterior
from multilogit.evidence.posterior import PosteriorSample
from multilogit.objective import Penalised
from multilogit.result.measures import Measures


def posterior_sample(fit: Measures, n: int, seed: int) -> PosteriorSample:
    """Weighted draws of ψ from exp Q."""
    diagonal = np.zeros(fit.solution.psi.size, dtype=bool)
    for effects in fit.random:
        at = effects.theta.start
        for size in effects.blocks:
            for length in range(size, 0, -1):
                diagonal[at] = True
                at += length
    return posterior.posterior_sample(
        _objective(fit),
        fit.solution.psi,
        fit.solution.evaluation.hessian,
        n,
        seed,
        positive=diagonal,
        free=~fit.boundary,
    )


def _objective(fit: Measures) -> Objective:
    """Q, built anew from the data of the fit."""
    data = fit._frame_for("posterior_sample()")
    frame = collapse(data)[0] if collapse_pays(data) else data
    if not frame.random:
        fixed = fixed_likelihood(frame, fit.options.threads)
        prior = bind_prior(fit.options.prior, frame, None, fit.options)
        return fixed if prior is None else Penalised(fixed, prior)
    mixed = mixed_likelihood(frame, fit.options)
    prior = bind_prior(fit.options.prior, frame, mixed.structure, fit.options)
    return mixed if prior is None else Penalised(mixed, prior)
