"""Numbers are printed as R prints them."""

from __future__ import annotations

import pytest

from multilogit.report import numbers

NAN = float("nan")


def test_coefficients_as_summary_glm() -> None:
    # R: glm(admit ~ gpa + gre, binomial) on the UCLA admissions data.
    estimate = [-4.949378060, 0.754686856, 0.002690684]
    error = [1.0750930, 0.3195856, 0.0010574841]
    shown = numbers.estimates(estimate, error)
    assert shown == (["-4.949378", "0.754687", "0.002691"], ["1.075093", "0.319586", "0.001057"])
    assert numbers.statistics([-4.60368, 2.36145, 2.54442]) == ["-4.604", "2.361", "2.544"]
    assert numbers.p_values([4.1503e-06, 0.018203, 0.010946]) == ["4.15e-06", "0.0182", "0.0109"]


def test_p_values_above_one_in_ten_thousand_share_decimals() -> None:
    # R: summary of the UCLA admissions model with rank, and of lme4's cbpp.
    ucla = numbers.p_values([0.000465027, 0.0384651, 0.0153879, 0.0328288, 0.000104216])
    assert ucla == ["0.000465", "0.038465", "0.015388", "0.032829", "0.000104"]
    assert numbers.p_values([1.47e-09, 0.001068, 0.000474, 0.000182])[0] == "1.47e-09"
    assert numbers.p_values([1e-300, NAN, 0.5]) == ["<2e-16", "NA", "0.5"]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([1.0, 2.5], ["1.0", "2.5"]),
        ([0.3849157, 0.5412107], ["0.3849", "0.5412"]),
        ([NAN, 1.0], ["NA", "1"]),
        ([float("inf"), 2.0], ["Inf", "2"]),
        ([1e-10, 3e-10], ["1e-10", "3e-10"]),
        ([0.0, 0.0], ["0", "0"]),
        ([], []),
    ],
)
def test_columns_share_their_decimals(values: list[float], expected: list[str]) -> None:
    assert numbers.column(values) == expected


def test_significant_digits_without_exponents() -> None:
    assert numbers.significant(499.97652) == "499.98"
    assert numbers.significant(140716.12) == "140716"
    assert numbers.significant(0.0) == "0.0000"
    assert numbers.significant(NAN) == "NA"
    assert numbers.significant(1.34e-14) == "1.3400e-14"


def test_no_negative_zeros() -> None:
    assert numbers.statistics([-1e-9, 0.5]) == ["0.0", "0.5"]


@pytest.mark.parametrize(
    ("p", "code"), [(0.0, "***"), (0.005, "**"), (0.02, "*"), (0.07, "."), (0.5, ""), (NAN, "")]
)
def test_stars(p: float, code: str) -> None:
    assert numbers.stars(p) == code
