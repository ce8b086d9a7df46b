"""Wald statistics and intervals."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from multilogit.errors import OptionError
from multilogit.inference.wald import critical_value, interval, p_values, z_values

levels = st.floats(0.01, 0.999)
errors = st.floats(1e-6, 10.0)


def test_p_values_are_accurate_in_the_tails() -> None:
    # R 4.2: 2 * pnorm(-c(0, 1.96, 10, 37))
    expected = [1.0, 0.0499957902964409, 1.52397060483211e-23, 1.14511e-299]
    np.testing.assert_allclose(p_values([0.0, -1.96, 10.0, 37.0])[:3], expected[:3], rtol=1e-13)
    np.testing.assert_allclose(p_values([37.0])[0], expected[3], rtol=1e-5)


def test_a_missing_standard_error_stays_missing() -> None:
    z = z_values([1.0, 2.0], [np.nan, 0.5])
    assert np.isnan(z[0])
    assert z[1] == 4.0
    assert np.isnan(p_values(z)[0])


def test_critical_value_is_the_textbook_number() -> None:
    assert critical_value(0.95) == pytest.approx(1.959963984540054, rel=1e-15)


@pytest.mark.parametrize("level", [0.0, 1.0, 95.0, -0.1, float("nan")])
def test_impossible_levels_are_refused(level: float) -> None:
    with pytest.raises(OptionError, match="between 0 and 1"):
        interval(1.0, 1.0, level)


@given(st.floats(-50, 50), errors, levels)
def test_interval_of_a_coefficient_is_symmetric(x: float, se: float, level: float) -> None:
    low, high = interval(x, se, level)
    assert high - x == pytest.approx(x - low, rel=1e-9, abs=1e-9)
    assert high - low == pytest.approx(2 * critical_value(level) * se, rel=1e-9, abs=1e-12)


@given(st.floats(1e-3, 20), st.floats(1e-4, 2.0), levels)
def test_interval_of_an_sd_is_symmetric_in_its_log(x: float, ratio: float, level: float) -> None:
    low, high = interval(x, ratio * x, level, "log")
    assert low > 0
    assert low * high == pytest.approx(x * x, rel=1e-9)


@given(st.floats(-0.999, 0.999), st.floats(1e-4, 0.5), levels)
def test_interval_of_a_correlation_stays_inside(r: float, se: float, level: float) -> None:
    low, high = interval(r, se, level, "fisher")
    assert -1.0 <= low <= r <= high <= 1.0


@pytest.mark.parametrize(("x", "scale"), [(0.0, "log"), (1.0, "fisher"), (-1.0, "fisher")])
def test_no_interval_at_the_edge_of_the_range(x: float, scale: str) -> None:
    low, high = interval(x, 0.1, scale=scale)  # type: ignore[arg-type]
    assert np.isnan(low)
    assert np.isnan(high)
