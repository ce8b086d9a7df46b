"""Residuals of a fit, and tests of its quantile residuals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import get_args

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import ndtri

from multilogit.assess import residuals as raw
from multilogit.assess import simulation
from multilogit.assess.model import Model, reported_categories
from multilogit.assess.posterior_effects import draw_given_data
from multilogit.assess.residual_tests import (
    Residuals,
    quantiles_given,
    residuals_given,
    simulated_residuals,
    stored,
    written_out,
)
from multilogit.checks import check_choice, check_whole
from multilogit.errors import OptionError
from multilogit.predict import Level as PredictionLevel
from multilogit.predict import probabilities
from multilogit.result.arrays.assessment_model import assessment_model, fitted_probabilities
from multilogit.result.arrays.user_rows import of_used_rows, row_index
from multilogit.result.assessment.findings import ResidualTests
from multilogit.result.fields.measures import Measures

N_SIMULATIONS = 250
"""Data sets that marginal quantile residuals are ranked among, as in DHARMa."""


def residuals(
    fit: Measures, kind: str, level: PredictionLevel, seed: int
) -> pd.Series | pd.DataFrame:
    """Residuals as :meth:`multilogit.Fit.residuals` describes them."""
    check_choice("kind", kind, ("response", "pearson", "deviance", "quantile"))
    check_choice("level", level, get_args(PredictionLevel))
    check_whole("seed", seed, 0)
    model, index = assessment_model(fit, "residuals()"), row_index(fit._rows_for("residuals()"))
    if kind == "quantile":
        if level == "population" and model.factors:
            raise OptionError(
                "Quantile residuals at level='population' are not uniform in a model with random "
                "effects; use 'conditional' or 'marginal'."
            )
        return _by_category(_quantiles(model, level, seed), model, index, kind)
    counts, pi = raw.all_counts(model.response), fitted_probabilities(fit, level)
    if kind == "deviance":
        return pd.Series(raw.deviance_residuals(counts, pi), index=index, name=kind)
    made = raw.response_residuals if kind == "response" else raw.pearson_residuals
    values = made(counts, pi)
    binary = fit.labels.family == "binomial"
    return _by_category(values[:, 1:] if binary else values, model, index, kind)


def _by_category(
    values: NDArray[np.float64], model: Model, index: pd.Index, name: str
) -> pd.Series | pd.DataFrame:
    if values.shape[1] == 1:
        return pd.Series(values[:, 0], index=index, name=name)
    return pd.DataFrame(values, index=index, columns=list(model.response.categories))


def residual_tests(
    fit: Measures, level: str, by: object, n_simulations: int, seed: int
) -> ResidualTests:
    """Tests as :meth:`multilogit.Fit.residual_tests` describes them."""
    check_choice("level", level, get_args(simulation.Level))
    check_whole("n_simulations", n_simulations)
    check_whole("seed", seed, 0)
    model = assessment_model(fit, "residual_tests()")
    bins, rows = _variable(fit, by), written_out(model.response)
    if rows is None:
        raise OptionError(
            "The frequency weights are not whole numbers, so that the rows they stand for cannot "
            "be tested."
        )
    model, bins = model.take(rows), None if bins is None else bins[rows]
    found = _tested(model, level, seed, n_simulations, bins)
    return ResidualTests(
        table=_test_table(found, list(fit.n_groups)),
        residuals=_residual_table(found, model, row_index(fit._rows_for("residual_tests()"))[rows]),
        level=level,
        n_simulations=n_simulations,
        seed=seed,
    )


def _quantiles(model: Model, level: str, seed: int) -> NDArray[np.float64]:
    """Quantile residuals without their tests; those at drawn effects need no simulations."""
    if level == "marginal" and model.factors:
        return _tested(model, level, seed, N_SIMULATIONS, None).u
    rng = simulation.stream(seed, N_SIMULATIONS)
    pi = probabilities(model.eta(draw_given_data(model, rng)))
    return quantiles_given(model, pi, rng)


def _tested(
    model: Model, level: str, seed: int, n_simulations: int, by: NDArray[np.float64] | None
) -> Residuals:
    """Quantile residuals; draws 0, 1, … of the seed's streams are the simulated data."""
    rng, numbers = simulation.stream(seed, n_simulations), range(n_simulations)
    if level == "marginal" and model.factors:
        draws = stored(model, simulation.simulate(model, numbers, seed), n_simulations)
        return simulated_residuals(model, draws, rng, by)
    effects = draw_given_data(model, rng)
    pi = probabilities(model.eta(effects))
    drawn = (simulation.draw_counts(model, simulation.stream(seed, k), pi) for k in numbers)
    draws = stored(model, drawn, n_simulations)
    return residuals_given(model, pi, draws, rng, effects, by)


def _test_table(found: Residuals, groups: Sequence[str]) -> pd.DataFrame:
    rows = [
        {
            "test": test.test,
            "of": groups[test.of] if isinstance(test.of, int) else test.of,
            "statistic": test.statistic,
            "expected": test.expected,
            "p_value": test.p_value,
        }
        for test in found.tests
    ]
    return pd.DataFrame(rows)


def _residual_table(found: Residuals, model: Model, rows: pd.Index) -> pd.DataFrame:
    names = [model.response.categories[j] for j in reported_categories(model.n_categories)]
    K, n = len(names), len(rows)
    u = found.u.T.ravel()
    table = {
        "row": np.tile(rows, K),
        "category": np.repeat(np.array(names, dtype=object), n),
        "u": u,
        "z": ndtri(u),
        "fitted": found.fitted.T.ravel(),
    }
    return pd.DataFrame(table)


def _variable(fit: Measures, by: object) -> NDArray[np.float64] | None:
    """A column of the design by its name, or one number per row of the fit."""
    if by is None:
        return None
    frame = fit._rows_for("residual_tests()")
    fixed, n = frame.fixed, fit.training.n_rows
    if isinstance(by, str):
        if by not in fixed.names:
            known = ", ".join(fixed.names)
            raise OptionError(f"by={by!r} is not a column of the design; it has: {known}.")
        return fixed.columns[fixed.names.index(by)]
    given = of_used_rows(frame, by, "by=")
    try:
        values = np.asarray(given, dtype=np.float64)
    except (TypeError, ValueError):
        values = np.empty(0)
    if values.shape != (n,) or not np.isfinite(values).all():
        raise OptionError(f"by= must be a name or {n} finite numbers, one per row of the fit.")
    return values
