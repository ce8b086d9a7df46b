"""The engines of Python: each fits a case and hands over its estimates.

Every engine starts from a data frame in memory and ends with estimates and standard errors, as a
user would have it; scikit-learn computes no standard errors. Settings are defaults but where a
default stops short of the maximum and the engine can do better; the comment says which.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from cases import Case, bars, predictors


@dataclass(frozen=True)
class Estimates:
    """Where an engine stopped.

    Attributes
    ----------
    beta
        Fixed effects in the order of the formula, intercept first; logit by logit, the first
        category the baseline.
    covariance
        Per grouping factor the covariance matrix of its random effects.
    """

    beta: list[float]
    covariance: dict[str, list[list[float]]]


Fitted = Callable[[], Estimates]
"""Reads the estimates off a fit, outside the measured time."""
Fit = Callable[[pd.DataFrame], Fitted]
"""What is measured: a data frame goes in, estimates and standard errors are there."""


def numbers(array: Any) -> list[float]:
    return [float(value) for value in np.asarray(array).ravel()]


def fixed(beta: Any) -> Fitted:
    return lambda: Estimates(numbers(beta), {})


# ------------------------------------------------------------------ multilogit


def multilogit(case: Case) -> Fit:
    import multilogit as ml

    def fit(data: pd.DataFrame) -> Fitted:
        result = ml.fit(case.formula, data, threads=case.threads, nodes=case.nodes)
        result.se  # noqa: B018
        return lambda: _of_multilogit(result)

    return fit


def multilogit_refit(case: Case) -> Fit:
    """A new response to the same design, as a bootstrap fits it: estimates alone."""
    import multilogit as ml

    prepared: dict[int, Any] = {}

    def fit(data: pd.DataFrame) -> Fitted:
        if id(data) not in prepared:
            first = ml.fit(case.formula, data, threads=1)
            again = first.simulate(1, seed=1).to_numpy().ravel()
            prepared[id(data)] = ml.Refitter(first), again
        refit, response = prepared[id(data)]
        refit(response)
        return lambda: Estimates([], {})

    return fit


def _of_multilogit(result: Any) -> Estimates:
    coef = result.coef
    beta = coef if coef.ndim == 1 else result.solution.psi[: coef.size]
    covariance = {part.group: (part.Lambda @ part.Lambda.T).tolist() for part in result.random}
    return Estimates(numbers(beta), covariance)


# ------------------------------------------------------------------ multilevel


def glmm(case: Case) -> Fit:
    import glmm

    def fit(data: pd.DataFrame) -> Fitted:
        result = glmm.fit(data, case.formula, family="binomial", nagq=case.nodes)
        return lambda: Estimates(
            numbers(result.beta),
            {
                group: _unpack(packed, len(terms))
                for (group, terms), packed in zip(result.re_groups, result.varcorr, strict=True)
            },
        )

    return fit


def _unpack(packed: Any, q: int) -> list[list[float]]:
    """A symmetric matrix from its lower triangle, column by column."""
    full = np.zeros((q, q))
    full[np.triu_indices(q)] = packed
    matrix: list[list[float]] = (full + np.triu(full, 1).T).tolist()
    return matrix


def mixedlm(case: Case) -> Fit:
    import mixedlm

    def fit(data: pd.DataFrame) -> Fitted:
        binomial = mixedlm.families.Binomial()
        result = mixedlm.glmer(case.formula, data, family=binomial, nAGQ=case.nodes)
        result.vcov()
        return lambda: Estimates(
            numbers(result.beta),
            {name: part.cov.tolist() for name, part in result.VarCorr().groups.items()},
        )

    return fit


def gpboost(case: Case) -> Fit:
    """To 1e-12: its default tolerance, 1e-6, stops 0.002 below the maximum of 20 000 rows.

    Random intercepts only: its random slopes are not correlated with them.
    """
    import gpboost as gpb

    groups = [group for _, group in bars(case.formula)]

    def fit(data: pd.DataFrame) -> Fitted:
        x = pd.get_dummies(data[predictors(case.formula)], drop_first=True, dtype=float)
        x.insert(0, "(Intercept)", 1.0)
        model = gpb.GPModel(
            group_data=data[groups].to_numpy(),
            likelihood="bernoulli_logit",
            num_parallel_threads=case.threads,
        )
        model.fit(y=data["y"].to_numpy(float), X=x.to_numpy(), params={"delta_rel_conv": 1e-12})
        coef = model.get_coef(std_err=True, format_pandas=False)
        model.get_cov_pars(std_err=True)
        return lambda: Estimates(
            numbers(np.atleast_2d(coef)[0]),
            {
                group: [[variance]]
                for group, variance in zip(
                    groups, numbers(model.get_cov_pars(format_pandas=False)), strict=True
                )
            },
        )

    return fit


# ------------------------------------------------------------------ single-level


def glum(case: Case) -> Fit:
    """``irls-ls`` to a gradient of 1e-8 per row; its default is 1e-4, 1e-10 may be out of reach."""
    from glum import GeneralizedLinearRegressor

    def fit(data: pd.DataFrame) -> Fitted:
        model = GeneralizedLinearRegressor(
            family="binomial", alpha=0, solver="irls-ls", gradient_tol=1e-8, drop_first=True
        )
        x = data[predictors(case.formula)]
        model.fit(x, data["y"], store_covariance_matrix=True)
        model.std_errors()
        return fixed([model.intercept_, *model.coef_])

    return fit


def statsmodels(case: Case) -> Fit:
    import statsmodels.api as sm

    def fit(data: pd.DataFrame) -> Fitted:
        x = sm.add_constant(data[predictors(case.formula)])
        labels, y = np.unique(data["y"], return_inverse=True)
        model = sm.Logit(y, x) if labels.size == 2 else sm.MNLogit(y, x)
        result = model.fit(disp=0)
        result.bse  # noqa: B018
        return fixed(np.asarray(result.params).T)

    return fit


def sklearn(case: Case) -> Fit:
    """``newton-cholesky`` to 1e-10; its default is 1e-4."""
    from sklearn.linear_model import LogisticRegression

    def fit(data: pd.DataFrame) -> Fitted:
        x = data[predictors(case.formula)]
        model = LogisticRegression(C=np.inf, solver="newton-cholesky", tol=1e-10).fit(x, data["y"])
        beta = np.column_stack([model.intercept_, model.coef_])
        return fixed(beta if len(beta) == 1 else beta[1:] - beta[0])

    return fit


ENGINES: dict[str, Callable[[Case], Fit]] = {
    "multilogit": multilogit,
    "multilogit refit": multilogit_refit,
    "glmm": glmm,
    "mixedlm": mixedlm,
    "gpboost": gpboost,
    "glum": glum,
    "statsmodels": statsmodels,
    "sklearn": sklearn,
}
