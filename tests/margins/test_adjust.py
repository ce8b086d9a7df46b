"""Multiplicity: against R's p.adjust and ptukey, and identities."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import ndtri

from multilogit.errors import OptionError
from multilogit.inference.wald import p_values
from multilogit.margins.adjust import (
    adjusted_p_values,
    critical_values,
    range_quantile,
    range_tail,
)

# R 4.2.2: ptukey(q, k, Inf, lower.tail = FALSE), good to about 1e-10
PTUKEY = [(3.0, 4, 0.146271481047657), (3.31449315755301, 3, 0.05), (5.15663525313767, 10, 0.01)]


@pytest.mark.parametrize(("q", "k", "tail"), PTUKEY)
def test_range_of_normal_variables(q: float, k: int, tail: float) -> None:
    assert range_tail(q, k) == pytest.approx(tail, rel=2e-6)
    assert range_tail(range_quantile(tail, k), k) == pytest.approx(tail, rel=1e-12)


def test_the_range_of_two_is_their_difference() -> None:
    q = np.array([0.0, 0.5, 2.0, 6.0, 12.0])
    expected = p_values(q / np.sqrt(2.0))
    np.testing.assert_allclose([range_tail(x, 2) for x in q], expected, rtol=1e-12)


def test_the_range_of_five_by_simulation() -> None:
    draws = np.ptp(np.random.default_rng(0).normal(size=(200_000, 5)), axis=1)
    for q in (2.0, 3.0, 4.0):
        assert range_tail(q, 5) == pytest.approx((draws > q).mean(), abs=0.004)


def test_holm_and_bonferroni() -> None:
    """R: p.adjust(c(.01, .04, .03, .005), "holm"), "bonferroni"."""
    z = ndtri(np.array([0.01, 0.04, 0.03, 0.005]) / 2.0)
    np.testing.assert_allclose(adjusted_p_values(z, "holm", 3), [0.03, 0.06, 0.06, 0.02])
    np.testing.assert_allclose(adjusted_p_values(z, "bonferroni", 3), [0.04, 0.16, 0.12, 0.02])
    np.testing.assert_allclose(adjusted_p_values(z, "none", 3), [0.01, 0.04, 0.03, 0.005])


def test_what_is_missing_is_not_counted() -> None:
    z = np.array([np.nan, -3.0, 1.0])
    for method, factor in (("holm", 2.0), ("bonferroni", 2.0)):
        found = adjusted_p_values(z, method, 3)  # type: ignore[arg-type]
        assert np.isnan(found[0])
        assert found[1] == pytest.approx(factor * p_values(3.0))
    assert np.isnan(adjusted_p_values(z, "tukey", 3)[0])


def test_intervals_agree_with_the_tests() -> None:
    """A critical value is where the adjusted p-value is one minus the level."""
    for method in ("none", "bonferroni", "tukey"):
        half = critical_values(0.95, method, 4, 6)  # type: ignore[arg-type]
        z = np.array([half, 0.0, 0.0, 0.0, 0.0, 0.0])
        assert adjusted_p_values(z, method, 4)[0] == pytest.approx(0.05)  # type: ignore[arg-type]
    assert critical_values(0.95, "holm", 4, 6) == critical_values(0.95, "bonferroni", 4, 6)
    with pytest.raises(OptionError, match="confidence level"):
        critical_values(95.0, "tukey", 3, 3)
