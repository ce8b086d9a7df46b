"""Profiles of functions whose profiles are known."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from multilogit.errors import Status
from multilogit.evaluation import Evaluation, Vector
from multilogit.inference.coordinates import Polar
from multilogit.inference.profile import Coordinate, Curve, interval, profile, value_at

Z = 1.959963984540054


class Function:
    """A concave function given by its value; derivatives by complex steps and differences."""

    def __init__(self, f: Any, gradient: Any, hessian: Any) -> None:
        self.f, self.gradient, self.hessian = f, gradient, hessian
        self.calls = 0

    def evaluate(self, psi: Vector, /) -> Evaluation:
        self.calls += 1
        return Evaluation(float(self.f(psi)), self.gradient(psi), self.hessian(psi))


def coordinate(function: Any, phi: list[float], k: int, **options: Any) -> Coordinate:
    there = function.evaluate(np.array(phi))
    d = len(phi)
    return Coordinate(
        objective=function,
        phi=np.array(phi),
        top=there.value,
        hessian=there.hessian,
        k=k,
        unit=1.0,
        caps=np.full(d, np.inf),
        **options,
    )


def gaussian(precision: Any) -> Function:
    P = np.asarray(precision, dtype=float)
    return Function(lambda x: -0.5 * x @ P @ x, lambda x: -P @ x, lambda x: -P)


@given(st.floats(-0.95, 0.95), st.floats(0.01, 100.0), st.floats(0.01, 100.0))
def test_of_a_gaussian_it_is_the_wald_interval(rho: float, a: float, b: float) -> None:
    covariance = np.array([[a * a, rho * a * b], [rho * a * b, b * b]])
    function = gaussian(np.linalg.inv(covariance))
    for k, sd in enumerate((a, b)):
        each = coordinate(function, [0.0, 0.0], k)
        each = Coordinate(**{f: getattr(each, f) for f in each.__slots__} | {"unit": sd})
        curve = profile(each, [Z])
        assert curve.ends == ("reached", "reached")
        np.testing.assert_allclose(interval(curve, Z), [-Z * sd, Z * sd], rtol=1e-6)
        np.testing.assert_allclose(curve.slope, 1.0 / sd, rtol=1e-6)


def poisson(y: float) -> Function:
    """y log μ − μ in x = log μ, and a second coordinate that follows it: −½ (z − x²)²."""

    def f(p: Vector) -> float:
        x, z = p
        return y * x - math.exp(x) - 0.5 * (z - x * x) ** 2

    def gradient(p: Vector) -> Vector:
        x, z = p
        return np.array([y - math.exp(x) + 2.0 * x * (z - x * x), -(z - x * x)])

    def hessian(p: Vector) -> Any:
        x, z = p
        first = -math.exp(x) + 2.0 * (z - x * x) - 4.0 * x * x
        return np.array([[first, 2.0 * x], [2.0 * x, -1.0]])

    return Function(f, gradient, hessian)


def test_it_follows_a_curved_ridge_to_the_root() -> None:
    y = 4.0
    mode = math.log(y)
    function = poisson(y)
    curve = profile(coordinate(function, [mode, mode**2], 0), [Z])
    top = y * mode - y

    def excess(x: float) -> float:
        return 2.0 * (top - (y * x - math.exp(x))) - Z * Z

    for end in interval(curve, Z):
        assert abs(excess(end)) < 1e-6
    assert function.calls < 40
    off = curve.zeta != 0.0
    np.testing.assert_allclose(
        curve.slope[off], (np.exp(curve.c[off]) - y) / curve.zeta[off], rtol=1e-5
    )


def test_levels_between_the_points_are_interpolated() -> None:
    y = 4.0
    mode = math.log(y)
    curve = profile(coordinate(poisson(y), [mode, mode**2], 0), [0.67, 1.3, 1.64, 1.96, 2.58])
    exact = profile(coordinate(poisson(y), [mode, mode**2], 0), [1.0364])
    np.testing.assert_allclose(interval(curve, 1.0364), interval(exact, 1.0364), atol=2e-4)
    assert np.isnan(interval(curve, 3.0)).all()


def saturating(scale: float) -> Function:
    """−e^−x: the supremum 0 is at infinity."""
    return Function(
        lambda p: -math.exp(-p[0] / scale),
        lambda p: np.array([math.exp(-p[0] / scale) / scale]),
        lambda p: np.array([[-math.exp(-p[0] / scale) / scale**2]]),
    )


@pytest.mark.parametrize("start", [12.0, 25.0, 60.0])
def test_a_supremum_at_infinity_has_one_finite_end(start: float) -> None:
    curve = profile(coordinate(saturating(1.0), [start], 0), [Z])
    low, high = interval(curve, Z)
    assert curve.ends == ("reached", "infinite")
    assert high == math.inf
    assert low == pytest.approx(-math.log(0.5 * Z * Z), abs=1e-5)


def test_the_end_of_the_range_closes_the_interval() -> None:
    function = gaussian([[1.0]])
    curve = profile(coordinate(function, [0.0], 0, bounds=(-1.0, math.inf)), [Z])
    assert curve.ends == ("boundary", "reached")
    np.testing.assert_allclose(interval(curve, Z), [-1.0, Z], atol=1e-7)
    asked: list[float] = []

    def at_bound(c: float) -> float:
        asked.append(c)
        return -0.5 * c * c

    each = coordinate(function, [0.0], 0, bounds=(-1.0, math.inf), at_bound=at_bound)
    assert profile(each, [Z]).ends == ("boundary", "reached")
    assert asked == [-1.0]
    each = coordinate(function, [0.0], 0, bounds=(-2.5, math.inf), at_bound=at_bound)
    np.testing.assert_allclose(interval(profile(each, [Z]), Z), [-Z, Z], atol=1e-7)


def test_a_higher_point_is_told() -> None:
    function = Function(
        lambda p: p[0] ** 3 / 3.0 - p[0] ** 2 / 2.0,
        lambda p: np.array([p[0] ** 2 - p[0]]),
        lambda p: np.array([[2.0 * p[0] - 1.0]]),
    )
    curve = profile(coordinate(function, [0.0], 0), [Z])
    assert curve.ends == ("reached", "higher")
    assert math.isnan(interval(curve, Z)[1])


class Broken:
    """A Gaussian that cannot be evaluated beyond a point."""

    def __init__(self, limit: float) -> None:
        self.limit = limit
        self.inner = gaussian([[1.0, 0.2], [0.2, 1.0]])

    def evaluate(self, psi: Vector, /) -> Evaluation:
        there = self.inner.evaluate(psi)
        if abs(psi[0]) <= self.limit:
            return there
        return Evaluation(math.nan, there.gradient, there.hessian, Status.INNER_FAILED)


def test_a_failure_on_the_way_is_told_and_a_near_one_is_walked_around() -> None:
    curve = profile(coordinate(Broken(1.0), [0.0, 0.0], 0), [Z])
    assert curve.ends == ("failed", "failed")
    assert np.isnan(interval(curve, Z)).all()
    assert abs(curve.c).max() > 0.99  # it went as far as it could
    curve = profile(coordinate(Broken(2.1), [0.0, 0.0], 0), [Z])
    assert curve.ends == ("reached", "reached")


@given(st.floats(-1.4, 1.4), st.floats(0.1, 3.0), st.integers(0, 10_000))
def test_polar_derivatives(alpha: float, s: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    A = rng.normal(size=(3, 3))
    b = rng.normal(size=3)
    function = Function(
        lambda x: b @ x - 0.5 * x @ A @ A.T @ x + x[0] * x[1] * x[2],
        lambda x: b - A @ A.T @ x + np.array([x[1] * x[2], x[0] * x[2], x[0] * x[1]]),
        lambda x: -A @ A.T + np.array([[0, x[2], x[1]], [x[2], 0, x[0]], [x[1], x[0], 0]]),
    )
    polar = Polar(function, 0, 2)
    phi = np.array([s, 0.7, alpha])
    there = polar.evaluate(phi)
    np.testing.assert_allclose(polar.phi(polar.psi(phi)), phi, atol=1e-12)
    h = 1e-5
    for k in range(3):
        step = h * np.eye(3)[k]
        up, down = polar.evaluate(phi + step), polar.evaluate(phi - step)
        assert (up.value - down.value) / (2 * h) == pytest.approx(there.gradient[k], abs=1e-6)
        slope = (up.gradient - down.gradient) / (2 * h)
        np.testing.assert_allclose(slope, there.hessian[k], atol=1e-6)


def test_without_slopes_interpolation_is_linear() -> None:
    curve = Curve(
        np.array([0.0, 1.0, 3.0]),
        np.array([-1.0, 0.0, 1.0]),
        np.array([np.nan, 1.0, np.nan]),
        ("boundary", "reached"),
    )
    assert value_at(curve, -0.5) == 0.5
    assert value_at(curve, 0.5) == 2.0
