"""Fit one model once with one engine and print what it took, as JSON.

``python worker.py ENGINE DATA.npz FORMULA NODES``: run in a fresh process, in the environment that
has the engine. Measured is the call that a user makes, from a data frame to estimates with standard
errors (scikit-learn has none), after a first fit of the first rows has loaded all code.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from cases import read

Fit = Callable[[pd.DataFrame, str], float]
"""Fits and returns the log-likelihood."""


def predictors(formula: str) -> list[str]:
    return formula.split("~")[1].replace(" ", "").split("+")


def multilogit(nodes: int) -> Fit:
    import multilogit as ml

    def fit(data: pd.DataFrame, formula: str) -> float:
        result = ml.fit(formula, data, threads=1, nodes=nodes)
        result.se  # noqa: B018
        return result.loglik

    return fit


def glmm(nodes: int) -> Fit:
    import glmm

    def fit(data: pd.DataFrame, formula: str) -> float:
        return glmm.fit(data, formula, family="binomial", nagq=nodes).loglik

    return fit


def glum(nodes: int) -> Fit:
    from glum import GeneralizedLinearRegressor

    def fit(data: pd.DataFrame, formula: str) -> float:
        model = GeneralizedLinearRegressor(
            family="binomial", alpha=0, solver="irls-ls", gradient_tol=1e-10
        )
        x = data[predictors(formula)]
        model.fit(x, data["y"], store_covariance_matrix=True)
        model.std_errors()
        return bernoulli(model.intercept_ + x.to_numpy() @ model.coef_, data["y"])

    return fit


def statsmodels(nodes: int) -> Fit:
    import statsmodels.api as sm

    def fit(data: pd.DataFrame, formula: str) -> float:
        x = sm.add_constant(data[predictors(formula)])
        labels, y = np.unique(data["y"], return_inverse=True)
        model = sm.Logit(y, x) if labels.size == 2 else sm.MNLogit(y, x)
        result = model.fit(disp=0)
        result.bse  # noqa: B018
        return result.llf

    return fit


def sklearn(nodes: int) -> Fit:
    from sklearn.linear_model import LogisticRegression

    def fit(data: pd.DataFrame, formula: str) -> float:
        x = data[predictors(formula)]
        model = LogisticRegression(C=np.inf, solver="newton-cholesky", tol=1e-10).fit(x, data["y"])
        if len(model.classes_) == 2:
            return bernoulli(model.decision_function(x), data["y"])
        seen = np.searchsorted(model.classes_, data["y"])
        return float(model.predict_log_proba(x)[np.arange(seen.size), seen].sum())

    return fit


def bernoulli(eta: np.ndarray, y: pd.Series) -> float:
    """Log-likelihood Σ y η − log(1 + e^η)."""
    return float(np.sum(y.to_numpy() * eta - np.logaddexp(0.0, eta)))


ENGINES: dict[str, Callable[[int], Fit]] = {
    "multilogit": multilogit,
    "glmm": glmm,
    "glum": glum,
    "statsmodels": statsmodels,
    "sklearn": sklearn,
}


def cpu_seconds() -> float:
    """User and system time of this process, all threads, and of its children."""
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def main(engine: str, path: str, formula: str, nodes: str) -> None:
    data = read(Path(path))
    fit = ENGINES[engine](int(nodes))
    fit(data.head(2_000), formula)
    cpu, wall = cpu_seconds(), time.perf_counter()
    loglik = fit(data, formula)
    used = {"cpu": cpu_seconds() - cpu, "wall": time.perf_counter() - wall}
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({**used, "loglik": loglik, "peak_mib": peak}))


if __name__ == "__main__":
    main(*sys.argv[1:])
