"""What the estimates of all engines are worth, by one exact evaluation: multilogit's.

``python judge.py CASE DATA.npz < estimates.json``: engines report their log-likelihoods on
different scales and with modes of different accuracy (lme4's is off by up to 1e-4 at its default
tolerance), so none of these reports is used. At the estimates (β, Σ) of every engine
the log-likelihood and its gradient in ψ = (β, θ) are computed anew, with the conditional modes
converged to rounding. Printed is, as JSON, per engine the log-likelihood and max|gradient|.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from cases import CASES, Case, predictors
from data import read

import multilogit as ml
from multilogit.estimate import fixed_likelihood
from multilogit.estimate.mixed import mixed_likelihood
from multilogit.evaluation import Evaluation


class Judge:
    """The exact log-likelihood of a case."""

    def __init__(self, case: Case, path: Path) -> None:
        fit = ml.fit(case.formula, read(path), nodes=case.nodes)
        self.frame = fit.frame
        likelihood: Any
        if self.frame.random:
            likelihood = mixed_likelihood(self.frame, fit.options)
        else:
            likelihood = fixed_likelihood(self.frame, fit.options.threads)
        self.likelihood = likelihood
        self.constant = fit.loglik - likelihood.evaluate(fit.solution.psi).value

    def psi(self, estimates: dict[str, Any]) -> np.ndarray:
        """β, then the columns of the lower triangle of each factor's Λ."""
        parts = [np.asarray(estimates["beta"])]
        for block in self.frame.random:
            root = _root(np.asarray(estimates["covariance"][block.group]))
            parts += [root[k:, k] for k in range(len(root))]
        return np.concatenate(parts)

    def __call__(self, estimates: dict[str, Any]) -> dict[str, float]:
        there: Evaluation = self.likelihood.evaluate(self.psi(estimates))
        return {
            "loglik": there.value + self.constant,
            "gradient": float(np.abs(there.gradient).max()),
        }


class JudgeOfLevels:
    """The same where a factor of many levels has no columns: row by row, by NumPy."""

    def __init__(self, case: Case, path: Path) -> None:
        data = read(path)
        self.x = data[[name for name in predictors(case.formula) if name != "f"]].to_numpy()
        self.codes = data["f"].cat.codes.to_numpy()
        self.y = data["y"].to_numpy(dtype=float)

    def __call__(self, estimates: dict[str, Any]) -> dict[str, float]:
        beta, p = np.asarray(estimates["beta"]), self.x.shape[1] + 1
        alpha = beta[0] + np.concatenate([[0.0], beta[p:]])
        eta = self.x @ beta[1:p] + alpha[self.codes]
        loglik = self.y @ eta - np.logaddexp(0.0, eta).sum()
        r = self.y - 1.0 / (1.0 + np.exp(-eta))
        gradient = np.concatenate([r @ self.x, np.bincount(self.codes, r)])
        return {"loglik": float(loglik), "gradient": float(np.abs(gradient).max())}


def _root(covariance: np.ndarray) -> np.ndarray:
    """Cholesky's lower triangle, also of a singular matrix."""
    try:
        return np.linalg.cholesky(covariance)
    except np.linalg.LinAlgError:
        smallest = 1e-12 * np.trace(covariance)
        return np.linalg.cholesky(covariance + smallest * np.eye(len(covariance)))


def main(name: str, path: str) -> None:
    case = next(case for case in CASES if case.name == name)
    judge = (JudgeOfLevels if "f" in predictors(case.formula) else Judge)(case, Path(path))
    found = {engine: judge(estimates) for engine, estimates in json.load(sys.stdin).items()}
    print(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
