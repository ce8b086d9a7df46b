"""The models that are timed: simulated data with known parameters, the same for every engine."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd


@dataclass(frozen=True)
class Case:
    """One model.

    Attributes
    ----------
    name
        Also the name of the data file.
    formula
        Understood alike by multilogit, glmm, lme4 and glmmTMB.
    simulate
        Makes the data frame.
    peers
        Engines to compare with, and how many times multilogit's CPU time theirs must be, at
        least; None: for information.
    rounds
        Alternating repetitions; slow engines get one.
    """

    name: str
    formula: str
    simulate: Callable[[], pd.DataFrame]
    peers: dict[str, float | None]
    rounds: int = 5


def covariates(rng: np.random.Generator, n: int, p: int) -> dict[str, np.ndarray]:
    return {f"x{k + 1}": rng.standard_normal(n) for k in range(p)}


def linear(columns: dict[str, np.ndarray], intercept: float, slope: float) -> np.ndarray:
    """Intercept plus columns with coefficients slope, -slope, slope/2, -slope/2, slope/3, ..."""
    eta = np.full(len(columns["x1"]), intercept)
    for k, column in enumerate(columns.values()):
        eta += slope * (-1) ** k / (k // 2 + 1) * column
    return eta


def grouped(rows: int, groups: int, p: int, sd: float, seed: int) -> pd.DataFrame:
    """Random intercepts; groups of random, unequal sizes in random order of rows."""
    rng = np.random.default_rng(seed)
    g = rng.integers(groups, size=rows)
    x = covariates(rng, rows, p)
    eta = linear(x, -0.5, 0.6) + (sd * rng.standard_normal(groups))[g]
    y = (rng.random(rows) < 1.0 / (1.0 + np.exp(-eta))).astype(np.int64)
    return pd.DataFrame({"y": y, "g": g, **x})


def single(rows: int, p: int, seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    x = covariates(rng, rows, p)
    eta = linear(x, -0.5, 0.6)
    y = (rng.random(rows) < 1.0 / (1.0 + np.exp(-eta))).astype(np.int64)
    return pd.DataFrame({"y": y, **x})


def names(p: int) -> str:
    return " + ".join(f"x{k + 1}" for k in range(p))


CASES = (
    Case(
        "grouped_200k_5k",
        f"y ~ {names(3)} + (1 | g)",
        lambda: grouped(200_000, 5_000, 3, 1.0, 1),
        {"glmm": 3.0, "lme4": 100.0, "glmmTMB": 50.0},
    ),
    Case(
        "grouped_100k_2k_30",
        f"y ~ {names(30)} + (1 | g)",
        lambda: grouped(100_000, 2_000, 30, 1.0, 2),
        {"glmm": 12.0},
    ),
    Case(
        "single_1m_20",
        f"y ~ {names(20)}",
        lambda: single(1_000_000, 20, 3),
        {"glum": 4.0, "statsmodels": None, "sklearn": None},
    ),
)


def data_file(case: Case, directory: Path) -> Path:
    """The case's data as ``.npz``, written once."""
    path = directory / f"{case.name}.npz"
    if not path.exists():
        directory.mkdir(parents=True, exist_ok=True)
        data = case.simulate()
        np.savez(path, **{name: data[name].to_numpy() for name in data})
    return path


def read(path: Path) -> pd.DataFrame:
    """The data frame that :func:`data_file` wrote."""
    with np.load(path) as arrays:
        return pd.DataFrame({name: arrays[name] for name in arrays.files})


def csv_file(path: Path) -> Path:
    """The same data as ``.csv`` for R, written once."""
    csv = path.with_suffix(".csv")
    if not csv.exists():
        read(path).to_csv(csv, index=False, float_format="%.17g")
    return csv
