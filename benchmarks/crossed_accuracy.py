"""What the warning about Laplace's approximation says of crossed factors, against the truth.

The table of docs/limitations.md. Usage: ``python benchmarks/crossed_accuracy.py [SWEEPS]``
(4 000: about two minutes).

The score of the true likelihood is the expected score of the complete data given the responses
(Fisher's identity). It is simulated at the Laplace estimate, where Laplace's own score is zero;
one Newton step from there, in standard errors, is how far the estimate is off.
"""

from __future__ import annotations

import sys

import numpy as np
import pandas as pd
from scipy.special import expit

import multilogit as ml

FORMULA = "y ~ 1 + (1 | female) + (1 | male)"
DESIGNS = (  # animals of a sex, matings of each, standard deviation
    (20, 6, 0.8), (20, 6, 1.2), (60, 5, 0.8), (60, 5, 1.2), (200, 5, 0.8), (200, 5, 1.2),
    (60, 5, 2.0), (60, 5, 3.0),
)  # fmt: skip
GRID = np.linspace(-5.0, 5.0, 81)
WARM_UP, BATCHES = 200, 20


def matings(animals: int, each: int, sd: float) -> pd.DataFrame:
    """Crossed and binary, as in McCullagh & Nelder's salamanders."""
    rng = np.random.default_rng(3)
    female = np.repeat(np.arange(animals), each)
    male = rng.permutation(np.arange(female.size) % animals)
    eta = 0.5 + sd * (rng.normal(size=animals)[female] + rng.normal(size=animals)[male])
    y = (rng.random(eta.size) < expit(eta)).astype(int)
    return pd.DataFrame({"y": y, "female": female, "male": male})


def draw(
    rng: np.random.Generator, y: np.ndarray, rest: np.ndarray, group: np.ndarray, sd: float
) -> np.ndarray:
    """Standardised effects given everything else: each from its density on a grid."""
    eta = rest[:, None] + sd * GRID
    rows = y[:, None] * eta - np.logaddexp(0.0, eta)
    log_density = np.zeros((group.max() + 1, GRID.size)) - 0.5 * GRID**2
    np.add.at(log_density, group, rows)
    share = np.exp(log_density - log_density.max(axis=1, keepdims=True)).cumsum(axis=1)
    at = rng.random(len(share))[:, None] * share[:, -1:]
    jitter = (GRID[1] - GRID[0]) * (rng.random(len(share)) - 0.5)
    return GRID[(share < at).sum(axis=1)] + jitter


def scores(data: pd.DataFrame, psi: np.ndarray, sweeps: int) -> np.ndarray:
    """Scores of the complete data by (β, σ of females, σ of males), one per sweep."""
    rng = np.random.default_rng(1)
    y, f, m = (data[name].to_numpy() for name in ("y", "female", "male"))
    beta, sd_f, sd_m = psi
    u_f, u_m = np.zeros(f.max() + 1), np.zeros(m.max() + 1)
    found = np.empty((sweeps, 3))
    for k in range(-WARM_UP, sweeps):
        u_f = draw(rng, y, beta + sd_m * u_m[m], f, sd_f)
        u_m = draw(rng, y, beta + sd_f * u_f[f], m, sd_m)
        r = y - expit(beta + sd_f * u_f[f] + sd_m * u_m[m])
        if k >= 0:
            found[k] = r.sum(), r @ u_f[f], r @ u_m[m]
    return found


def main(sweeps: int) -> None:
    """One line per design."""
    print("animals  matings   sd   warning says   true step (Monte Carlo error)")
    for animals, each, sd in DESIGNS:
        data = matings(animals, each, sd)
        fit = ml.fit(FORMULA, data, threads=1)
        said = [d.facts["moved"] for d in fit.diagnostics if d.code == "laplace-accuracy"]
        estimates = np.array([fit.coef.iloc[0], *(fit.variance_components["sd"])])
        batches = scores(data, estimates, sweeps).reshape(BATCHES, -1, 3).mean(axis=1)
        root = np.linalg.cholesky(fit.covariance)
        step = np.linalg.norm(batches.mean(axis=0) @ root)
        error = np.linalg.norm(batches.std(axis=0, ddof=1) @ root) / BATCHES**0.5
        shown = f"{said[0]:12.2f}" if said else f"{'none':>12}"
        print(
            f"{animals:7d}  {each:7d}  {sd:3.1f}  {shown}   {step:9.2f} ({error:.2f})", flush=True
        )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 4000)
