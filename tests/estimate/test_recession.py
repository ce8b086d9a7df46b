"""The recession cone: kinds, signs, certificates, against brute force."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.special import expit

from multilogit.errors import DataError
from multilogit.estimate import recession
from multilogit.estimate.recession import (
    Recession,
    certifies_overlap,
    find_separation,
    null_space,
)
from multilogit.likelihood.fixed import FixedLikelihood
from multilogit.newton import maximise

Array = NDArray[np.float64]


def find(X: Array, y: Array, trials: Array | None = None) -> Recession:
    """``y``: counts, or categories 0 … J − 1 where there are no trials."""
    if trials is None:
        trials = np.ones(len(X))
        y = np.eye(int(y.max()) + 1)[y.astype(int)][:, 1:]
    return find_separation([np.ascontiguousarray(x) for x in X.T], y, trials)


def constraints(X: Array, y: Array) -> Array:
    """All x_i ⊗ (e_y − e_k), dense, for categories ``y``."""
    J = int(y.max()) + 1
    E = np.eye(J)[:, 1:]
    return np.array(
        [
            np.kron(E[int(c)] - E[k], x)
            for x, c in zip(X, y, strict=True)
            for k in range(J)
            if k != c
        ]
    )


def rays(A: Array) -> Array:
    """Every extreme ray of {d : Ad ≥ 0}, A of full column rank, by enumeration.

    An extreme ray is the null space of K − 1 independent rows of A that are tight.
    """
    found = []
    A = np.unique(A / np.linalg.norm(A, axis=1, keepdims=True), axis=0)
    for tight in combinations(range(len(A)), A.shape[1] - 1):
        _, values, vectors = np.linalg.svd(A[list(tight)])
        if len(values) == A.shape[1] - 1 and (values > 1e-9).all():
            d = vectors[-1]
            found += [s * d for s in (1, -1) if (A @ (s * d) >= -1e-9).all()]
    return np.array(found).reshape(-1, A.shape[1])


def check_against_rays(X: Array, y: Array) -> Recession:
    found = find(X, y)
    A, R = constraints(X, y), rays(constraints(X, y))
    if not len(R):
        assert found.kind == "overlap"
        assert not found.infinite.any()
        return found
    R /= np.linalg.norm(R, axis=1, keepdims=True)
    assert (found.kind == "complete") == bool((A @ R.sum(axis=0) > 1e-9).all())
    assert found.kind != "overlap"
    above, below = (R > 1e-9).any(axis=0), (R < -1e-9).any(axis=0)
    np.testing.assert_array_equal(found.infinite, above | below)
    np.testing.assert_array_equal(found.signs, np.where(above & below, 0, above * 1 - below * 1))
    # the certificate separates all that any direction separates
    margins = A @ found.direction
    assert margins.min() >= -1e-9
    np.testing.assert_array_equal(margins > 1e-9, A @ R.sum(axis=0) > 1e-9)
    assert found.span.shape[1] == np.linalg.matrix_rank(R, tol=1e-9)
    return found


# -- known answers ---------------------------------------------------------------------------


def test_complete_separation() -> None:
    x = np.arange(1.0, 7.0)
    found = find(np.column_stack([np.ones(6), x]), (x > 3.5) * 1.0)
    assert found.kind == "complete"
    assert found.infinite.all()
    np.testing.assert_array_equal(found.signs, [-1, 1])
    assert found.separated.all()


def test_sign_not_unique() -> None:
    # x separates at a point between −1 and 1: the intercept may go either way, x may not.
    x = np.array([-3.0, -2.0, -1.0, 1.0, 2.0, 3.0])
    found = find(np.column_stack([np.ones(6), x]), (x > 0) * 1.0)
    assert found.infinite.all()
    np.testing.assert_array_equal(found.signs, [0, 1])


def test_quasi_complete_separation_at_one_point() -> None:
    x = np.array([1.0, 2.0, 3.0, 3.0, 4.0, 5.0])
    found = find(np.column_stack([np.ones(6), x]), np.array([0.0, 0, 0, 1, 1, 1]))
    assert found.kind == "quasi-complete"
    np.testing.assert_array_equal(found.signs, [-1, 1])
    np.testing.assert_allclose(found.direction, [-1.0, 1 / 3])
    np.testing.assert_array_equal(found.separated, [True, True, False, False, True, True])


def test_only_the_coefficient_of_the_rare_level_is_infinite() -> None:
    rng = np.random.default_rng(3)
    level = np.arange(60) % 12 == 0
    X = np.column_stack([np.ones(60), level, rng.normal(size=60)])
    y = (rng.random(60) < 0.5) * 1.0
    y[level] = 0.0
    found = find(X, y)
    assert found.kind == "quasi-complete"
    np.testing.assert_array_equal(found.signs, [0, -1, 0])
    np.testing.assert_array_equal(found.infinite, [False, True, False])
    np.testing.assert_array_equal(found.direction, [0.0, -1.0, 0.0])
    np.testing.assert_array_equal(found.separated, level)
    y[np.flatnonzero(level)[0]] = 1.0
    assert find(X, y).kind == "overlap"


def test_reference_level_without_events_takes_the_intercept_along() -> None:
    level = np.repeat([0, 1, 2], 10)
    X = np.column_stack([np.ones(30), level == 1, level == 2]).astype(float)
    y = np.where(level == 0, 0.0, np.arange(30) % 2)
    found = find(X, y)
    np.testing.assert_array_equal(found.signs, [-1, 1, 1])
    assert found.span.shape == (3, 1)  # differences between the other levels stay finite


def test_aggregated_rows_with_both_outcomes_are_equations() -> None:
    X = np.column_stack([np.ones(4), [0.0, 1.0, 2.0, 3.0]])
    n = np.array([5.0, 5.0, 5.0, 5.0])
    both = find(X, np.array([0.0, 2.0, 5.0, 5.0]), n)
    assert both.kind == "quasi-complete"
    np.testing.assert_allclose(both.direction, [-1.0, 1.0])
    np.testing.assert_array_equal(both.separated, [True, False, True, True])
    assert find(X, np.array([0.0, 2.0, 4.0, 5.0]), n).kind == "overlap"
    clean = find(X, np.array([0.0, 0.0, 5.0, 5.0]), n)
    assert clean.kind == "complete"


def test_multinomial_category_that_never_occurs_at_a_level() -> None:
    level = np.repeat([0.0, 1.0], 12)
    y = np.concatenate([np.arange(12) % 3, np.arange(12) % 2])  # level 1: never category 2
    found = find(np.column_stack([np.ones(24), level]), y)
    assert found.kind == "quasi-complete"
    np.testing.assert_array_equal(found.infinite, [False, False, False, True])
    np.testing.assert_array_equal(found.signs, [0, 0, 0, -1])
    np.testing.assert_array_equal(found.excluded[:, 2], level == 1)
    assert not found.excluded[:, :2].any()
    assert not found.separated.any()  # what is left of those rows is still a choice of two


def test_multinomial_baseline_that_never_occurs_at_a_level() -> None:
    level = np.repeat([0.0, 1.0], 12)
    y = np.concatenate([np.arange(12) % 3, 1 + np.arange(12) % 2])
    found = find(np.column_stack([np.ones(24), level]), y)
    np.testing.assert_array_equal(found.signs, [0, 1, 0, 1])
    assert found.span.shape[1] == 1  # the two go together: their difference is finite


def test_multinomial_counts_with_several_categories_in_one_row() -> None:
    X = np.column_stack([np.ones(3), [0.0, 1.0, 2.0]])
    counts = np.array([[3.0, 2.0], [4.0, 0.0], [2.0, 0.0]])
    found = find(X, counts, np.full(3, 6.0))
    one_by_one = find(
        np.repeat(X, 6, axis=0),
        np.repeat([0, 1, 2, 0, 1, 0, 1], [1, 3, 2, 2, 4, 4, 2]),
    )
    assert found.kind == one_by_one.kind == "quasi-complete"
    np.testing.assert_array_equal(found.signs, one_by_one.signs)
    np.testing.assert_allclose(found.direction, one_by_one.direction, atol=1e-12)


def test_a_category_that_never_occurs() -> None:
    X = np.column_stack([np.ones(6), np.arange(6.0)])
    counts = np.column_stack([np.arange(6) % 2, np.zeros(6)]).astype(float)
    found = find(X, counts, np.ones(6))
    np.testing.assert_array_equal(found.infinite, [False, False, True, True])
    assert found.signs[2] == -1


def test_rows_without_trials_say_nothing() -> None:
    x = np.array([1.0, 2.0, 3.0, 4.0, 2.0])
    X = np.column_stack([np.ones(5), x])
    y, n = np.array([0.0, 0.0, 1.0, 1.0, 0.0]), np.array([1.0, 1.0, 1.0, 1.0, 0.0])
    found = find(X, y, n)
    assert found.kind == "complete"
    np.testing.assert_array_equal(found.separated, [True, True, True, True, False])


def test_dependent_columns_are_refused() -> None:
    X = np.column_stack([np.ones(6), np.arange(6.0), 2.0 - np.arange(6.0)])
    with pytest.raises(DataError, match="linearly dependent"):
        find(X, np.arange(6) % 2)


def test_null_space() -> None:
    A = np.array([[1.0, 0.0, 0.0], [0.0, 0.6, 0.8]])
    basis = null_space(A, 1e-8)
    assert basis.shape == (3, 1)
    np.testing.assert_allclose(A @ basis, 0.0, atol=1e-15)
    np.testing.assert_array_equal(null_space(np.zeros((0, 2)), 1e-8), np.eye(2))


# -- against brute force ---------------------------------------------------------------------


@given(seed=st.integers(0, 10**6), n=st.integers(4, 12), p=st.integers(1, 3))
def test_binary_designs_agree_with_all_extreme_rays(seed: int, n: int, p: int) -> None:
    rng = np.random.default_rng(seed)
    X = np.column_stack([np.ones(n), rng.integers(-1, 2, size=(n, p - 1))]).astype(float)
    X[:, 1:] += rng.choice([0.0, 1.0]) * rng.normal(size=(n, p - 1)).round(1)
    y = (rng.random(n) < expit(2 * X.sum(axis=1))) * 1.0
    if np.linalg.matrix_rank(X) < p or y.min() == y.max():
        return
    check_against_rays(X, y)


@settings(max_examples=20)
@given(seed=st.integers(0, 10**6), n=st.integers(5, 8))
def test_multinomial_designs_agree_with_all_extreme_rays(seed: int, n: int) -> None:
    rng = np.random.default_rng(seed)
    X = np.column_stack([np.ones(n), rng.integers(-1, 2, size=n)]).astype(float)
    y = rng.integers(0, 3, size=n).astype(float)
    if np.linalg.matrix_rank(X) < 2 or np.unique(y).size < 3:
        return
    check_against_rays(X, y)


@given(seed=st.integers(0, 10**6))
def test_newton_diverges_where_the_data_are_separated_and_only_there(seed: int) -> None:
    # Small whole numbers: data that overlap do so by a margin, and their estimates are moderate.
    rng = np.random.default_rng(seed)
    n = int(rng.integers(8, 25))
    X = np.column_stack([np.ones(n), rng.integers(-2, 3, size=n), rng.random(n) < 0.4])
    y = (rng.random(n) < expit(X @ rng.normal(size=3) * 2)) * 1.0
    if np.linalg.matrix_rank(X) < 3 or y.min() == y.max():
        return
    found = find(X, y)
    columns = [np.ascontiguousarray(x) for x in X.T]
    fit = maximise(FixedLikelihood(columns, y, np.ones(n)), np.zeros(3))
    assert fit.converged == (found.kind == "overlap")
    assert certifies_overlap(columns, y, np.ones(n), fit.psi) == (found.kind == "overlap")


@settings(max_examples=15)
@given(seed=st.integers(0, 10**6))
def test_signs_are_those_of_ridge_estimates_as_the_penalty_vanishes(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n = 14
    X = np.column_stack([np.ones(n), rng.normal(size=n), rng.random(n) < 0.3]).astype(float)
    y = (rng.random(n) < expit(X @ [0.0, 3.0, 4.0])) * 1.0
    if np.linalg.matrix_rank(X) < 3 or y.min() == y.max():
        return
    found = find(X, y)
    weak, weaker = (ridge(X, y, penalty) for penalty in (1e-5, 1e-7))
    moved = weaker - weak
    for j in range(3):
        if found.signs[j]:
            assert np.sign(weaker[j]) == np.sign(moved[j]) == found.signs[j]
            assert abs(moved[j]) > 0.2


def ridge(X: Array, y: Array, penalty: float) -> Array:
    """arg max ℓ − ½ penalty |β|², by damped Newton steps."""
    beta = np.zeros(X.shape[1])

    def value(b: Array) -> float:
        eta = X @ b
        return float(y @ eta - np.logaddexp(0, eta).sum() - 0.5 * penalty * b @ b)

    for _ in range(500):
        pi = expit(X @ beta)
        gradient = X.T @ (y - pi) - penalty * beta
        information = (X.T * (pi * (1 - pi))) @ X + penalty * np.eye(len(beta))
        step = np.linalg.solve(information, gradient)
        while value(beta + step) < value(beta) and np.abs(step).max() > 1e-12:
            step = step / 2
        beta = beta + step
        if np.abs(step).max() < 1e-10:
            break
    return beta


# -- invariance, size ------------------------------------------------------------------------


@given(seed=st.integers(0, 10**6))
def test_a_reparametrisation_of_the_columns_changes_nothing(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n = 40
    X = np.column_stack([np.ones(n), rng.normal(size=(n, 2)), rng.random(n) < 0.2])
    y = (rng.random(n) < expit(X @ [0.0, 1.0, 0.0, 5.0])) * 1.0
    y[X[:, 3] > 0] = rng.random() < 0.7
    if np.linalg.matrix_rank(X) < 4 or y.min() == y.max():
        return
    T = rng.normal(size=(4, 4)) * 10.0 ** rng.integers(-3, 4, size=4)
    one, two = find(X, y), find(X @ T, y)
    assert one.kind == two.kind
    np.testing.assert_array_equal(one.separated, two.separated)
    assert one.span.shape == two.span.shape
    if one.kind == "quasi-complete" and one.span.shape[1] == 1:
        back = T @ two.direction
        np.testing.assert_allclose(back / np.abs(back).max(), one.direction, atol=1e-7)


@pytest.mark.parametrize("scale", [1e-9, 1.0, 1e9])
def test_units_and_origin_do_not_matter(scale: float) -> None:
    rng = np.random.default_rng(0)
    year = 2000.0 + rng.integers(0, 20, size=200)
    rare = rng.random(200) < 0.05
    y = (rng.random(200) < expit(0.1 * (year - 2010))) * 1.0
    y[rare] = 1.0
    found = find(np.column_stack([np.ones(200), year * scale, rare]), y)
    np.testing.assert_array_equal(found.infinite, [False, False, True])
    np.testing.assert_array_equal(found.signs, [0, 0, 1])


def test_the_last_row_of_many_decides() -> None:
    # One row in 20 000 keeps the data from being separated: row generation must find it.
    rng = np.random.default_rng(1)
    x = np.sort(rng.normal(size=20_000))
    X = np.column_stack([np.ones(x.size), x])
    y = (np.arange(x.size) >= 7_003) * 1.0
    assert find(X, y).kind == "complete"
    y[7_002], y[7_003] = 1.0, 0.0
    assert find(X, y).kind == "overlap"
    y[7_003] = 1.0  # only shifts the cut
    y[7_002] = 0.0
    x[7_002] = x[7_003]  # the same x, two outcomes
    found = find(np.column_stack([np.ones(x.size), x]), y)
    assert found.kind == "quasi-complete"
    assert int((~found.separated).sum()) == 2


@given(seed=st.integers(0, 10**6))
def test_a_certificate_of_overlap_is_never_wrong(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n = 12
    X = np.column_stack([np.ones(n), rng.normal(size=n)])
    y = (rng.random(n) < expit(4 * X[:, 1])) * 1.0
    columns = [np.ascontiguousarray(x) for x in X.T]
    if y.min() == y.max():
        return
    separated = find(X, y).kind != "overlap"
    likelihood = FixedLikelihood(columns, y, np.ones(n))
    for steps in range(0, 40, 3):
        psi = maximise(likelihood, np.zeros(2), max_iterations=steps).psi
        if certifies_overlap(columns, y, np.ones(n), psi):
            assert not separated


def test_certificate_of_a_multinomial_model_with_an_offset() -> None:
    rng = np.random.default_rng(2)
    n = 200
    X = np.column_stack([np.ones(n), rng.normal(size=n)])
    y = np.eye(3)[np.argmax(X @ rng.normal(size=(2, 3)) + rng.gumbel(size=(n, 3)), axis=1)][:, 1:]
    offset = rng.normal(size=n)
    columns = [np.ascontiguousarray(x) for x in X.T]
    fit = maximise(FixedLikelihood(columns, y, np.ones(n), offset), np.zeros(4))
    assert certifies_overlap(columns, y, np.ones(n), fit.psi, offset)
    assert not certifies_overlap(columns, y, np.ones(n), fit.psi)
    assert find_separation(columns, y, np.ones(n)).kind == "overlap"


# -- signs of large designs --------------------------------------------------------------------


def counted(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, ...]]:
    """Shapes of the linear programs that are solved from now on."""
    shapes: list[tuple[int, ...]] = []
    solve = recession.maximise_over_cone

    def count(objective: Array, A: Array) -> Array:
        shapes.append(A.shape)
        return solve(objective, A)

    monkeypatch.setattr(recession, "maximise_over_cone", count)
    return shapes


def test_signs_of_a_saturated_design_need_no_linear_programs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # one level per row: η_0 = β_0, η_i = β_0 + β_i, and the cone is sign(η_i) = sign(y_i − ½)
    n = 300
    y = np.random.default_rng(0).integers(0, 2, n).astype(float)
    X = np.eye(n)
    X[:, 0] = 1.0
    programs = counted(monkeypatch)
    found = find(X, y)
    sign = (2 * y - 1).astype(int)
    assert found.kind == "complete"
    assert found.infinite.all()
    np.testing.assert_array_equal(found.signs[0], sign[0])
    np.testing.assert_array_equal(found.signs[1:], np.where(sign[1:] == sign[0], 0, sign[1:]))
    assert not found.left_open.any()
    assert len(programs) <= 4


def test_a_simplicial_cone_of_dense_rows_agrees_with_its_rays() -> None:
    for seed in range(20):
        rng = np.random.default_rng(seed)
        X = np.column_stack([np.ones(5), rng.normal(size=(5, 4))])
        y = (np.arange(5) < 2).astype(float)
        assert check_against_rays(X, rng.permutation(y)).kind == "complete"


def test_signs_that_would_take_too_long_are_left_open_and_never_wrong(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rng = np.random.default_rng(3)
    X = np.column_stack([np.ones(60), rng.normal(size=(60, 8))])
    y = (X @ rng.normal(size=9) > 0).astype(float)
    whole = find(X, y)
    assert not whole.left_open.any()
    assert (whole.signs != 0).any()
    some = []
    for work in (0.0, 60 * 9 * 4.0, 60 * 9 * 40.0):
        monkeypatch.setattr(recession, "_MOST_WORK", work)
        found = find(X, y)
        known = ~found.left_open
        np.testing.assert_array_equal(found.infinite, whole.infinite)
        np.testing.assert_array_equal(found.signs[known], whole.signs[known])
        assert not found.signs[found.left_open].any()
        some.append(int(known.sum()))
    assert some[0] == 0 < some[1] < some[2] == 9
