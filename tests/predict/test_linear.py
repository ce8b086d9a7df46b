"""Predictions are pure functions of arrays."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit, softmax

from multilogit.predict import fixed_predictor, most_probable, probabilities, random_predictor

seeds = st.integers(0, 2**32 - 1)


@given(seeds, st.integers(1, 4), st.integers(0, 3))
def test_fixed_predictor_is_the_matrix_product(seed: int, C: int, p: int) -> None:
    rng = np.random.default_rng(seed)
    X, beta, offset = rng.normal(size=(6, p)), rng.normal(size=(C, p)), rng.normal(size=6)
    eta = fixed_predictor(list(X.T), beta, offset, 6)
    np.testing.assert_allclose(eta, X @ beta.T + offset[:, None], rtol=1e-12, atol=1e-12)


def test_random_predictor_takes_unknown_levels_at_zero() -> None:
    modes = np.array([[1.0, 10.0], [2.0, 20.0]])
    columns = [np.ones(4), np.array([0.0, 1.0, 2.0, 3.0])]
    codes = np.array([0, 1, -1, 0], dtype=np.int32)
    np.testing.assert_array_equal(random_predictor(columns, codes, modes), [1.0, 22.0, 0.0, 31.0])


@given(seeds, st.integers(1, 4), st.floats(0.1, 1000.0))
def test_probabilities_are_the_softmax(seed: int, C: int, scale: float) -> None:
    eta = np.random.default_rng(seed).normal(size=(5, C)) * scale
    pi = probabilities(eta)
    np.testing.assert_allclose(
        pi, softmax(np.column_stack([np.zeros(5), eta]), axis=1), rtol=1e-10, atol=1e-300
    )
    if C == 1:
        np.testing.assert_array_equal(pi[:, 1], expit(eta[:, 0]))
    winners = most_probable(eta, [str(k) for k in range(C + 1)])
    np.testing.assert_array_equal(winners.astype(int), pi.argmax(axis=1))


def test_missing_predictors_stay_missing() -> None:
    eta = np.array([[np.nan, 1.0], [0.0, -1.0]])
    assert np.isnan(probabilities(eta)[0]).all()
    assert list(most_probable(eta, ["a", "b", "c"])) == [None, "a"]
