"""Odds ratios: of the fixed effects, and the median one between groups."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from multilogit.assess.variance import (
    median_odds_ratio,
)
from multilogit.errors import OptionError
from multilogit.inference.wald import interval, p_values, z_values
from multilogit.result.description.estimates import Estimates
from multilogit.result.fields.parameter_names import coefficient_names, effect_terms, logit_names
from multilogit.result.fields.random_effects import refuse_single_level


def odds_ratios(fit: Estimates, level: float) -> pd.DataFrame:
    """Odds ratios as :meth:`multilogit.Fit.odds_ratios` describes them."""
    estimate, error = fit.coef.to_numpy(), fit.se.to_numpy()
    low, high = interval(estimate, error, level)
    with np.errstate(over="ignore"):
        table = {
            "odds_ratio": np.exp(estimate),
            "lower": np.exp(low),
            "upper": np.exp(high),
            "p_value": p_values(z_values(estimate, error)),
        }
    return pd.DataFrame(table, index=coefficient_names(fit.labels))


def median_odds_ratios(fit: Estimates, level: float) -> pd.DataFrame:
    """Median odds ratios as :meth:`multilogit.Fit.median_odds_ratio` describes them."""
    refuse_single_level(fit.random, "A median odds ratio")
    names = logit_names(fit.labels)
    rows = []
    for effects, parts in zip(fit.random, fit._components, strict=True):
        for k, (column, c) in enumerate(effect_terms(effects, fit.labels)):
            if column == "(Intercept)":
                low, high = interval(parts.sd[k], parts.sd_error[k], level, "log")
                rows.append((effects.group, names[c], *_ratios(parts.sd[k], low, high)))
    if not rows:
        raise OptionError(
            "A median odds ratio compares groups by their random intercepts; this fit has none."
        )
    columns = ["group", "y_level", "median_odds_ratio", "lower", "upper"]
    table = pd.DataFrame(rows, columns=columns)
    return table.drop(columns="y_level") if fit.labels.family == "binomial" else table


def _ratios(*sds: float | NDArray[np.float64]) -> list[float]:
    return [float(median_odds_ratio(np.square(sd))) for sd in sds]
