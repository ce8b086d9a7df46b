"""Natural cubic splines: the columns of R's ns(), straight lines beyond the boundaries."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from multilogit.errors import DataError, FormulaError
from multilogit.formula import build_frame, parse
from multilogit.formula.natural_splines import b_splines, natural_basis

X = np.array([0.3, 1.1, 1.9, 2.2, 3.7, 4.1, 5.6, 6.0, 7.4, 9.2])
NEW = np.array([-2.0, 0.3, 2.5, 9.2, 11.0])
DATA = {"y": [0, 1] * 5, "x": X}

# As tests/oracles/ns.R prints it: a row for each of NEW.
R = {
    "ns(x, df=4)": """
        0 0.387129956704438 -1.00888412959338 0.621754172888946
        0 0 0 0
        0.301243510222418 -0.181407305116308 0.47966646088355 -0.295608400311955
        0 -0.154860988135293 0.403577120595006 0.751283867540287
        0 -0.81946166105897 0.499203116699132 1.32025854435984""",
    "ns(x, knots=c(2, 5))": """
        0.309889919756648 -0.841129782196617 0.531239862439969
        0 0 0
        -0.0627527924302954 0.566142327221246 -0.357055940259293
        -0.151624548736462 0.411552346570397 0.740072202166065
        -0.655234657039711 0.492779783393502 1.16245487364621""",
    "ns(x, 1)": "-0.207202535864689 0 0.198193729957528 0.801783725737273 0.96394223206616",
    "ns(x, knots=4, lower_bound=1, upper_bound=8)": """
        -0.697771628759467 0.444036491028751
        -0.162813380043876 0.103608514573375
        0.329850092734165 -0.195294214856806
        0.177952894451774 1.21402997625796
        -0.0429843755836519 1.84553551173505""",
}


@pytest.mark.parametrize("term", R)
def test_columns_are_those_of_r(term: str) -> None:
    frame, design = build_frame(f"y ~ {term}", DATA)
    expected = np.array(R[term].split(), dtype=float).reshape(NEW.size, -1)
    made = design.new_columns({"x": NEW}).fixed.matrix()[:, 1:]
    np.testing.assert_allclose(made, expected, atol=1e-13)
    numbers = [str(k + 1) for k in range(expected.shape[1])] if expected.shape[1] > 1 else [""]
    assert frame.fixed.names[1:] == tuple(term + number for number in numbers)


@given(st.lists(st.floats(0.05, 0.95), min_size=0, max_size=6, unique=True))
def test_a_natural_spline_is_smooth_and_straight_beyond(inner: list[float]) -> None:
    knots = np.array([0.0] * 4 + sorted(inner) + [1.0] * 4)
    x = np.array([-3.0, -2.0, -1.0, 2.0, 3.0, 4.0])
    values = natural_basis(x, knots)
    assert values.shape == (6, len(inner) + 1)
    second = np.diff(values.reshape(2, 3, -1), n=2, axis=1)
    np.testing.assert_allclose(second, 0.0, atol=1e-9 * np.abs(values).max())
    for end in (0.0, 1.0):  # no jump there
        near = natural_basis(end + np.array([-1e-9, 1e-9]), knots)
        np.testing.assert_allclose(near[0], near[1], atol=1e-6)


def test_b_splines_add_up_to_one_and_their_derivatives_to_zero() -> None:
    knots = np.array([0.0] * 4 + [0.2, 0.2, 0.7] + [1.0] * 4)  # one knot twice
    x = np.linspace(0.0, 1.0, 41)
    np.testing.assert_allclose(b_splines(x, knots).sum(axis=1), 1.0, rtol=1e-14)
    for derivative in (1, 2):
        total = b_splines(x, knots, derivative=derivative).sum(axis=1)
        np.testing.assert_allclose(total, 0.0, atol=1e-11)


def test_knots_must_lie_between_the_boundaries() -> None:
    for term, message in {
        "ns(x, knots=c(2, 9.5))": r"Not all knots \(2, 9.5\) lie between the boundaries 0.3 and",
        "ns(x, df=2, knots=3)": "Give df= or knots=, not both",
        "ns(f, df=3)": "Not all knots",  # too few distinct values
    }.items():
        with pytest.raises(DataError, match=message):
            build_frame(f"y ~ {term}", DATA | {"f": [0.0] * 8 + [1.0, 2.0]})
    with pytest.raises(FormulaError, match="df= must be an integer from 1 to 100"):
        parse("y ~ ns(x, df=0)")
