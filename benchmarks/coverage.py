"""How often 95 % intervals of predictions cover the truth: the table of docs/prediction.md.

Usage: ``python benchmarks/coverage.py [SIMULATIONS]`` (1 000: about two minutes).
"""

from __future__ import annotations

import sys

import numpy as np
from scipy.special import expit

import multilogit as ml
from multilogit.predict.integrate import expected_probabilities

SD = 1.0
DESIGNS = ((30, 8, None), (30, 8, "RelativeEntropy"), (60, 10, None), (60, 10, "RelativeEntropy"),
           (100, 8, None))  # fmt: skip
X_NEW = np.array([-1.0, 0.0, 1.0, 2.0])


def eta_of(x: np.ndarray) -> np.ndarray:
    """The fixed part of the truth."""
    return -0.5 + 0.8 * x


def covered(interval: object, truth: np.ndarray) -> float:
    """Share of the intervals that hold the truth."""
    inside = (interval["lower"] < truth) & (truth < interval["upper"])
    return float(inside.mean())


def one(rng: np.random.Generator, groups: int, rows: int, prior: object) -> list[float]:
    """Coverage in one data set: conditional, population, marginal, new group."""
    group = np.repeat(np.arange(groups), rows)
    x = rng.normal(size=group.size)
    eta = eta_of(x) + SD * rng.normal(size=groups)[group]
    y = (rng.random(group.size) < expit(eta)).astype(int)
    fit = ml.fit("y ~ x + (1 | g)", {"y": y, "x": x, "g": group}, prior=prior, threads=1)
    typical = eta_of(X_NEW)
    mean = expected_probabilities(typical[:, None], np.full((4, 1, 1), SD))[:, 1]
    new, unseen = {"x": X_NEW}, {"x": X_NEW, "g": np.arange(4) + groups}
    drawn = typical + SD * rng.normal(size=4)
    of_new = fit.predict(unseen, "link", interval=0.95, new_groups="population")
    return [
        covered(fit.predict(kind="link", interval=0.95), eta),
        covered(fit.predict(new, level="population", interval=0.95), expit(typical)),
        covered(fit.predict(new, level="marginal", interval=0.95), mean),
        covered(of_new, drawn),
    ]


def main(simulations: int) -> None:
    """One line per design."""
    print("groups x rows  prior            conditional  population  marginal  new group")
    for groups, rows, name in DESIGNS:
        rng = np.random.default_rng(1)
        prior = getattr(ml, name)() if name else None
        found = np.mean([one(rng, groups, rows, prior) for _ in range(simulations)], axis=0)
        shown = "  ".join(f"{share:10.4f}" for share in found)
        print(f"{groups:4d} x {rows:<6d}  {name or 'none':15s}  {shown}", flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1000)
