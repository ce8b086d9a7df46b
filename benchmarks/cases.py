"""The models that are timed: those with a target, and ladders of sizes; the same for every engine.

A *ladder* is a series of models that differ in one size: rows, groups, columns, random effects,
categories. An engine climbs it until a step would take longer than the case's limit.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Literal

import data as make
import pandas as pd

Measure = Literal["cpu", "wall", "added_mib"]


@dataclass(frozen=True)
class Target:
    """What an engine must take, at least, as a multiple of what ``of`` takes."""

    engine: str
    times: float
    measure: Measure = "cpu"
    of: str = "multilogit"


@dataclass(frozen=True)
class Case:
    """One model.

    Attributes
    ----------
    name
        Also the name of the data file.
    formula
        Understood alike by multilogit, glmm, mixedlm, lme4 and glmmTMB.
    simulate
        Makes the data frame, or reads it; None where this machine does not have the data.
    engines
        Peers to compare with.
    targets
        What is to be shown.
    within
        Wall time, s, that multilogit may take.
    rounds
        Alternating repetitions; slow engines get one.
    nodes
        Quadrature nodes; 1: Laplace's approximation.
    threads
        Threads for every engine.
    limit
        Seconds of wall time after which a fit is given up.
    ladder, size
        The ladder that the case is a step of, and what it is drawn against.
    cold
        A whole process from a CSV file, start and import included, instead of a fit.
    """

    name: str
    formula: str
    simulate: Callable[[], pd.DataFrame | None]
    engines: tuple[str, ...] = ()
    targets: tuple[Target, ...] = ()
    within: float | None = None
    rounds: int = 5
    nodes: int = 1
    threads: int = 1
    limit: float = 600.0
    ladder: str = ""
    size: int = 0
    cold: bool = False
    data_of: str = ""

    def data_file(self, directory: Path) -> Path | None:
        """The data as ``.npz``, written once; None where there are none."""
        path = directory / f"{self.data_of or self.name}.npz"
        if not path.exists():
            data = self.simulate()
            if data is None:
                return None
            make.write(data, path)
        return path


# ------------------------------------------------------------------ formulas


def names(p: int) -> str:
    return " + ".join(f"x{k + 1}" for k in range(p))


_BAR = re.compile(r"\(([^|()]*)\|([^()]*)\)")


def bars(formula: str) -> list[tuple[list[str], str]]:
    """Terms and group of every bar: ``(1 + x | g)`` is ``(["1", "x"], "g")``."""
    found = _BAR.findall(formula)
    return [([t.strip() for t in terms.split("+")], group.strip()) for terms, group in found]


def predictors(formula: str) -> list[str]:
    """Names of the fixed part, for formulas that are sums of columns."""
    fixed = _BAR.sub("", formula.split("~")[1])
    return [name.strip() for name in fixed.split("+") if name.strip()]


# ------------------------------------------------------------------ with targets

FAST = ("glmm", "gpboost")
ALL = ("glmm", "mixedlm", "gpboost", "lme4", "glmmTMB")


def at_least(**times: float) -> tuple[Target, ...]:
    return tuple(Target(engine, value) for engine, value in times.items())


TARGETED = (
    Case(
        "grouped_200k_5k",
        f"y ~ {names(3)} + (1 | g)",
        lambda: make.grouped(200_000, 5_000, 3, 1.0, 1),
        ALL,
        at_least(glmm=6.0, glmmTMB=200.0, lme4=400.0, gpboost=60.0),
    ),
    Case(
        "slope_100k_2k",
        f"y ~ {names(3)} + (1 + x1 | g)",
        lambda: make.slopes(100_000, 2_000, 3, 2, 8),
        ("glmm", "mixedlm", "lme4", "glmmTMB"),
        at_least(glmm=5.0, glmmTMB=150.0, lme4=300.0),
    ),
    Case(
        "grouped_100k_2k_30",
        f"y ~ {names(30)} + (1 | g)",
        lambda: make.grouped(100_000, 2_000, 30, 1.0, 2),
        FAST,
        at_least(glmm=60.0),
        rounds=3,
    ),
    Case(
        "crossed_100k_3k_500",
        f"y ~ {names(3)} + (1 | a) + (1 | b)",
        lambda: make.crossed(100_000, 3_000, 500, 3, (1.0, 0.7), 4),
        ("glmm", "gpboost", "lme4", "glmmTMB"),
        at_least(glmm=5.0, glmmTMB=40.0, lme4=60.0),
    ),
    Case(
        "grouped_10m_500k",
        f"y ~ {names(3)} + (1 | g)",
        lambda: make.grouped(10_000_000, 500_000, 3, 1.0, 10),
        ("glmm",),
        (Target("glmm", 6.0), Target("glmm", 2.0, "added_mib")),
        rounds=3,
        ladder="rows",
        size=10_000_000,
    ),
    Case(
        "grouped_10m_500k_4_threads",
        f"y ~ {names(3)} + (1 | g)",
        lambda: make.grouped(10_000_000, 500_000, 3, 1.0, 10),
        ("glmm",),
        (Target("glmm", 12.0, "wall"),),
        rounds=3,
        threads=4,
        data_of="grouped_10m_500k",
    ),
    Case(
        "single_1m_20",
        f"y ~ {names(20)}",
        lambda: make.single(1_000_000, 20, 3),
        ("glum", "sklearn", "statsmodels"),
        at_least(glum=6.0, sklearn=6.0, statsmodels=8.0),
    ),
    Case(
        "single_1m_100",
        f"y ~ {names(100)}",
        lambda: make.single(1_000_000, 100, 11),
        ("glum", "sklearn", "statsmodels"),
        at_least(glum=3.0, sklearn=3.0, statsmodels=5.0),
        rounds=3,
    ),
    Case(
        "factor_1m_10k",
        f"y ~ {names(10)} + f",
        lambda: make.factor(1_000_000, 10_000, 10, 12),
        ("glum",),
        at_least(glum=20.0),
        rounds=1,
        limit=1_800.0,  # glum solves with a dense 10 010 x 10 010 matrix and takes about 700
    ),
    Case(
        "multinomial_200k_10",
        f"y ~ {names(10)}",
        lambda: make.categorical(200_000, 4, 10, 6),
        ("statsmodels", "sklearn", "nnet"),
        at_least(statsmodels=5.0, sklearn=5.0),
    ),
    Case(
        "insteval",
        "y ~ service + lectage + (1 | s) + (1 | d)",
        make.insteval,
        ("glmm", "gpboost", "lme4", "glmmTMB"),
        at_least(lme4=150.0, glmmTMB=16.0),
        rounds=3,
    ),
    Case(
        "cbpp",
        "cbind(incidence, healthy) ~ period + (1 | herd)",
        make.cbpp,
        ("multilogit refit", "glmm", "lme4", "glmmTMB"),
        (Target("glmm", 5.0, of="multilogit refit"),),
        within=0.005,
    ),
    Case(
        "cold_2k",
        f"y ~ {names(3)} + (1 | g)",
        lambda: make.grouped(2_000, 100, 3, 1.0, 13),
        ("lme4",),
        (Target("lme4", 3.0, "wall"),),
        within=1.0,
        cold=True,
    ),
    Case(
        "nested_50k_5k_500",
        f"y ~ {names(3)} + (1 | school) + (1 | class)",
        lambda: make.nested(50_000, 5_000, 500, 3, (0.8, 0.6), 5),
        ("glmm", "mixedlm", "gpboost", "lme4", "glmmTMB"),
    ),
    Case(
        "verbagg_24_316",
        "y ~ Anger + Gender + btype + situ + (1 | id) + (1 | item)",
        make.verbagg,
        ALL,
    ),
    Case(
        "toenail_25_nodes",
        "y ~ treatment * time + (1 | patientID)",
        make.toenail,
        ("glmm", "lme4"),
        nodes=25,
    ),
    Case(
        "quadrature_20k_1k",
        f"y ~ {names(3)} + (1 | g)",
        lambda: make.grouped(20_000, 1_000, 3, 1.5, 14),
        ("glmm", "mixedlm", "lme4"),
        nodes=7,
    ),
    Case(
        "multinomial_12k_400",
        f"y ~ {names(2)} + (1 | g)",
        lambda: make.categorical(12_000, 3, 2, 7, groups=400, sd=1.0),
    ),
)


# ------------------------------------------------------------------ ladders

_step = partial(Case, rounds=3, limit=40.0)


def rows_ladder() -> Iterator[Case]:
    """Random intercepts of groups of 20 rows."""
    for rows in (1_000, 10_000, 100_000, 1_000_000):
        yield _step(
            f"rows_{rows}",
            f"y ~ {names(3)} + (1 | g)",
            lambda rows=rows: make.grouped(rows, rows // 20, 3, 1.0, 20),
            ALL,
            ladder="rows",
            size=rows,
        )


def groups_ladder() -> Iterator[Case]:
    """Random intercepts of 100 000 rows; 2 000 000 for the last step."""
    for groups in (10, 100, 1_000, 10_000, 50_000):
        yield _step(
            f"groups_{groups}",
            f"y ~ {names(3)} + (1 | g)",
            lambda groups=groups: make.grouped(100_000, groups, 3, 1.0, 21),
            ALL,
            ladder="groups",
            size=groups,
        )
    yield _step(
        "grouped_2m_1m",
        f"y ~ {names(3)} + (1 | g)",
        lambda: make.grouped(2_000_000, 1_000_000, 3, 1.0, 22),
        FAST,
    )


def columns_ladders() -> Iterator[Case]:
    """100 000 rows without groups; 20 000 rows in 500 groups."""
    for p in (2, 10, 50, 100, 200):
        yield _step(
            f"columns_{p}",
            f"y ~ {names(p)}",
            lambda p=p: make.single(100_000, p, 23),
            ("glum", "sklearn", "statsmodels"),
            ladder="columns",
            size=p,
        )
    for p in (2, 10, 50, 100, 200):
        yield _step(
            f"grouped_columns_{p}",
            f"y ~ {names(p)} + (1 | g)",
            lambda p=p: make.grouped(20_000, 500, p, 1.0, 24),
            ALL,
            ladder="columns, grouped",
            size=p,
        )


def effects_ladder() -> Iterator[Case]:
    """Correlated random effects of 20 000 rows in 1 000 groups."""
    for q in (1, 2, 3, 4):
        terms = " + ".join(["1", *(f"x{k}" for k in range(1, q))])
        yield _step(
            f"effects_{q}",
            f"y ~ {names(4)} + ({terms} | g)",
            lambda: make.slopes(20_000, 1_000, 4, 4, 25),
            ("glmm", "mixedlm", "lme4", "glmmTMB"),
            ladder="random effects",
            size=q,
            data_of="effects",
        )


def categories_ladder() -> Iterator[Case]:
    """100 000 rows × 5 columns without groups."""
    for categories in (3, 5, 10):
        yield _step(
            f"categories_{categories}",
            f"y ~ {names(5)}",
            lambda categories=categories: make.categorical(100_000, categories, 5, 26),
            ("statsmodels", "sklearn", "nnet"),
            ladder="categories",
            size=categories,
        )


LADDERS = tuple(
    chain(rows_ladder(), groups_ladder(), columns_ladders(), effects_ladder(), categories_ladder())
)
CASES = TARGETED + LADDERS
