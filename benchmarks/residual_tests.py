"""How often the tests of residuals find something: the table of docs/assessment.md.

Usage: ``python benchmarks/residual_tests.py [DATA_SETS]`` (400 where the model is right, half as
many where it is wrong: about a minute).
"""

from __future__ import annotations

import sys

import numpy as np
import pandas as pd
from scipy.special import expit

import multilogit as ml

GROUPS, ROWS, TRIALS = 120, 6, 5
SD = 1.0
SIMULATIONS = 100
TESTS = ["uniformity", "dispersion", "outliers", "zeros"]
LEVELS = ("conditional", "marginal")


def simulated(seed: int, left_out: float) -> pd.DataFrame:
    """Random intercepts, and an effect of every row that the model leaves out."""
    rng = np.random.default_rng(seed)
    group = np.repeat(np.arange(GROUPS), ROWS)
    x = rng.normal(size=group.size)
    eta = -0.5 + x + SD * rng.normal(size=GROUPS)[group]
    eta += left_out * rng.normal(size=group.size)
    return pd.DataFrame({"y": rng.binomial(TRIALS, expit(eta)), "x": x, "g": group, "n": TRIALS})


def p_values(data: pd.DataFrame, seed: int) -> pd.DataFrame:
    """A row per level, a column per test."""
    fit = ml.fit("y ~ x + (1 | g)", data, trials="n", threads=1)
    found = {
        level: fit.residual_tests(level=level, n_simulations=SIMULATIONS, seed=seed)
        .table.set_index("test")
        .loc[TESTS, "p_value"]
        for level in LEVELS
    }
    return pd.DataFrame(found).T


def main(data_sets: int) -> None:
    """Shares of p-values below 5 %."""
    print("left out      level       " + "".join(f"{name:>12}" for name in TESTS))
    for left_out, number in ((0.0, data_sets), (0.6, data_sets // 2), (1.0, data_sets // 2)):
        found = [p_values(simulated(k, left_out), k) < 0.05 for k in range(number)]
        shares = sum(table.astype(float) for table in found) / number
        for level in LEVELS:
            shown = "".join(f"{share:12.3f}" for share in shares.loc[level])
            print(f"sd {left_out:<10.1f} {level:12s}{shown}", flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 400)
