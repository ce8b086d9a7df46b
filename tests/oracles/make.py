"""Copy the numbers that the tests need from the reference bank into one JSON file per fit.

Usage: ``python tests/oracles/make.py BANK``, BANK being the directory that holds ``fits/``. The
tests read only what this leaves behind. Each file says what was fitted, by which engine, how.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent

# Laplace maximum polished by Newton steps on TMB's exact gradient: DATASET__MODEL.
MIXED = (
    "contraception__slope",
    "contraception__ri",
    "contraception__slope_uncorr",
    "cbpp__herd",
    "toenail__ri",
    "verbagg__id",
)
# Single level: (DATASET__MODEL, engine, other engine that must agree).
SINGLE = (
    ("birthwt__main", "glm", "brglm2_ML"),
    ("cbpp__glm", "glm", "brglm2_ML"),
    ("contraception__glm", "glm", "brglm2_ML"),
    ("housing__main", "nnet", "vglm"),
    ("housing__inter", "nnet", "vglm"),
    ("pneumo__main", "nnet", "vglm"),
    ("verbagg__mn", "nnet", "vglm"),
)
COPIED = ("dataset", "model", "formula", "weights", "engine", "engine_version", "options")


def read(bank: Path, name: str) -> dict[str, Any]:
    return json.loads((bank / "fits" / f"{name}.json").read_text())  # type: ignore[no-any-return]


def origin(fit: dict[str, Any]) -> dict[str, Any]:
    """What was fitted, and how."""
    source = "reference bank, fits/{dataset}__{model}__{engine}.json".format(**fit)
    return {"source": source} | {key: fit[key] for key in COPIED if key in fit}


def estimates(fit: dict[str, Any]) -> dict[str, Any]:
    """Estimates; nnet's are those after Newton steps from where its quasi-Newton stopped."""
    polished = "beta_newton" in fit
    return {
        "loglik": fit["loglik_newton" if polished else "loglik"],
        "beta": fit["beta_newton" if polished else "beta"],
        "se": fit["se_newton" if polished else "se"],
    }


def mixed(bank: Path, name: str) -> dict[str, Any]:
    fit = read(bank, f"{name}__glmmTMB_polished")
    components = fit["varcomp"].values()
    return {
        **origin(fit),
        "max_gradient": fit["polish"]["maxgrad"],
        **estimates(fit),
        "sd": [sd for term in components for sd in term["sd"]],
        "correlation": [term["cor"][1][0] for term in components if term["cor"]],
        "modes_of_first_levels": {
            k: part["values"][:5] for k, part in fit["ranef_first20"].items()
        },
    }


def single(bank: Path, name: str, engine: str, other: str) -> dict[str, Any]:
    fit = read(bank, f"{name}__{engine}")
    second = read(bank, f"{name}__{other}")
    deviances = {k: fit[k] for k in ("deviance", "null_deviance", "df_residual") if k in fit}
    gap = max(abs(fit_value - second["beta"][key]) for key, fit_value in values(fit).items())
    return {
        **origin(fit),
        **estimates(fit),
        **deviances,
        "checked_against": {"engine": other, "max_difference_in_beta": gap},
    }


def values(fit: dict[str, Any]) -> dict[str, float]:
    return estimates(fit)["beta"]  # type: ignore[no-any-return]


def main(bank: Path) -> None:
    for name in MIXED:
        write(name, mixed(bank, name))
    for name, engine, other in SINGLE:
        write(name, single(bank, name, engine, other))


def write(name: str, content: dict[str, Any]) -> None:
    (HERE / f"{name}.json").write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
