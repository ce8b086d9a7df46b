"""Evaluations add."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from multilogit.errors import OptionError, Status
from multilogit.evaluation import Evaluation, Vector
from multilogit.objective import Sum


@dataclass
class Bowl:
    centre: float
    status: Status = Status.OK

    def evaluate(self, psi: Vector) -> Evaluation:
        x = psi - self.centre
        return Evaluation(-float(x @ x), -2 * x, -2 * np.eye(len(x)), self.status)


def test_parts_are_added() -> None:
    psi = np.array([1.0, 4.0])
    total = Sum((Bowl(0.0), Bowl(1.0), Bowl(2.0))).evaluate(psi)
    assert total.value == -17.0 - 9.0 - 5.0
    np.testing.assert_array_equal(total.gradient, [0.0, -18.0])
    np.testing.assert_array_equal(total.hessian, -6 * np.eye(2))
    assert total.status is Status.OK


def test_one_part_is_that_part() -> None:
    part, psi = Bowl(3.0), np.array([1.0])
    assert Sum((part,)).evaluate(psi) == part.evaluate(psi)


def test_a_failing_part_fails_the_sum() -> None:
    parts = (Bowl(0.0), Bowl(0.0, Status.INNER_FAILED), Bowl(0.0, Status.NOT_FINITE))
    assert Sum(parts).evaluate(np.zeros(1)).status is Status.INNER_FAILED


def test_nothing_to_add() -> None:
    with pytest.raises(OptionError, match="at least one part"):
        Sum(())
