"""The factorisation of an outer Newton step."""

from __future__ import annotations

import numpy as np
import pytest

from multilogit import _core


@pytest.mark.parametrize("n", [1, 5, 32, 33, 100, 257])
def test_solution_and_squared_pivots_are_those_of_numpy(n: int) -> None:
    rng = np.random.default_rng(n)
    root = rng.normal(size=(2 * n, n))
    A, b = root.T @ root, rng.normal(size=n)
    solved = _core.solve_positive(A, b)
    assert solved is not None
    x, pivots = solved
    np.testing.assert_allclose(A @ x, b, atol=1e-10 * np.abs(b).max())
    np.testing.assert_allclose(pivots, np.linalg.cholesky(A).diagonal() ** 2, rtol=1e-11)


@pytest.mark.parametrize("n", [1, 3, 40, 100])
@pytest.mark.parametrize("bad", [-1.0, 0.0, np.nan])
def test_nothing_where_the_matrix_is_not_positive_definite(n: int, bad: float) -> None:
    A = np.eye(n)
    A[-1, -1] = bad
    assert _core.solve_positive(A, np.ones(n)) is None


def test_a_vector_of_another_length_is_an_error() -> None:
    with pytest.raises(ValueError, match="n x n"):
        _core.solve_positive(np.eye(3), np.ones(2))
