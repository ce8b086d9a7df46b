"""Copy the numbers that the tests need from the reference bank into one JSON file per fit.

Usage: ``python tests/oracles/make.py BANK``, BANK being the directory that holds ``fits/``. The
tests read only what this leaves behind. Each file says what was fitted, by which engine, how.
"""

from __future__ import annotations

import csv
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
# The same with several grouping factors; and the engine that has conditional variances, if any.
STRUCTURES = (
    ("verbagg__id_item", "glmer_tight"),
    ("verbagg__id_item_slope", "glmer_tight"),
    ("cbpp__herd_obs", "glmer_tight"),
    ("guimmun__nested", None),
    ("insteval__s_d", None),
)
# Adaptive quadrature by lme4 with so many nodes, and brute-force integration.
QUADRATURE = {
    "toenail__ri": (5, 10, 25, 50, 100),
    "contraception__ri": (5, 10, 25, 50),
    "verbagg__id": (10, 25),
    "cbpp__herd": (5, 10, 25, 50),
}
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
# Predictions and their standard errors: glmmTMB, lme4; glm.
PREDICTIONS = ("cbpp__herd", "contraception__slope", "verbagg__id_item", "birthwt__main")
# Multinomial mixed models, Laplace, by a TMB template of the bank's own: DATASET__MODEL, with and
# without correlation between the logits.
CATEGORICAL = ("verbagg__mn_id", "verbagg__mn_id_item")
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


def structures(bank: Path, name: str, conditional: str | None) -> dict[str, Any]:
    fit = read(bank, f"{name}__glmmTMB_polished")
    other = read(bank, f"{name}__{conditional}") if conditional else None
    out = {**origin(fit), "max_gradient": fit["polish"]["maxgrad"], **estimates(fit)}
    # glmmTMB's parameters behind β: log sd of all columns of a term, then its correlations
    errors = [row[k] ** 0.5 for k, row in enumerate(fit["vcov_full"]["matrix"])]
    at = len(fit["beta"])
    out["factors"] = {}
    for group, term in fit["varcomp"].items():
        q = len(term["sd"])
        out["factors"][group] = {
            "effects": term["names"],
            "sd": term["sd"],
            "log_sd_error": errors[at : at + q],
            "correlation": term["cor"][1][0] if term["cor"] else None,
            **modes(fit["ranef_first20"][group], group, other),
        }
        at += q * (q + 1) // 2
    path = bank / "fits" / f"extras__predict__{name}.json"
    if path.exists():
        out["predictions"] = predictions(json.loads(path.read_text()))
    return out


def modes(found: dict[str, Any], group: str, other: dict[str, Any] | None) -> dict[str, Any]:
    """Conditional modes of the first levels, and their sds where the other engine has them."""
    out = {"levels": found["levels"][:8], "modes": found["values"][:8]}
    if other is not None:
        assert other["ranef_first20"][group]["levels"] == found["levels"]
        variances = other["ranef_condvar_first20"][group][:8]
        diagonals = [[row[k] for k, row in enumerate(matrix)] for matrix in variances]
        out["mode_sd"] = [[value**0.5 for value in diagonal] for diagonal in diagonals]
        out["mode_sd_engine"] = other["engine"]
    return out


PREDICTED = (
    "glmmTMB_link",
    "glmmTMB_response_with_re",
    "glmmTMB_response_without_re",
    "new_level_of",
    "glmer_response_new_level",
)


def predictions(extra: dict[str, Any]) -> dict[str, Any]:
    """The first ten rows; both engines at their default tolerances."""
    return {"kind": extra["kind"], **{key: extra[key] for key in PREDICTED}}


WITH_ERRORS = (
    *("glmer_link_with_re", "glmer_response_with_re", "glmer_response_without_re"),
    *("glmer_response_new_level", "glmmTMB_link", "glmmTMB_link_se"),
    *("glmmTMB_response_with_re", "glmmTMB_response_se"),
    *("response", "response_se", "link", "link_se"),
)


def standard_errors(bank: Path, name: str) -> dict[str, Any]:
    """The first ten rows; the engines at their default tolerances."""
    source = f"extras__predict__{name}"
    extra = read(bank, source)
    found = {key: extra[key] for key in WITH_ERRORS if key in extra}
    return {"source": f"reference bank, fits/{source}.json", "kind": extra["kind"]} | found


def quadrature(bank: Path, name: str, nodes: tuple[int, ...]) -> dict[str, Any]:
    exact = read(bank, f"{name}__exact_quadrature_py")
    fits = {k: read(bank, f"{name}__glmer_nAGQ{k}") for k in nodes}
    return {
        "source": f"reference bank, fits/{name}__{{glmer_nAGQ*,exact_quadrature_py}}.json",
        **{key: fits[nodes[0]][key] for key in COPIED if key in fits[nodes[0]]},
        "engine": "glmer_nAGQ*",
        "nodes": {
            str(k): {
                "loglik": fit["loglik"],
                "beta": fit["beta"],
                "sd": [sd for term in fit["varcomp"].values() for sd in term["sd"]],
            }
            for k, fit in fits.items()
        },
        "exact": {"method": exact["options"], **estimates(exact), "sd": exact["sd"]}
        | {"log_sd_error": exact["se_log_sd"]},
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


def categorical(bank: Path, name: str) -> dict[str, Any]:
    return {
        engine: {**origin(fit), "max_gradient": fit["maxgrad"], **estimates(fit)}
        | {
            "factors": {
                group: {
                    "sd": term["sd"],
                    "correlation": term["cor"][1][0],
                    "levels": fit["ranef_first20"][group]["levels"][:5],
                    "modes": fit["ranef_first20"][group]["values"][:5],
                }
                for group, term in fit["varcomp"].items()
            }
        }
        for engine in ("TMB_mn_corr", "TMB_mn_indep")
        for fit in [read(bank, f"{name}__{engine}")]
    }


def published(bank: Path, dataset: str) -> list[dict[str, Any]]:
    """Rows of ``published.csv``: numbers between semicolons, one group per ``|``."""
    with (bank / "published.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["dataset"].startswith(dataset)]
    for row in rows:
        for key in ("value", "se"):
            groups = filter(None, row[key].split("|"))
            row[key] = [[float(number) for number in group.split(";")] for group in groups]
    return rows


def values(fit: dict[str, Any]) -> dict[str, float]:
    return estimates(fit)["beta"]  # type: ignore[no-any-return]


def extras(bank: Path) -> dict[str, Any]:
    """Profile intervals and likelihood ratio tests, as R prints them."""
    names = ("confint__cbpp__herd", "confint__glm_birthwt__main", "confint__glm_endometrial__main")
    names += ("lrt__cbpp", "lrt__contraception")
    return {name: read(bank, f"extras__{name}") for name in names}


def main(bank: Path) -> None:
    write("extras", extras(bank))
    for name in MIXED:
        write(name, mixed(bank, name))
    for name, conditional in STRUCTURES:
        write(name, structures(bank, name, conditional))
    for name, nodes in QUADRATURE.items():
        write(f"{name}_quadrature", quadrature(bank, name, nodes))
    for name in PREDICTIONS:
        write(f"{name}_predictions", standard_errors(bank, name))
    for name, engine, other in SINGLE:
        write(name, single(bank, name, engine, other))
    for name in CATEGORICAL:
        write(name, categorical(bank, name))
    write("sdhouse_published", {"source": "published.csv", "rows": published(bank, "sdhouse")})


def write(name: str, content: dict[str, Any]) -> None:
    (HERE / f"{name}.json").write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
