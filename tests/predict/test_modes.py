"""The uncertainty of conditional modes, against dense algebra and finite differences."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from laplace_reference import central_differences
from predict.problems import (
    Array,
    at_psi,
    dense_effects,
    dense_modes,
    psi_of,
    random_counts,
    random_model,
    random_rows,
    uncertainty,
)

from multilogit.predict.delta import ParameterCovariance, standard_errors
from multilogit.predict.modes import FactorRows
from multilogit.predict.tangent import Model, Rows

CASES = [(1, [(5, 2)]), (2, [(4, 1), (3, 2)]), (3, [(4, 1)])]


def problem(case: int) -> tuple[Model, Rows, Array, Array, Array]:
    """A model at its modes, rows, counts, trials, H."""
    C, sizes = CASES[case]
    rng = np.random.default_rng(case)
    rows = random_rows(rng, 30, 2, sizes, C)
    counts, trials = random_counts(rng, rows.n, C)
    model, H = dense_modes(random_model(rng, rows, C), rows, counts, trials)
    return replace(model, modes=uncertainty(model, rows, counts, trials)), rows, counts, trials, H


@pytest.mark.parametrize("case", range(len(CASES)))
def test_precision_and_its_inverse(case: int) -> None:
    model, _, _, _, H = problem(case)
    modes = model.modes
    assert modes is not None
    dense = np.zeros_like(H)
    dense[modes.rows, modes.columns] = modes.values
    np.testing.assert_allclose(dense, np.tril(H), rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(modes.solve(H), np.eye(len(H)), atol=1e-9)
    inverse, q = np.linalg.inv(H), [f.q for f in model.factors]
    for f in range(len(q)):
        levels = np.arange(model.factors[f].n_levels, dtype=np.int32)
        g = len(q) - 1
        last = np.full_like(levels, 2)
        for k, block in enumerate(modes.cross(f, levels, g, last)):
            at, other = modes.starts[f] + k * q[f], modes.starts[g] + 2 * q[g]
            expected = inverse[at : at + q[f], other : other + q[g]]
            np.testing.assert_allclose(block, expected, atol=1e-10)


@pytest.mark.parametrize("case", range(len(CASES)))
def test_derivatives_of_the_modes(case: int) -> None:
    model, rows, counts, trials, _ = problem(case)
    assert model.modes is not None
    for f, found in enumerate(model.modes.derivatives):

        def modes(psi: Array, f: int = f) -> Array:
            return dense_modes(at_psi(model, psi), rows, counts, trials)[0].factors[f].modes

        numeric = np.moveaxis(central_differences(modes, psi_of(model), 1e-3), 0, -1)
        np.testing.assert_allclose(found, numeric, rtol=0, atol=2e-9)


@pytest.mark.parametrize("case", range(len(CASES)))
def test_standard_errors_against_dense_algebra(case: int) -> None:
    """Var η = D V D' + A H⁻¹ A', all effects of all factors at once."""
    model, rows, _, _, H = problem(case)
    assert model.modes is not None
    rng = np.random.default_rng(7)
    root = 0.2 * rng.normal(size=(model.size, model.size))
    V = root @ root.T
    covariance = ParameterCovariance.of(V, model.beta.size)
    value, error = standard_errors(model, rows, "conditional", "link", covariance)
    D = np.zeros((rows.n, model.n_logits, model.size))
    for c in range(model.n_logits):
        for j, column in enumerate(rows.x):
            D[:, c, c * len(rows.x) + j] = column
    for factor, mine, moving in zip(
        model.factors, rows.factors, model.modes.derivatives, strict=True
    ):
        z = mine.by_logit(factor.logits, model.n_logits)
        D += np.einsum("ncq,nqk->nck", z, moving[mine.codes])
    A = dense_effects(model, rows)
    variance = np.einsum("nck,kl,ncl->nc", D, V, D)
    variance += np.einsum("ncu,uv,ncv->nc", A, np.linalg.inv(H), A)
    np.testing.assert_allclose(error, np.sqrt(variance), rtol=1e-9)
    assert value.shape == error.shape == (rows.n, model.n_logits)


def test_a_level_not_seen_has_the_variance_of_the_population() -> None:
    model, rows, _, _, _ = problem(0)
    (mine,) = rows.factors
    unseen = replace(rows, factors=(FactorRows(mine.columns, np.full_like(mine.codes, -1)),))
    covariance = ParameterCovariance.of(np.zeros((model.size, model.size)), model.beta.size)
    _, error = standard_errors(model, unseen, "conditional", "link", covariance)
    z, Lambda = np.column_stack(mine.columns), model.factors[0].Lambda
    np.testing.assert_allclose(error[:, 0] ** 2, ((z @ Lambda) ** 2).sum(axis=1), rtol=1e-12)


def test_a_coefficient_without_covariance_has_no_standard_error_where_it_counts() -> None:
    covariance = ParameterCovariance.of(np.diag([np.nan, 2.0, np.nan]), 2)
    np.testing.assert_array_equal(covariance.undefined, [True, False, False])
    rows = Rows(2, (np.array([1.0, 0.0]), np.ones(2)))
    model = Model(np.zeros((1, 2)), (), None, 3)
    _, error = standard_errors(model, rows, "population", "link", covariance)
    np.testing.assert_array_equal(error[:, 0], [np.nan, np.sqrt(2.0)])
