"""Averages and their covariance, against dense algebra."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from predict.problems import (
    dense_effects,
    dense_modes,
    random_counts,
    random_model,
    random_rows,
    uncertainty,
)

from multilogit.margins.averages import average, stacked
from multilogit.predict.delta import ParameterCovariance
from multilogit.predict.tangent import predicted

CASES = [(1, [(5, 2)]), (2, [(4, 1), (3, 2)])]


@pytest.mark.parametrize("case", range(len(CASES)))
def test_conditional_averages(case: int) -> None:
    """Two averages with other weights, of crossed groups: Cov = M_ψ V M_ψ' + G H⁻¹ G'."""
    C, sizes = CASES[case]
    rng = np.random.default_rng(case)
    rows = random_rows(rng, 30, 2, sizes, C)
    counts, trials = random_counts(rng, rows.n, C)
    model, H = dense_modes(random_model(rng, rows, C), rows, counts, trials)
    model = replace(model, modes=uncertainty(model, rows, counts, trials))
    root = 0.2 * rng.normal(size=(model.size, model.size))
    parameters = ParameterCovariance.of(root @ root.T, model.beta.size)
    weights = rng.uniform(0.0, 2.0, size=(2, rows.n))
    made = [average(model, rows, w, "conditional", "response", parameters) for w in weights]
    found = stacked(made).covariance(model, parameters)

    tangent = predicted(model, rows, "conditional", "response")
    share = weights / weights.sum(axis=1, keepdims=True)
    value = np.einsum("mn,nk->mk", share, tangent.value).ravel()
    M = np.einsum("mn,nkd->mkd", share, tangent.by_psi).reshape(value.size, -1)
    pi = tangent.value
    J = np.einsum("nk,ke->nke", pi, np.eye(C + 1)) - pi[:, :, None] * pi[:, None, :]
    G = np.einsum("mn,nkc,ncu->mku", share, J[:, :, 1:], dense_effects(model, rows))
    G = G.reshape(value.size, -1)
    expected = M @ root @ root.T @ M.T + G @ np.linalg.inv(H) @ G.T
    np.testing.assert_allclose(stacked(made).value, value, rtol=1e-12)
    np.testing.assert_allclose(found, expected, rtol=1e-8, atol=1e-12)


def test_combinations_keep_derivatives() -> None:
    rng = np.random.default_rng(3)
    rows = random_rows(rng, 12, 2, [], 2)
    model = random_model(rng, rows, 2)
    parameters = ParameterCovariance.of(np.eye(model.size), model.beta.size)
    made = average(model, rows, np.ones(12), "population", "response", parameters)
    D = np.array([[1.0, -1.0, 0.0], [1.0, 1.0, 1.0]])
    both = made.combined(D)
    V = made.covariance(model, parameters)
    np.testing.assert_allclose(both.covariance(model, parameters), D @ V @ D.T, atol=1e-14)
    np.testing.assert_allclose(both.covariance(model, parameters)[1], 0.0, atol=1e-14)


def test_what_has_no_covariance_has_no_error() -> None:
    rng = np.random.default_rng(4)
    rows = random_rows(rng, 6, 2, [], 1)
    rows = replace(rows, x=(np.array([0.0, 0, 0, 1, 1, 1]), rows.x[1]))
    model = random_model(rng, rows, 1)
    parameters = ParameterCovariance.of(np.diag([np.nan, 1.0]), 2)
    first, last = np.repeat([1.0, 0.0], 3), np.repeat([0.0, 1.0], 3)
    made = [average(model, rows, w, "population", "link", parameters) for w in (first, last)]
    V = stacked(made).covariance(model, parameters)
    assert V[0, 0] > 0.0
    assert np.isnan(V[1]).all()
    assert np.isnan(V[:, 1]).all()
