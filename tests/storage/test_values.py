"""Levels, options and facts of any kind; priors."""

from __future__ import annotations

import datetime
import json
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pytest

import multilogit as ml
from multilogit.errors import ModelFileError
from multilogit.storage.node import Node
from multilogit.storage.priors import LostPrior, read_prior, write_prior
from multilogit.storage.values import LeftOut, read_value, write_value


def through_json(value: Any) -> Node:
    return Node(json.loads(json.dumps(value, allow_nan=False)), "value")


TIME = pd.Timestamp("2026-11-22 06:30:00.123456789")


@pytest.mark.parametrize(
    ("value", "back"),
    [
        *((v, v) for v in (None, True, 0, -3, 2**70, 1.5, -0.0, float("inf"), "", "Infinity")),
        ((1, "a", [2.5]), [1, "a", [2.5]]),
        ({"a": {"b": (1,)}, 3: None}, {"a": {"b": [1]}, "3": None}),
        (np.float64(0.1), 0.1),
        (np.int32(7), 7),
        (np.array([1, 2]), [1, 2]),
        (TIME, TIME),
        (datetime.datetime(2026, 11, 22, 6), pd.Timestamp("2026-11-22T06:00")),
        (datetime.date(2026, 11, 22), "2026-11-22"),
        (Decimal("1.10"), "1.10"),
        (LeftOut(5), LeftOut(5)),
    ],
)  # fmt: skip
def test_values_come_back(value: Any, back: Any) -> None:
    found = read_value(through_json(write_value(value)))
    assert found == back
    assert type(found) is type(back)


def test_arrays_among_the_values_come_back() -> None:
    for array in (np.array([0.1, np.nan]), np.zeros((2, 2)), np.ones(0), np.ones((30, 30))):
        found = read_value(through_json(write_value(array)))
        np.testing.assert_array_equal(found, array, strict=True)


@pytest.mark.parametrize(
    "value",
    [
        {},
        {"number": 1, "text": "a"},
        {"eval": "1"},
        {"number": "1"},
        {"left out": -1},
        {"array": "abc"},
        {"array": [[[1.0]]]},
        {"time": "now"},
        {"time": "2026-99-99T00:00:00"},
        {"text": 1},
        [[{}]],
    ],
)
def test_other_values_are_refused(value: Any) -> None:
    with pytest.raises(ModelFileError, match=r"^value"):
        read_value(Node(value, "value"))


# --- priors ------------------------------------------------------------------------------------

PRIORS = [
    ml.RelativeEntropy(),
    ml.RelativeEntropy(strength=2.5, reference="uniform", covariance=None),
    ml.RelativeEntropy(strength="auto", reference=(0.1, 0.2, 0.7)),
    ml.RelativeEntropy(reference=0.3, covariance=ml.CovarianceRelativeEntropy(2.0, 3.0)),
    ml.ShannonEntropy(strength=1, floor=0.5, covariance=ml.Wishart(df=7)),
    ml.Normal(scale=[1.0, np.inf], mean=0.5, intercept=10.0),
    ml.Normal(scale={"x": 1.5}),
    ml.StudentT(3, scale=2.0, mean=[0.1, 0.2]),
    ml.Cauchy(intercept_scale=np.inf),
    ml.Jeffreys(power=0.3),
    ml.SoftPenalty(),
    ml.Wishart(),
    ml.Jeffreys() + ml.Wishart(5.0, 2.0) + ml.Normal(),
]


@pytest.mark.parametrize("prior", PRIORS, ids=repr)
def test_priors_come_back(prior: Any) -> None:
    found = read_prior(through_json(write_prior(prior)))
    assert found == prior
    assert repr(found) == repr(prior)


@pytest.mark.parametrize("shares", [(0.1, 0.2, 0.7), (0.3, 0.3, 0.4), tuple([1 / 7] * 7)])
def test_shares_come_back_to_the_last_bit(shares: tuple[float, ...]) -> None:
    prior: Any = ml.RelativeEntropy(reference=shares)
    for _ in range(3):
        found: Any = read_prior(through_json(write_prior(prior)))
        assert found.reference == prior.reference


def test_a_subclass_is_its_user_s_own() -> None:
    @dataclass(frozen=True)
    class Normal(ml.Normal):
        pass

    found = read_prior(through_json(write_prior(Normal())))
    assert isinstance(found, LostPrior)
    assert repr(found) == repr(Normal())


@pytest.mark.parametrize(
    "record",
    [
        {},
        {"kind": "os.system"},
        {"kind": 1},
        {"kind": ["Normal"]},
        {"kind": "Normal", "scale": -1.0},
        {"kind": "Normal", "scale": {"mapping": {"x": "a"}}},
        {"kind": "Normal", "__class__": 1},
        {"kind": "Normal", "covariance": {"kind": "sum", "parts": []}},
        {"kind": "Normal", "covariance": 3},
        {"kind": "StudentT"},
        {"kind": "sum", "parts": [None]},
        {"kind": "sum", "parts": {"kind": "Normal"}},
        {"kind": "user", "text": 1, "note": ""},
        7,
    ],
)
def test_other_priors_are_refused(record: Any) -> None:
    with pytest.raises(ModelFileError, match=r"^prior"):
        read_prior(Node(record, "prior"))
