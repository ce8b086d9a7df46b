"""What variance belongs to what: intraclass correlations and R²."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
from scipy.special import expit
from scipy.special import logit as log_odds

from multilogit.assess.discrimination import tjur
from multilogit.assess.residuals import all_counts
from multilogit.assess.variance import (
    LATENT,
    Shares,
    observation_variance,
    observations,
    pseudo_r2,
    shares,
)
from multilogit.inference.variance import delta_error, positions
from multilogit.inference.wald import critical_value
from multilogit.predict import probabilities
from multilogit.result.arrays.assessment_model import assessment_model
from multilogit.result.description.estimates import Estimates
from multilogit.result.fields.parameter_names import logit_names
from multilogit.result.fields.random_effects import refuse_single_level

ALL = "(all)"


# ------------------------------------------------------------------ intraclass correlation


def icc(fit: Estimates, level: float) -> pd.DataFrame:
    """Intraclass correlations as :meth:`multilogit.Fit.icc` describes them."""
    refuse_single_level(fit.random, "An intraclass correlation")
    model, z = assessment_model(fit, "icc()"), critical_value(level)
    rows = [
        {"y_level": name} | row
        for c, name in enumerate(logit_names(fit.labels))
        for row in _icc_rows(fit, shares(model, c), z)
    ]
    table = pd.DataFrame(rows)
    return table.drop(columns="y_level") if fit.labels.family == "binomial" else table


def _icc_rows(fit: Estimates, found: Shares, z: float) -> Iterator[dict[str, object]]:
    """One row per factor, and one for all of them if there are several."""
    F = len(fit.random)
    sets = [([f], effects.group) for f, effects in enumerate(fit.random)]
    if F > 1:
        sets.append((list(range(F)), ALL))
    for members, name in sets:
        part = float(found.random[members].sum())
        whole = float(found.random.sum()) + found.residual
        se = _logit_error(fit, found, members)
        centre = log_odds(part / whole)
        yield {
            "group": name,
            "variance": part,
            "icc": part / whole,
            "icc_conditional": part / found.total,
            "se": se * part * (whole - part) / whole**2,
            "lower": expit(centre - z * se),
            "upper": expit(centre + z * se),
        }


def _logit_error(fit: Estimates, found: Shares, members: list[int]) -> float:
    """Standard error of logit ICC = log part − log rest by the delta method; NaN at 0."""
    part = float(found.random[members].sum())
    rest = float(found.random.sum()) + found.residual - part
    if part <= 0.0:
        return np.nan
    gradient = np.zeros(fit.covariance.shape[0])
    for f, (effects, by_Lambda) in enumerate(zip(fit.random, found.gradients, strict=True)):
        rows, columns = np.array(positions(effects.blocks)).T
        scale = 1.0 / part if f in members else -1.0 / rest
        gradient[effects.theta] = scale * by_Lambda[rows, columns]
    return delta_error(gradient, fit.covariance)


# ------------------------------------------------------------------ R²


def r2(fit: Estimates) -> pd.Series | pd.DataFrame:
    """R² as :meth:`multilogit.Fit.r2` describes it."""
    if not fit.random:
        return pd.Series(_single_r2(fit), name="r2")
    model = assessment_model(fit, "r2()")
    if fit.labels.family == "multinomial":
        rows = {name: _nakagawa(shares(model, c)) for c, name in enumerate(logit_names(fit.labels))}
        return pd.DataFrame(rows).T.rename_axis("y_level")
    weights = observations(model)
    counts, _ = model.response.weighted()
    delta = observation_variance(float(counts.sum() / weights.sum()))
    found = _nakagawa(shares(model, 0))
    found |= {f"{name}_delta": value for name, value in _nakagawa(shares(model, 0, delta)).items()}
    return pd.Series(found, name="r2")


def _nakagawa(found: Shares) -> dict[str, float]:
    """Marginal and conditional R² (Nakagawa & Schielzeth 2013; Johnson 2014)."""
    explained = found.fixed + float(found.random.sum())
    return {"marginal": found.fixed / found.total, "conditional": explained / found.total}


def _single_r2(fit: Estimates) -> dict[str, float]:
    model = assessment_model(fit, "r2()")
    training, N = fit.training, float(observations(model).sum())
    columns = len(fit.labels.columns) - ("(Intercept)" in fit.labels.columns)
    found = pseudo_r2(
        fit.likelihood.value, training.null_loglik, N, float(columns * fit.labels.n_logits)
    )
    if fit.labels.family == "binomial":
        counts = all_counts(model.response, weighted=True)
        found["tjur"] = float(tjur(probabilities(model.fixed), counts)[1])
        fixed = shares(model, 0).fixed
        found["mckelvey_zavoina"] = fixed / (fixed + LATENT)
    return found
