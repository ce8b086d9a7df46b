"""Designs: what files may say, and what goes wrong says so."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from multilogit.study import StudyError, available, load_design
from multilogit.study.designs import parse_design
from multilogit.study.estimators import ESTIMATORS
from multilogit.study.sections import SECTIONS


@pytest.mark.parametrize("name", available())
def test_designs_of_the_package_are_complete(name: str) -> None:
    design = load_design(name)
    assert set(design.ademp) == {"aims", "data", "estimands", "methods", "performance"}
    assert set(design.estimators) <= set(ESTIMATORS)
    assert set(design.report) <= set(SECTIONS)
    names = {cell.name for cell in design.cells}
    assert {entry["cell"] for entry in design.published} <= names
    assert {entry["estimator"] for entry in design.published} <= set(design.estimators)


def test_the_large_study_spans_the_four_stresses() -> None:
    design = load_design("stresses")
    assert len(design.cells) >= 12
    assert design.replicates >= 1000
    assert design.replicates_for("nuts") >= 100
    assert {cell.sd[0] for cell in design.cells} >= {0.0, 5.0}
    assert min(cell.prevalence or 1.0 for cell in design.cells) <= 0.02
    assert {cell.sizes for cell in design.cells} == {"equal", "skewed"}
    assert {cell.effects for cell in design.cells} == {"normal", "t", "skewed", "bimodal"}


def test_slow_estimators_may_have_fewer_cells_and_intervals() -> None:
    design = load_design("stresses")
    assert design.name == "stresses"  # seeds depend on it
    assert design.cells_for("nuts") == design.cells
    assert "profile" in design.intervals_for("relative-entropy")
    assert "profile" not in design.intervals_for("jeffreys")
    settings = {"estimators": ["ml", "nuts"], "cells_of": {"nuts": ["b"]}}
    content = {"run": settings, "cells": [{"name": "a"}, {"name": "b"}]}
    few = parse_design(content, "few")
    assert few.name == "few"
    assert [cell.name for cell in few.cells_for("nuts")] == ["b"]
    assert few.cells_for("ml") == few.cells


def test_designs_that_choose_and_that_confirm_have_no_cell_in_common() -> None:
    chosen, confirmed = load_design("defaults"), load_design("stresses")
    assert not {c.digest for c in chosen.cells} & {c.digest for c in confirmed.cells}


def test_cells_are_crossed_with_what_varies() -> None:
    content = {
        "run": {"estimators": ["ml"]},
        "data": {"covariates": [{"name": "x"}]},
        "cells": [{"name": "a"}, {"name": "b", "groups": 3}],
        "vary": {"beta.x": [1.0, 2.0], "log_sd": [0.0, 1.0]},
    }
    design = parse_design(content, "crossed")
    assert [cell.name for cell in design.cells][:2] == [
        "a, beta.x = 1.0, log_sd = 0.0",
        "a, beta.x = 1.0, log_sd = 1.0",
    ]
    assert len(design.cells) == 8
    last = design.cells[-1]
    assert (last.groups, last.covariates[0].beta) == (3, 2.0)
    assert np.isclose(last.sd[0], np.e)
    assert len({cell.digest for cell in design.cells}) == 8


def test_published_series_become_single_values() -> None:
    birthweight = load_design("birthweight").published
    values = {(e["estimator"], e["measure"], e["parameter"]): e["value"] for e in birthweight}
    assert values["ml", "bias", "(Intercept)"] == -1.42
    assert values["relative-entropy-uniform", "rmse", "(Intercept)"] == 5.71
    separation = load_design("sk-separation").published
    rates = [e["value"] for e in separation if e["estimator"] == "ml-20" and "-50," in e["cell"]]
    assert rates == [0.73, 0.46, 0.16, 0.02, 0.0, 0.0, 0.0, 0.01, 0.15, 0.49, 0.80]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"run": {"estimators": ["ml"]}, "dta": {}}, "'dta'"),
        ({"run": {"estimators": ["ml"], "replicate": 3}}, "'replicate'"),
        ({"run": {}}, "estimators"),
        ({"run": {"estimators": ["ml"], "batch": 0}}, "batch"),
        ({"run": {"estimators": ["ml"]}, "data": {"group": 3}}, "'group'"),
        ({"run": {"estimators": ["ml"]}, "data": {"sd": [1.0, 2.0]}}, "sd needs 1"),
        ({"run": {"estimators": ["ml"]}, "data": {"effects": "odd"}}, "'odd'"),
        ({"run": {"estimators": ["ml"]}, "data": {"prevalence": 2.0}}, "prevalence"),
        ({"run": {"estimators": ["ml"]}, "vary": {"beta.w": [1.0]}}, "'w'"),
        ({"run": {"estimators": ["ml"]}, "cells": [{"name": "a"}, {"name": "a"}]}, "'a'"),
        ({"run": {"estimators": ["ml"], "intervals": ["exact"]}}, "'exact'"),
        ({"run": {"estimators": ["ml"], "cells_of": {"ml": ["none"]}}}, "'none'"),
        ({"run": {"estimators": ["ml"]}, "published": [{"cell": "all"}]}, "'estimator'"),
    ],
)
def test_what_cannot_be_used_is_named(content: dict[str, object], message: str) -> None:
    with pytest.raises(StudyError, match=message):
        parse_design(content, "wrong")


def test_missing_and_broken_files(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="or: birthweight"):
        load_design("nothing")
    broken = tmp_path / "broken.toml"
    broken.write_text("= 3", encoding="utf-8")
    with pytest.raises(StudyError, match="not TOML"):
        load_design(broken)
