"""Admission to graduate school: single-level logistic regression, step by step.

400 applications (UCLA, https://stats.idre.ucla.edu/stat/data/binary.csv). Newton–Raphson from
the linear regression, ``start="ols"``, as in Czepiel, *Maximum likelihood estimation of logistic
regression models*, and R's ``summary(glm)``.

    python examples/admissions.py [FILE]

FILE is a local copy of the table; by default it is read from the address above.
"""

from __future__ import annotations

import math
import sys

import pandas as pd

import multilogit as ml

ADDRESS = "https://stats.idre.ucla.edu/stat/data/binary.csv"


def main(source: str) -> None:
    applications = pd.read_csv(source)
    fit = ml.fit("admit ~ gpa + gre", applications, start="ols")
    for row in fit.trace.iloc[:-1].itertuples():  # the last row is the maximum: no step
        print(f"[Iteration {row.iteration + 1}]: {row.max_change:.15g}")
    print(f"\n{fit.summary()}")

    print("Odds ratios for one point of gpa and 100 points of gre, with 95 % intervals:")
    table = fit.tidy().set_index("term").loc[["gpa", "gre"], ["estimate", "conf_low", "conf_high"]]
    units = pd.Series({"gpa": 1.0, "gre": 100.0})
    print(table.mul(units, axis=0).map(math.exp).round(3).to_string())


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else ADDRESS)
