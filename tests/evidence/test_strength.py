"""The search for the strength, on curves that are known and on data."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from multilogit.errors import OptionError
from multilogit.evaluation import Evaluation
from multilogit.evidence.importance import LogMean
from multilogit.evidence.leave_out import leave_one_out
from multilogit.evidence.strength import (
    Mode,
    Score,
    choose_strength,
    choose_strength_cv,
    laplace_evidence,
)

HALF_LOG_2PI = 0.5 * math.log(2.0 * math.pi)


def test_laplace_is_exact_for_a_gaussian():
    precision = np.array([[4.0, 1.0], [1.0, 100.0]])
    evaluation = Evaluation(-3.0, np.zeros(2), -precision)
    exact = -3.0 + 2.0 * HALF_LOG_2PI - 0.5 * np.linalg.slogdet(precision)[1]
    assert laplace_evidence(evaluation) == pytest.approx(exact, abs=1e-13)
    only_first = laplace_evidence(evaluation, np.array([True, False]))
    assert only_first == pytest.approx(-3.0 + HALF_LOG_2PI - 0.5 * math.log(4.0))


@pytest.mark.parametrize("hessian", [np.diag([-1.0, 0.0]), np.diag([-1.0, 2.0]), [[np.nan]]])
def test_laplace_of_what_is_no_maximum_is_nan(hessian):
    assert math.isnan(laplace_evidence(Evaluation(0.0, np.zeros(2), np.asarray(hessian))))


class Curve:
    """fit_at of a made-up objective: log evidence f(log κ) + log prior, ψ = log κ."""

    def __init__(self, f, fails=lambda x: False):
        self.f, self.fails = f, fails
        self.starts: list[tuple[float, float | None]] = []

    def fit_at(self, kappa, start):
        x = math.log(kappa)
        self.starts.append((x, None if start is None else float(start[0])))
        evaluation = Evaluation(self.f(x) - HALF_LOG_2PI, np.zeros(1), -np.eye(1))
        return Mode(np.array([x]), evaluation, converged=not self.fails(x), fit=kappa)

    def choose(self, centre=4.0, bounds=(0.4, 400.0)):
        return choose_strength(
            self.fit_at, lambda kappa: LogMean(0.0, 0.01, 900.0), centre=centre, bounds=bounds
        )


@given(st.floats(-1.8, 4.0), st.floats(0.05, 10.0), st.floats(0.0, 1.0))
def test_the_maximum_of_a_smooth_curve_is_found_in_few_fits(at, sharpness, skew):
    def f(x):
        t = x - at
        return -sharpness * (np.exp(skew * t) - 1.0 - skew * t if skew > 0.1 else 0.5 * t * t)

    made = Curve(f)
    curve, mode = made.choose()
    grid = np.linspace(math.log(0.4), math.log(400.0), 20_001)
    objective = np.array([f(x) for x in grid]) - 0.5 * (grid - math.log(4.0)) ** 2
    reached = f(math.log(curve.chosen)) - 0.5 * math.log(curve.chosen / 4.0) ** 2
    assert curve.n_fits <= 10
    assert objective.max() - reached < 0.02
    assert mode.fit == pytest.approx(curve.chosen)
    assert (np.diff(curve.kappa) > 0.0).all()
    np.testing.assert_allclose(
        curve.objective - curve.score,
        -0.5 * np.log(curve.kappa / 4.0) ** 2 - HALF_LOG_2PI,
        atol=1e-12,
    )


@pytest.mark.parametrize(
    ("slope", "status", "kappa"), [(9.0, "upper bound", 400.0), (-9.0, "lower bound", 0.4)]
)
def test_bounds_are_reached_reported_and_kept(slope, status, kappa):
    curve, _ = Curve(lambda x: slope * x).choose()
    assert curve.status == status
    assert curve.chosen == pytest.approx(kappa)
    assert [d.code for d in curve.diagnostics()] == ["strength-at-bound"]
    assert curve.kappa.min() >= 0.4 * (1 - 1e-12)
    assert curve.kappa.max() <= 400.0 * (1 + 1e-12)


def test_an_interior_maximum_has_nothing_to_report():
    curve, _ = Curve(lambda x: -((x - 2.0) ** 2)).choose()
    assert curve.status == "interior"
    assert curve.diagnostics() == ()


def test_fits_start_from_the_line_through_their_neighbours():
    made = Curve(lambda x: -2.0 * (x - 2.2) ** 2)
    made.choose()
    assert made.starts[0][1] is None
    for x, start in made.starts[3:]:  # ψ = log κ is a line: the start is the answer
        assert start == pytest.approx(x, abs=1e-9)


def test_strengths_where_the_fit_fails_are_passed_by():
    curve, _ = Curve(lambda x: x, fails=lambda x: x > 2.0).choose()
    assert math.log(curve.chosen) <= 2.0
    assert np.isnan(curve.score[np.log(curve.kappa) > 2.0]).all()
    assert curve.status == "interior"
    nowhere, _ = Curve(lambda x: x, fails=lambda x: True).choose()
    assert nowhere.status == "failed"
    assert [d.severity for d in nowhere.diagnostics()] == ["error"]


def test_noise_of_the_constant_is_reported():
    made = Curve(lambda x: -((x - 2.0) ** 2))
    curve, _ = choose_strength(
        made.fit_at, lambda kappa: LogMean(0.0, 0.6, 3.0), centre=4.0, bounds=(0.4, 400.0)
    )
    assert [d.code for d in curve.diagnostics()] == ["evidence-noisy"]
    curve, _ = choose_strength(
        made.fit_at,
        lambda kappa: LogMean(0.0, 0.01, 900.0),
        centre=4.0,
        bounds=(0.4, 400.0),
        design_error=lambda kappa: (-0.5, 0.1),
    )
    assert curve.design_error == (-0.5, 0.1)
    assert [d.code for d in curve.diagnostics()] == ["evidence-noisy"]


@pytest.mark.parametrize("bounds", [(0.0, 1.0), (2.0, 1.0), (1.0, math.inf)])
def test_impossible_bounds_are_refused(bounds):
    with pytest.raises(OptionError, match="least < greatest"):
        Curve(lambda x: x).choose(bounds=bounds)


def auto(model, centre, n):
    bounds = (centre / 10.0, n)
    normaliser = model.normaliser(bounds)
    return choose_strength(model.fit_at, normaliser.at, centre=centre, bounds=bounds)


@pytest.mark.parametrize("reference", ["tempered", "marginal", "uniform"])
def test_endometrial_strength_is_between_two_and_eight(endometrial, make_model, reference):
    x, y = endometrial
    curve, mode = auto(make_model(x, y, reference=reference), 4.0, 79.0)
    assert 2.0 < curve.chosen < 8.0
    assert curve.status == "interior"
    assert curve.n_fits <= 10
    assert mode.converged


def cv(model, y, centre, n):
    def score(mode):
        information = -mode.evaluation.hessian
        return leave_one_out(model.columns, y, np.ones(y.size), mode.psi, information).score

    return choose_strength_cv(model.fit_at, score, centre=centre, bounds=(centre / 10.0, n))


@pytest.mark.parametrize("seed", range(4))
def test_complete_separation_does_not_send_the_evidence_to_zero(make_model, seed):
    rng = np.random.default_rng(seed)
    x = np.column_stack([np.ones(60), rng.standard_normal((60, 3))])
    y = (x[:, 1] > 0.2).astype(float)
    curve, mode = auto(make_model(x, y), 4.0, 60.0)
    assert curve.status == "interior"
    assert 0.4 < curve.chosen < 4.0  # weak: there is an effect
    assert mode.converged
    assert cv(make_model(x, y), y, 4.0, 60.0)[0].chosen < 2.0


@pytest.mark.parametrize("seed", range(4))
def test_null_effects_do_not_send_the_evidence_to_infinity(make_model, seed):
    rng = np.random.default_rng(seed)
    x = np.column_stack([np.ones(200), rng.standard_normal((200, 3))])
    curve, _ = auto(make_model(x, rng.random(200) < 0.3), 4.0, 200.0)
    assert curve.status == "interior"
    assert 4.0 < curve.chosen < 100.0


def test_three_categories(make_model):
    rng = np.random.default_rng(2)
    x = np.column_stack([np.ones(90), rng.standard_normal((90, 2))])
    eta = np.column_stack([np.zeros(90), x @ [0.2, 1.5, 0.0], x @ [-0.3, 0.0, -1.0]])
    category = (eta + rng.gumbel(size=(90, 3))).argmax(axis=1)
    counts = np.column_stack([category == 1, category == 2]).astype(float)
    curve, mode = auto(make_model(x, counts), 4.5, 90.0)
    assert curve.status == "interior"
    assert mode.psi.size == 6


def test_cross_validation_finds_the_interior_maximum_of_bumpy_curves():
    def f(x):
        return -((x - 2.0) ** 2) + 0.8 * math.exp(-20.0 * (x - 0.2) ** 2)

    made = Curve(f)
    curve, _ = choose_strength_cv(
        made.fit_at,
        lambda mode: Score(f(float(mode.psi[0])), 1.0),
        centre=4.0,
        bounds=(0.4, 400.0),
    )
    assert curve.criterion == "cv"
    assert curve.chosen == pytest.approx(math.exp(2.0), rel=0.05)
    assert curve.n_fits <= 10
