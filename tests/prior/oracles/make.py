"""Copy the numbers that the tests of priors need from the reference bank.

Usage: ``python tests/prior/oracles/make.py BANK``, BANK being the directory that holds ``fits/``.
"""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent

# brglm2 0.9 / R 4.2.2. For multinomial models bias reduction of the mean ("AS_mean") maximises
# the likelihood penalised by Jeffreys' prior, since the link is canonical.
JEFFREYS = {
    "endometrial__main": "brglm2_MPL_Jeffreys",
    "birthwt__main": "brglm2_MPL_Jeffreys",
    "cbpp__glm": "brglm2_MPL_Jeffreys",
    "contraception__glm": "brglm2_MPL_Jeffreys",
    "housing__main": "brmultinom_AS_mean",
    "housing__inter": "brmultinom_AS_mean",
    "pneumo__main": "brmultinom_AS_mean",
}
# glmmTMB's Laplace likelihood plus blme's priors, Newton steps on TMB's gradient.
MAP = ("cbpp__herd", "contraception__ri", "contraception__slope", "contraception__slope_uncorr")
PRIORS = ("wishart", "fixef_only", "wishart_fixef")


def read(bank: Path, name: str) -> dict[str, Any]:
    return json.loads((bank / "fits" / f"{name}.json").read_text())  # type: ignore[no-any-return]


def jeffreys(fit: dict[str, Any]) -> dict[str, Any]:
    variances = [row[k] for k, row in enumerate(fit["vcov"]["matrix"])]
    return {
        "engine": fit["engine"],
        "engine_version": fit["engine_version"],
        "beta": list(fit["beta"].values()),
        "se": [math.sqrt(v) for v in variances],
    }


def posterior_mode(fit: dict[str, Any]) -> dict[str, Any]:
    blocks = [term["cov"] for term in fit["varcomp"].values()]
    q = sum(map(len, blocks))
    covariance = [[0.0] * q for _ in range(q)]
    first = 0
    for block in blocks:
        for i, row in enumerate(block):
            covariance[first + i][first : first + len(row)] = row
        first += len(block)
    return {"beta": list(fit["beta"].values()), "covariance": covariance}


def write(name: str, content: dict[str, Any]) -> None:
    (HERE / name).write_text(json.dumps(content, indent=1) + "\n")


def main(bank: Path) -> None:
    write(
        "jeffreys.json",
        {name: jeffreys(read(bank, f"{name}__{engine}")) for name, engine in JEFFREYS.items()},
    )
    names = [f"{model}__TMB_MAP_{prior}" for model in MAP for prior in PRIORS]
    write("map.json", {name: posterior_mode(read(bank, name)) for name in names})


if __name__ == "__main__":
    main(Path(sys.argv[1]))
