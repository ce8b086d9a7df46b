"""The estimates of a fit as :mod:`multilogit.predict` takes them: plain arrays."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from multilogit.inference.variance import positions
from multilogit.predict.delta import ParameterCovariance
from multilogit.predict.linear import Vector
from multilogit.predict.modes import Factor, ModeUncertainty
from multilogit.predict.tangent import Model
from multilogit.result.fields.level_effects import LevelEffects
from multilogit.result.fields.parameter_names import effect_terms
from multilogit.result.fields.random_effects import RandomEffects

if TYPE_CHECKING:
    from multilogit.result.fields.measures import Measures


def prediction_model(fit: Measures, modes: ModeUncertainty | None = None) -> Model:
    """The estimates of a fit; standard errors of conditional predictions need ``modes``."""
    if fit.levels is not None:
        return _of_levels(fit.levels, fit.solution.psi[fit.levels.others])
    logits, p = fit.labels.n_logits, len(fit.labels.columns)
    psi = fit.solution.psi if fit.far is None else fit.far
    return Model(
        beta=psi[: logits * p].reshape(logits, p),
        factors=tuple(_factor(fit, effects) for effects in fit.random),
        modes=modes,
        size=psi.size,
    )


def _of_levels(levels: LevelEffects, beta: Vector) -> Model:
    """Very many levels as a grouping factor, whose effects are their intercepts."""
    modes, each = levels.modes, np.arange(levels.places.size, dtype=np.int32)
    variance = 1.0 / np.where(modes.information > 0.0, modes.information, np.nan)
    alpha = Factor(np.eye(1), (), slice(0, 0), (0,), modes.alpha[:, None], variance[:, None, None])
    moved = ModeUncertainty(each, each, modes.information, (modes.slopes[:, None, :],))
    return Model(beta[None, :], (alpha,), moved, beta.size)


def _factor(fit: Measures, effects: RandomEffects) -> Factor:
    """One grouping factor as plain arrays."""
    return Factor(
        Lambda=effects.Lambda,
        positions=tuple(positions(effects.blocks)),
        theta=effects.theta,
        logits=tuple(logit for _, logit in effect_terms(effects, fit.labels)),
        modes=effects.modes,
        covariance=effects.mode_covariance,
    )


def parameter_covariance(fit: Measures) -> ParameterCovariance:
    """Cov(ψ̂) for the delta method; of very many levels that of the other coefficients."""
    if fit.levels is not None:
        return ParameterCovariance.of(fit._of_others, fit.levels.others.size)
    n_beta = fit.labels.n_logits * len(fit.labels.columns)
    return ParameterCovariance.of(fit.covariance, n_beta)
