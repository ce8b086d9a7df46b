"""The kernels by themselves: likelihoods on simulated rows, evaluated without a search around."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from cases import names
from data import bernoulli, categorical, covariates, crossed, grouped, nested, single, slopes

import multilogit as ml
from multilogit.estimate import fixed_likelihood
from multilogit.estimate.mixed import mixed_likelihood


@dataclass(frozen=True)
class Kernel:
    """A likelihood and its sizes.

    Attributes
    ----------
    name
        What tables call it.
    formula, nodes
        The model.
    simulate
        Its data, given the number of rows.
    p, q, logits
        Columns of X, the intercept among them; random effects that a row has; J − 1.
    group
        Rows that share their random effects.
    crossed
        Levels of two crossed factors, the larger number first.
    """

    name: str
    formula: str
    simulate: Callable[[int], pd.DataFrame]
    p: int
    q: int = 0
    logits: int = 1
    nodes: int = 1
    group: int = 40
    crossed: tuple[int, int] | None = None


def _grouped(rows: int, size: int, p: int) -> pd.DataFrame:
    return grouped(rows, max(rows // size, 2), p, 1.0, 1)


def _slopes(rows: int, q: int) -> pd.DataFrame:
    return slopes(rows, max(rows // 40, 2), 5, q, 1)


def _pairs(rows: int) -> pd.DataFrame:
    """Groups of exactly two rows."""
    rng = np.random.default_rng(1)
    g = np.arange(rows) // 2
    x = covariates(rng, rows, 5)
    y = bernoulli(rng, rng.standard_normal(rows // 2 + 1)[g] + 0.5 * x["x1"])
    return pd.DataFrame({"y": y, "g": g, **x})


def _of_40(rows: int) -> int:
    return max(rows // 40, 2)


X5 = f"y ~ {names(5)}"
KERNELS = (
    Kernel("single level, p = 6", X5, lambda n: single(n, 5, 1), p=6),
    Kernel("single level, p = 21", f"y ~ {names(20)}", lambda n: single(n, 20, 1), p=21),
    Kernel(
        "single level, p = 11, J = 4",
        f"y ~ {names(10)}",
        lambda n: categorical(n, 4, 10, 1),
        p=11,
        logits=3,
    ),
    Kernel(
        "random intercept, groups of 40", f"{X5} + (1 | g)", partial(_grouped, size=40, p=5), 6, 1
    ),
    Kernel("random intercept, groups of 2", f"{X5} + (1 | g)", _pairs, 6, 1, group=2),
    Kernel(
        "random intercept, p = 31",
        f"y ~ {names(30)} + (1 | g)",
        partial(_grouped, size=40, p=30),
        31,
        1,
    ),
    Kernel("correlated slope, q = 2", f"{X5} + (1 + x1 | g)", partial(_slopes, q=2), 6, 2),
    Kernel("two slopes, q = 3", f"{X5} + (1 + x1 + x2 | g)", partial(_slopes, q=3), 6, 3),
    Kernel(
        "multinomial, J = 3",
        f"{X5} + (1 | g)",
        lambda n: categorical(n, 3, 5, 1, groups=_of_40(n), sd=1.0),
        p=6,
        q=2,
        logits=2,
    ),
    Kernel(
        "quadrature, 7 nodes",
        f"{X5} + (1 | g)",
        partial(_grouped, size=40, p=5),
        p=6,
        q=1,
        nodes=7,
    ),
    Kernel(
        "nested, 10 rows in each of 10",
        f"{X5} + (1 | school) + (1 | class)",
        lambda n: nested(n, max(n // 10, 4), max(n // 100, 2), 5, (0.8, 0.6), 1),
        p=6,
        q=2,
        group=10,
    ),
    Kernel(
        "crossed, 100 by 20",
        f"{X5} + (1 | a) + (1 | b)",
        lambda n: crossed(n, 100, 20, 5, (1.0, 0.7), 1),
        p=6,
        q=2,
        crossed=(100, 20),
    ),
)

MANY_LEVELS = Kernel(
    "crossed, 3 000 by 500",
    f"{X5} + (1 | a) + (1 | b)",
    lambda n: crossed(n, 3_000, 500, 5, (1.0, 0.7), 1),
    p=6,
    q=2,
    crossed=(3_000, 500),
)
"""For its floor alone: with few rows all of it is the algebra of the levels."""


@dataclass(frozen=True)
class Prepared:
    """A likelihood at the maximum, and a point a typical last step away.

    ``again`` evaluates at one and then the other, so that every evaluation starts from modes that
    are near: what a search does, but always the same work.
    """

    likelihood: Any
    there: np.ndarray
    near: np.ndarray
    steps: int

    def again(self) -> None:
        """Two evaluations."""
        self.likelihood.evaluate(self.near)
        self.likelihood.evaluate(self.there)


def prepare(kernel: Kernel, rows: int) -> Prepared:
    """Fit the kernel's model to so many rows."""
    fit = ml.fit(kernel.formula, kernel.simulate(rows), nodes=kernel.nodes, threads=1)
    frame, options = fit.frame, fit.options
    mixed = bool(frame.random)
    likelihood = mixed_likelihood(frame, options) if mixed else fixed_likelihood(frame, 1)
    there = fit.solution.psi
    prepared = Prepared(likelihood, there, 1.01 * there, len(fit.solution.trace))
    prepared.again()
    return prepared
