"""Normal, Student t and Cauchy: densities, forms of the options, limits."""

from __future__ import annotations

import math

import numpy as np
import pytest
from prior.models import Array, random_context
from scipy.integrate import quad

from multilogit.prior import Cauchy, Normal, Prior, StudentT

INF = math.inf


def scales_seen(prior: Prior, n_logits: int = 1) -> Array:
    """1/√−H_kk of a normal prior at 0."""
    model = random_context(1, n_logits=n_logits)
    with np.errstate(divide="ignore"):
        hessian = prior.bind(model).evaluate(np.zeros(model.size)).hessian
        return np.asarray(1.0 / np.sqrt(-hessian.diagonal()))


@pytest.mark.parametrize(
    "prior", [Normal(1.3, mean=0.4), StudentT(3.5, 1.3, mean=0.4), Cauchy(intercept_scale=0.9)]
)
def test_integrates_to_one(prior: Prior) -> None:
    bound = prior.bind(random_context(1, p=1))
    total, _ = quad(lambda b: math.exp(bound.evaluate(np.array([b])).value), -INF, INF)
    assert total == pytest.approx(1.0, abs=1e-9)


@pytest.mark.parametrize(
    ("prior", "expected"),
    [
        (Normal(), [2.5, 2.5, 2.5]),
        (Normal(2.5, intercept=False), [INF, 2.5, 2.5]),
        (Normal(2.5, intercept=10), [10, 2.5, 2.5]),
        (Normal([3, 2, INF]), [3, 2, INF]),
        (Normal([3, 2, 1], intercept=False), [INF, 2, 1]),
        (Normal({"x2": 1.5}), [INF, INF, 1.5]),
        (Normal({"x2": 1.5, "(Intercept)": 4}), [4, INF, 1.5]),
    ],
)
def test_scales(prior: Normal, expected: list[float]) -> None:
    np.testing.assert_allclose(scales_seen(prior), expected)
    np.testing.assert_allclose(scales_seen(prior, n_logits=2), expected + expected)


def test_scales_and_means_logit_by_logit() -> None:
    prior = Normal([1, 2, 3, 4, 5, 6], mean=[0, 0, 1, 0, -2, 0], intercept=False)
    np.testing.assert_allclose(scales_seen(prior, n_logits=2), [INF, 2, 3, INF, 5, 6])
    model = random_context(1, n_logits=2)
    gradient = prior.bind(model).evaluate(np.zeros(model.size)).gradient
    np.testing.assert_allclose(gradient, [0, 0, 1 / 9, 0, -2 / 25, 0])


def test_student_with_many_degrees_of_freedom_is_normal() -> None:
    model = random_context(2)
    psi = np.array([0.3, -2.0, 1.0])
    t = StudentT(1e9, 0.8).bind(model).evaluate(psi)
    normal = Normal(0.8).bind(model).evaluate(psi)
    assert t.value == pytest.approx(normal.value, abs=1e-6)
    np.testing.assert_allclose(t.hessian, normal.hessian, atol=1e-6)


def test_cauchy_is_student_with_one_degree_of_freedom() -> None:
    model = random_context(2)
    psi = np.array([0.3, -2.0, 1.0])
    cauchy = Cauchy(1.5, intercept_scale=7.0).bind(model).evaluate(psi)
    student = StudentT(1.0, [7.0, 1.5, 1.5]).bind(model).evaluate(psi)
    assert cauchy.value == student.value
    expected = sum(
        -math.log(math.pi * s * (1 + (b / s) ** 2))
        for b, s in zip(psi, [7.0, 1.5, 1.5], strict=True)
    )
    assert cauchy.value == pytest.approx(expected, rel=1e-13)
