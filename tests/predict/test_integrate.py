"""Integrals over normal random effects, against brute force."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.special import expit

from multilogit.errors import OptionError
from multilogit.predict.integrate import expected_probabilities, moments, rule_for


@pytest.mark.parametrize("sd", [0.0, 0.01, 0.6, 2.0, 5.0, 40.0])
def test_one_logit_against_adaptive_integration(sd: float) -> None:
    eta = np.array([-25.0, -6.0, -1.0, 0.0, 0.3, 9.0])

    def exact(centre: float) -> float:
        def integrand(t: float) -> float:
            return float(expit(centre + sd * t) * np.exp(-0.5 * t * t) / np.sqrt(2.0 * np.pi))

        steep = [] if sd == 0.0 else [float(np.clip(-centre / sd, -12.0, 12.0))]
        return float(quad(integrand, -13, 13, points=[0.0, *steep], limit=800, epsabs=1e-14)[0])

    found = expected_probabilities(eta[:, None], np.full((6, 1, 1), sd))
    np.testing.assert_allclose(found[:, 1], [exact(e) for e in eta], rtol=0, atol=2e-14)
    np.testing.assert_allclose(found.sum(axis=1), 1.0, rtol=0, atol=1e-14)


@pytest.mark.parametrize(
    ("C", "sd", "points", "error"),
    [(2, 1.5, 151, 1e-12), (2, 5.0, 501, 1e-12), (3, 1.0, 81, 1e-9), (4, 1.0, 31, 1e-7)],
)
def test_several_logits_against_a_dense_grid(C: int, sd: float, points: int, error: float) -> None:
    rng = np.random.default_rng(C)
    R = np.tril(rng.normal(size=(2, C, C)))
    R *= sd / np.sqrt((R**2).sum(axis=2, keepdims=True))
    eta = rng.normal(size=(2, C))
    axis, step = np.linspace(-9.0, 9.0, points, retstep=True)
    t = np.stack(np.meshgrid(*[axis] * C, indexing="ij"), axis=-1).reshape(-1, C)
    density = np.exp(-0.5 * (t**2).sum(axis=1)) * (step / np.sqrt(2.0 * np.pi)) ** C
    found = expected_probabilities(eta, R)
    for row in range(2):
        odds = np.exp(np.column_stack([np.zeros(len(t)), eta[row] + t @ R[row].T]))
        brute = density @ (odds / odds.sum(axis=1, keepdims=True))
        np.testing.assert_allclose(found[row], brute, rtol=0, atol=error)
        np.testing.assert_allclose(moments(eta, R).plain[0, row], brute, rtol=0, atol=error)


def test_rows_of_one_rule_do_not_disturb_each_other() -> None:
    eta, sd = np.array([[0.4], [-2.0]]), np.array([0.3, 20.0])
    together = expected_probabilities(eta, sd[:, None, None])
    for k in range(2):
        alone = expected_probabilities(eta[k : k + 1], sd[k].reshape(1, 1, 1))
        np.testing.assert_allclose(together[k], alone[0], rtol=0, atol=1e-14)


def test_an_integral_that_is_out_of_reach_is_refused() -> None:
    with pytest.raises(OptionError, match="of 6 logits needs"):
        rule_for(np.broadcast_to(np.diag(np.full(6, 30.0)), (1, 6, 6)))
