"""Newton–Raphson on functions whose maxima are known, and every way of ending."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from multilogit.errors import OptionError, Status
from multilogit.evaluation import Evaluation, Matrix, Vector
from multilogit.newton import TraceRow, longest_step, maximise, newton_direction

NAN = math.nan


@dataclass
class Function:
    """An objective from a formula; remembers where it was evaluated."""

    formula: Callable[[Vector], tuple[float, Any, Any]]
    points: list[Vector] = field(default_factory=list)

    def evaluate(self, psi: Vector) -> Evaluation:
        self.points.append(psi.copy())
        value, gradient, hessian = self.formula(psi)
        return Evaluation(
            float(value), np.asarray(gradient, float), np.atleast_2d(np.asarray(hessian, float))
        )


def rosenbrock(psi: Vector) -> tuple[float, Any, Any]:
    x, y = psi
    value = -((1 - x) ** 2) - 100 * (y - x * x) ** 2
    gradient = [2 * (1 - x) + 400 * x * (y - x * x), -200 * (y - x * x)]
    hessian = [[-2 + 400 * (y - 3 * x * x), 400 * x], [400 * x, -200.0]]
    return value, gradient, hessian


def arctan(psi: Vector) -> tuple[float, Any, Any]:
    """−∫ atan: concave, and the undamped Newton iteration diverges beyond 1.39."""
    x = psi[0]
    return -(x * math.atan(x) - 0.5 * math.log1p(x * x)), [-math.atan(x)], -1 / (1 + x * x)


def double_well(psi: Vector) -> tuple[float, Any, Any]:
    """½x² − ¼x⁴ − ½y²: a saddle at 0, maxima ¼ at (±1, 0)."""
    x, y = psi
    hessian = np.diag([1 - 3 * x * x, -1.0])
    return x * x / 2 - x**4 / 4 - y * y / 2, [x - x**3, -y], hessian


@dataclass
class Logistic:
    """A dense logistic log-likelihood, optionally in coordinates ψ with β = Tψ."""

    x: Matrix
    y: Vector

    def evaluate(self, beta: Vector) -> Evaluation:
        eta = self.x @ beta
        pi = 0.5 * (1 + np.tanh(0.5 * eta))
        value = float(self.y @ eta - np.logaddexp(0, eta).sum())
        weight = pi * (1 - pi)
        return Evaluation(value, self.x.T @ (self.y - pi), -(self.x.T * weight) @ self.x)


def logistic(seed: int, n: int = 60, p: int = 3) -> Logistic:
    rng = np.random.default_rng(seed)
    x = np.column_stack([np.ones(n), rng.normal(size=(n, p - 1))])
    y = (rng.random(n) < 1 / (1 + np.exp(-x @ rng.normal(size=p)))).astype(float)
    y[:4], x[:4, 1:] = [0, 1, 0, 1], 0.0  # overlap: a finite maximum
    return Logistic(x, y)


# -- convergence ---------------------------------------------------------------------------


@given(st.integers(1, 8), st.integers(0, 2**32 - 1))
@settings(max_examples=30, deadline=None)
def test_quadratic_takes_one_step(d: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    root = rng.normal(size=(d, d))
    a, centre = root @ root.T + np.eye(d), rng.normal(size=d)  # curvature 1 at least
    formula = Function(lambda x: (-0.5 * (x - centre) @ a @ (x - centre), -a @ (x - centre), -a))
    solution = maximise(formula, rng.normal(size=d))
    assert solution.converged
    assert solution.n_evaluations <= 3  # start, the step, at most one polish
    np.testing.assert_allclose(solution.psi, centre, atol=1e-9)


@pytest.mark.parametrize("start", [(3.0, 1.0), (2.0, 0.5), (1.5, 0.2), (0.3, 2.0)])
def test_a_level_direction_is_no_way_to_infinity(start: tuple[float, float]) -> None:
    """Curvature along the second axis dies out at the maximum; what is left there is rounding."""

    def level(x: Any) -> tuple[Any, Any, Any]:
        d = x[0] - 1.0
        curvature = np.diag([1.0 + 3.0 * d * d, d * d + 3e-14])
        return -0.5 * d * d - 0.25 * d**4, np.array([-d - d**3, 1.5e-14]), -curvature

    solution = maximise(Function(level), np.array(start))
    assert solution.status is Status.CONVERGED
    assert solution.psi[0] == pytest.approx(1.0, abs=1e-6)


def test_rosenbrock() -> None:
    solution = maximise(Function(rosenbrock), np.array([-1.2, 1.0]))
    assert solution.converged
    np.testing.assert_allclose(solution.psi, [1, 1], atol=1e-9)
    assert len(solution.trace) < 30
    objectives = [row.objective for row in solution.trace]
    assert objectives == sorted(objectives)


@pytest.mark.parametrize("start", [1.5, 3.0, 50.0, -1e6])
def test_overshooting_newton_steps_are_halved(start: float) -> None:
    undamped = start - (1 + start**2) * math.atan(start)
    assert abs(undamped) > abs(start)
    solution = maximise(Function(arctan), np.array([start]))
    assert solution.converged
    assert any(row.step < 1 for row in solution.trace)
    assert abs(solution.psi[0]) <= 1e-7  # λ = |x| here


def test_logistic_regression_from_a_far_start() -> None:
    objective = logistic(1)
    near = maximise(objective, np.zeros(3))
    far = maximise(objective, np.array([6.0, -8.0, 9.0]))
    assert near.converged
    assert far.converged
    np.testing.assert_allclose(far.psi, near.psi, atol=1e-8)
    assert any(row.step < 1 for row in far.trace)


def test_one_evaluation_per_iteration_when_full_steps_are_taken() -> None:
    objective = logistic(2)
    solution = maximise(objective, np.zeros(3))
    assert all(row.step == 1.0 for row in solution.trace[:-1])
    assert solution.n_evaluations == len(solution.trace)
    again = objective.evaluate(solution.psi)
    assert again.value == solution.evaluation.value
    np.testing.assert_array_equal(again.gradient, solution.evaluation.gradient)


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=40, deadline=None)
def test_iterates_do_not_depend_on_the_coordinates(seed: int) -> None:
    rng = np.random.default_rng(seed)
    objective = logistic(seed)
    scales = np.diag(10.0 ** rng.uniform(-4, 4, size=3))
    transform = scales @ (rng.normal(size=(3, 3)) + 3 * np.eye(3))
    if np.linalg.cond(transform @ np.linalg.inv(scales)) > 1e3:
        return
    start = rng.normal(size=3)
    plain = maximise(objective, start)
    other = maximise(
        Logistic(objective.x @ transform, objective.y), np.linalg.solve(transform, start)
    )
    rows = [(a, b) for a, b in zip(plain.trace, other.trace, strict=False)]
    for a, b in rows:
        if a.decrement < 1e-4:  # from here on, rounding decides when to stop
            break
        assert a.objective == pytest.approx(b.objective, rel=1e-8)
        assert a.decrement == pytest.approx(b.decrement, rel=1e-4)
        assert a.step == pytest.approx(b.step, rel=1e-6)
    np.testing.assert_allclose(transform @ other.psi, plain.psi, rtol=1e-5, atol=1e-6)


# -- where −H is not positive definite --------------------------------------------------------


def test_start_without_concavity_needs_a_ridge() -> None:
    """Cauchy density: −H < 0 beyond |x| = 1, where plain Newton runs away."""

    def cauchy(psi: Vector) -> tuple[float, Any, Any]:
        x = psi - np.array([1.0, -2.0])
        s = 1 + x @ x
        return -math.log(s), -2 * x / s, -2 * np.eye(2) / s + 4 * np.outer(x, x) / s**2

    solution = maximise(Function(cauchy), np.array([30.0, 40.0]))
    assert solution.converged
    assert solution.trace[0].ridge > 0
    assert solution.trace[-1].ridge == 0
    np.testing.assert_allclose(solution.psi, [1, -2], atol=1e-8)


@pytest.mark.parametrize("start", [[0.0, 0.0], [0.0, 0.7], [1e-9, 0.3], [-1e-12, 0.0]])
def test_saddle_is_left(start: list[float]) -> None:
    solution = maximise(Function(double_well), np.array(start))
    assert solution.converged
    assert solution.evaluation.value == pytest.approx(0.25, abs=1e-14)
    assert len(solution.trace) < 15


def test_saddle_with_a_vanishing_diagonal_is_left() -> None:
    def formula(psi: Vector) -> tuple[float, Any, Any]:
        x, y = psi
        s = x * x + y * y
        gradient = [y - x * s, x - y * s]
        hessian = [[-s - 2 * x * x, 1 - 2 * x * y], [1 - 2 * x * y, -s - 2 * y * y]]
        return x * y - s * s / 4, gradient, hessian

    solution = maximise(Function(formula), np.zeros(2))
    assert solution.converged
    np.testing.assert_allclose(np.abs(solution.psi), math.sqrt(0.5), atol=1e-8)


@given(st.integers(0, 2**32 - 1), st.floats(-6, 6))
@settings(max_examples=40, deadline=None)
def test_ridge_direction_ascends_whatever_the_hessian(seed: int, power: float) -> None:
    rng = np.random.default_rng(seed)
    root = rng.normal(size=(4, 4))
    scale = np.diag([1.0, 10.0**power, 1.0, 1.0])
    hessian = scale @ (root + root.T) @ scale
    gradient = scale @ rng.normal(size=4)
    direction = newton_direction(gradient, hessian)
    assert gradient @ direction.p > 0
    assert direction.slope == pytest.approx(gradient @ direction.p, rel=1e-8)
    definite = np.linalg.eigvalsh(-(root + root.T)).min() > 1e-12
    assert (direction.ridge == 0) == definite


# -- precision of the optimum ----------------------------------------------------------------


@pytest.mark.parametrize("size", [1.0, 200.0, 1e6, 1e-6])
def test_gradient_at_the_optimum_whatever_the_size_of_a_column(size: float) -> None:
    objective = logistic(5, n=2000)
    objective.x[:, 2] *= size
    solution = maximise(objective, np.zeros(3))
    assert solution.converged
    relative = np.abs(solution.evaluation.gradient) / np.array([1, 1, size])
    assert relative.max() < 1e-7
    if size <= 200.0:
        assert np.abs(solution.evaluation.gradient).max() < 1e-6


@pytest.mark.parametrize("constant", [0.0, 1e6, 1e12, -1e15])
def test_rounding_of_the_value_does_not_stop_convergence(constant: float) -> None:
    """A large constant hides the rise of Q near the maximum; the gradient still sees it."""
    inner = logistic(6)

    def formula(psi: Vector) -> tuple[float, Any, Any]:
        evaluation = inner.evaluate(psi)
        return evaluation.value + constant, evaluation.gradient, evaluation.hessian

    solution = maximise(Function(formula), np.full(3, 0.5))
    assert solution.converged
    assert np.abs(solution.evaluation.gradient).max() < 1e-6


def test_gradient_noise_below_the_rounding_of_the_value_counts_as_converged() -> None:
    rng = np.random.default_rng(8)

    def formula(psi: Vector) -> tuple[float, Any, Any]:
        return 1e12 - 50 * psi @ psi, -100 * psi + 1e-4 * rng.choice([-1, 1]), -100 * np.eye(1)

    solution = maximise(Function(formula), np.array([3.0]))
    assert solution.converged
    assert abs(solution.psi[0]) < 1e-5


def noisy(slope: float, noise: float) -> Function:
    """−½(x − slope)²: it seems to fall by ``noise`` wherever one goes from 0."""

    def formula(psi: Vector) -> tuple[float, Any, Any]:
        x = psi[0]
        fall = noise * (1.0 + 0.5 * math.sin(1e9 * x)) if x != 0.0 else 0.0
        return -1000.0 - 0.5 * (x - slope) ** 2 - fall, [slope - x], -1.0

    return Function(formula)


@pytest.mark.parametrize(
    ("slope", "noise", "status"),
    [
        (1e-4, 2e-8, Status.CONVERGED),  # λ² = 1e-8
        (2e-4, 2e-8, Status.CONVERGED),
        (2e-3, 1e-5, Status.LINE_SEARCH_FAILED),  # too far away
        (5e-4, 5e-6, Status.LINE_SEARCH_FAILED),  # too noisy for |Q| = 1000
    ],
)
def test_noise_that_hides_the_last_rise(slope: float, noise: float, status: Status) -> None:
    """As of a predictor shifted by 2000: Q has an error that no shorter step escapes."""
    solution = maximise(noisy(slope, noise), np.zeros(1))
    assert solution.status is status
    assert abs(solution.psi[0] - slope) <= slope


@pytest.mark.parametrize("noise", [1e-12, 1e-10, 1e-8])
def test_next_to_a_maximum_the_gradient_decides_not_the_noise(noise: float) -> None:
    def formula(psi: Vector) -> tuple[float, Any, Any]:
        x = psi[0]
        return -20.0 - math.cosh(x) + noise * math.sin(1e9 * x), [-math.sinh(x)], -math.cosh(x)

    solution = maximise(Function(formula), np.array([0.9]))
    assert solution.converged
    assert abs(solution.psi[0]) < 1e-8  # quadratic, to the rounding of the gradient


@pytest.mark.parametrize("factor", [-1.0, -30.0])
def test_a_wrong_gradient_near_the_maximum_is_not_noise(factor: float) -> None:
    liar = Function(lambda x: (factor * (x[0] - 1.0) - 1000.0, [1e-4], -1.0))
    assert maximise(liar, np.array([1.0])).status is Status.LINE_SEARCH_FAILED


# -- points that cannot be evaluated ---------------------------------------------------------


def test_steps_into_nan_are_shortened() -> None:
    """log x − x at 2.5: the Newton step lands at −1.25, where there is no logarithm."""

    def formula(psi: Vector) -> tuple[float, Any, Any]:
        x = psi[0]
        if x <= 0:
            return NAN, [NAN], NAN
        return math.log(x) - x, [1 / x - 1], -1 / x**2

    solution = maximise(Function(formula), np.array([2.5]))
    assert solution.converged
    assert solution.trace[0].step == 0.5
    assert solution.psi[0] == pytest.approx(1, abs=1e-8)


@pytest.mark.parametrize("bad", ["value", "gradient", "hessian"])
@pytest.mark.parametrize("number", [NAN, math.inf, -math.inf])
def test_start_that_is_not_finite(bad: str, number: float) -> None:
    parts: dict[str, Any] = {"value": 1.0, "gradient": np.ones(2), "hessian": -np.eye(2)}
    parts[bad] = parts[bad] * 0 + number
    evaluation = Evaluation(**parts)

    class Constant:
        def evaluate(self, psi: Vector) -> Evaluation:
            return evaluation

    with np.errstate(invalid="ignore"):
        solution = maximise(Constant(), np.zeros(2))
    assert solution.status is Status.NOT_FINITE
    assert solution.trace == ()


def failing_beyond(limit: float) -> type:
    class Failing:
        def evaluate(self, psi: Vector) -> Evaluation:
            status = Status.INNER_FAILED if abs(psi[0]) > limit else Status.OK
            return Evaluation(-0.5 * (psi[0] - 3) ** 2, 3 - psi, -np.eye(1), status)

    return Failing


def test_inner_failure() -> None:
    assert maximise(failing_beyond(0.5)(), np.array([1.0])).status is Status.INNER_FAILED
    stuck = maximise(failing_beyond(1.0)(), np.array([1.0]))
    assert stuck.status is Status.INNER_FAILED
    assert stuck.psi[0] == 1.0
    assert stuck.evaluation.status is Status.OK
    assert maximise(failing_beyond(4.0)(), np.array([-3.9])).converged


# -- the other ways of ending ----------------------------------------------------------------


def test_iteration_limit() -> None:
    solution = maximise(Function(rosenbrock), np.array([-1.2, 1.0]), max_iterations=3)
    assert solution.status is Status.MAX_ITERATIONS
    assert not solution.converged
    assert len(solution.trace) == 4
    assert math.isnan(solution.trace[-1].step)
    assert solution.trace[-1].objective == solution.evaluation.value


def test_a_wrong_gradient_fails_the_line_search() -> None:
    liar = Function(lambda x: (-(x[0] ** 2), [2 * x[0] + 1], -2.0))
    solution = maximise(liar, np.array([2.0]))
    assert solution.status is Status.LINE_SEARCH_FAILED
    assert solution.psi[0] == 2.0


def test_a_flat_direction_is_not_called_a_maximum() -> None:
    hessian = -np.ones((2, 2))
    ridge = Function(lambda x: (-0.5 * x.sum() ** 2, -np.full(2, x.sum()), hessian))
    solution = maximise(ridge, np.array([1.0, 2.0]))
    assert solution.status is Status.LINE_SEARCH_FAILED
    assert abs(solution.psi.sum()) < 1e-6


def test_infinity_is_recognised_where_rounding_hides_what_information_is_left() -> None:
    # Q = −exp(−a) − ½K(b − a)²: H is singular to rounding when λ² = exp(−a) is 10⁻¹⁴ K.
    k = 1e4

    def q(psi: Vector) -> tuple[float, list[float], list[list[float]]]:
        (a, b), e = psi, math.exp(-psi[0])
        gradient = [e + k * (b - a), -k * (b - a)]
        return -e - 0.5 * k * (b - a) ** 2, gradient, [[-e - k, k], [k, -k]]

    solution = maximise(Function(q), np.zeros(2))
    assert solution.status is Status.DIVERGING
    assert solution.trace[-1].ridge > 0.0
    assert solution.trace[-2].decrement > 1e-6


@pytest.mark.parametrize("cap", [1.0, 0.3, 0.1])
def test_infinity_is_recognised_in_steps_of_any_length(cap: float) -> None:
    def q(x: Vector) -> tuple[float, list[float], list[list[float]]]:
        e = math.exp(-x[0])
        return -e, [e], [[-e]]

    solution = maximise(Function(q), np.zeros(1), max_change=np.array([cap]), max_iterations=500)
    assert solution.status is Status.DIVERGING


@pytest.mark.parametrize("start", [0.0, 2.0])
def test_separation_diverges(start: float) -> None:
    x = np.column_stack([np.ones(6), [-3.0, -2, -1, 1, 2, 3]])
    solution = maximise(Logistic(x, np.array([0.0, 0, 0, 1, 1, 1])), np.full(2, start))
    assert solution.status is Status.DIVERGING
    assert solution.psi[1] > 10


def test_degenerate_maximum_is_a_maximum() -> None:
    solution = maximise(
        Function(lambda x: (-(x[0] ** 4), [-4 * x[0] ** 3], -12 * x[0] ** 2)), [1.0]
    )
    assert solution.converged
    assert abs(solution.psi[0]) < 1e-3


@pytest.mark.parametrize("where", ["evaluate", "callback"])
def test_interrupt_returns_the_last_accepted_point(where: str) -> None:
    seen: list[TraceRow] = []

    def formula(psi: Vector) -> tuple[float, Any, Any]:
        if where == "evaluate" and len(objective.points) == 4:
            raise KeyboardInterrupt
        return rosenbrock(psi)

    def callback(row: TraceRow) -> None:
        seen.append(row)
        if where == "callback" and row.iteration == 2:
            raise KeyboardInterrupt

    objective = Function(formula)
    solution = maximise(objective, np.array([-1.2, 1.0]), callback=callback)
    assert solution.status is Status.INTERRUPTED
    assert solution.evaluation.value == rosenbrock(solution.psi)[0]
    assert math.isnan(solution.trace[-1].step)
    assert solution.trace[-1].objective == solution.evaluation.value
    assert solution.trace[: len(seen)] == tuple(seen)


def test_interrupt_before_the_first_evaluation_is_raised() -> None:
    class Interrupted:
        def evaluate(self, psi: Vector) -> Evaluation:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        maximise(Interrupted(), np.zeros(1))


# -- options ---------------------------------------------------------------------------------


def test_caps_bound_every_change() -> None:
    caps = np.array([0.05, np.inf, 0.5])
    objective = logistic(9)
    points: list[Vector] = [np.zeros(3)]
    solution = maximise(
        objective,
        points[0],
        max_change=caps,
        recondition=lambda psi: points.append(psi.copy()),
    )
    assert solution.converged
    changes = np.abs(np.diff(points, axis=0))
    assert (changes <= caps * (1 + 1e-12)).all()
    assert changes[0, 0] == pytest.approx(0.05) or changes[0, 2] == pytest.approx(0.5)
    np.testing.assert_allclose(solution.psi, maximise(objective, points[0]).psi, atol=1e-8)


def test_recondition_restates_the_objective() -> None:
    plain = logistic(10)
    order = [2, 0, 1]
    swapped = Logistic(plain.x[:, order], plain.y)
    calls: list[int] = []

    def swap_once(psi: Vector) -> tuple[Logistic, Vector] | None:
        calls.append(1)
        return (swapped, psi[order]) if len(calls) == 2 else None

    expected = maximise(plain, np.zeros(3))
    solution = maximise(plain, np.zeros(3), recondition=swap_once)
    assert solution.converged
    assert solution.n_evaluations == expected.n_evaluations + 1
    np.testing.assert_allclose(solution.psi, expected.psi[order], atol=1e-9)


def test_caps_follow_a_restated_objective() -> None:
    plain = logistic(10)
    order = [2, 0, 1]
    swapped = Logistic(plain.x[:, order], plain.y)
    caps = np.array([0.04, np.inf, np.inf])  # of the first parameter, wherever it stands
    seen: list[Vector] = []

    def swap_once(psi: Vector) -> tuple[Logistic, Vector] | None:
        seen.append(psi.copy())
        return (swapped, psi[order]) if len(seen) == 1 else None

    maximise(
        plain,
        np.zeros(3),
        max_change=lambda _, p: longest_step(p, caps[order] if seen else caps),
        recondition=swap_once,
    )
    steps = np.diff([seen[0][order], *seen[1:]], axis=0)
    assert np.abs(steps[:, 1]).max() == pytest.approx(0.04)
    assert np.abs(steps[:, 0]).max() > 0.04


def test_trace_states_the_steps() -> None:
    solution = maximise(Function(rosenbrock), np.array([-1.2, 1.0]))
    first = solution.trace[0]
    assert [row.iteration for row in solution.trace] == list(range(len(solution.trace)))
    assert first.objective == pytest.approx(-24.2)
    assert first.gradient_norm == pytest.approx(215.6)
    gradient, hessian = (np.array(part) for part in rosenbrock(np.array([-1.2, 1.0]))[1:])
    p = np.linalg.solve(-hessian, gradient)
    assert first.decrement == pytest.approx(math.sqrt(gradient @ p))
    assert first.max_change == pytest.approx(first.step * np.abs(p).max())


def test_no_parameters() -> None:
    solution = maximise(Function(lambda x: (-1.5, np.zeros(0), np.zeros((0, 0)))), np.zeros(0))
    assert solution.converged
    assert solution.evaluation.value == -1.5


def test_bad_options() -> None:
    with pytest.raises(OptionError, match="start"):
        maximise(Function(rosenbrock), np.array([NAN, 1.0]))
    with pytest.raises(OptionError, match="max_change"):
        maximise(Function(rosenbrock), np.zeros(2), max_change=np.array([1.0, 0.0]))


def test_start_is_not_modified() -> None:
    start = np.array([-1.2, 1.0])
    maximise(Function(rosenbrock), start)
    np.testing.assert_array_equal(start, [-1.2, 1.0])
