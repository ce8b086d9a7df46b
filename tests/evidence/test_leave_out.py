"""Approximate scores of what was left out, against refits without it."""

from __future__ import annotations

import numpy as np
import pytest

from multilogit.evidence.leave_out import leave_group_out, leave_one_out, split_groups
from multilogit.likelihood.fixed import FixedLikelihood
from multilogit.likelihood.grouped import GroupedLikelihood
from multilogit.newton import maximise
from multilogit.objective import Sum
from multilogit.prior import PriorContext, RelativeEntropy


def data(n=120, seed=0):
    rng = np.random.default_rng(seed)
    x = np.column_stack([np.ones(n), rng.standard_normal((n, 3))])
    y = (rng.random(n) < 1.0 / (1.0 + np.exp(-x @ [-0.5, 1.0, -0.7, 0.0]))).astype(float)
    return x, y


def refit_without(model, kappa, row):
    """The maximum of Q, its prior unchanged, without one row."""
    trials = np.ones(len(model.x))
    trials[row] = 0.0
    prior = model.objective(kappa).parts[1]
    likelihood = FixedLikelihood(model.columns, model.counts * trials[:, None], trials)
    return maximise(Sum((likelihood, prior)), np.zeros(model.context.n_beta)).psi


def log_probabilities(x, beta, n_logits):
    eta = np.concatenate([[0.0], beta.reshape(n_logits, -1) @ x])
    return eta - np.log(np.exp(eta).sum())


@pytest.mark.parametrize("kappa", [0.4, 4.0, 40.0])
def test_binary_scores_agree_with_refits(make_model, kappa):
    x, y = data()
    model = make_model(x, y)
    mode = model.fit_at(kappa)
    found = leave_one_out(model.columns, y, np.ones(y.size), mode.psi, -mode.evaluation.hessian)
    exact = np.array(
        [
            log_probabilities(x[i], refit_without(model, kappa, i), 1)[int(y[i])]
            for i in range(y.size)
        ]
    )
    in_sample = np.array([log_probabilities(x[i], mode.psi, 1)[int(y[i])] for i in range(y.size)])
    optimism = np.abs(exact - in_sample)
    assert found.reliable.all()
    # the formula's own error: up to 15 % of the most influential row's shift, 4 % of the sum
    assert np.abs(found.scores - exact).max() < 0.16 * optimism.max()
    assert abs(found.scores.sum() - exact.sum()) < 0.05 * optimism.sum()
    assert found.score.value == pytest.approx(found.scores.sum())


def test_multinomial_scores_agree_with_refits(make_model):
    x, _ = data(90, seed=3)
    rng = np.random.default_rng(1)
    eta = np.column_stack([np.zeros(90), x @ [0.3, 1.0, 0.0, 0.0], x @ [0.0, 0.0, -1.0, 0.5]])
    category = (eta + rng.gumbel(size=eta.shape)).argmax(axis=1)
    counts = np.column_stack([category == 1, category == 2]).astype(float)
    model = make_model(x, counts)
    mode = model.fit_at(6.0)
    found = leave_one_out(model.columns, counts, np.ones(90), mode.psi, -mode.evaluation.hessian)
    exact = np.array(
        [log_probabilities(x[i], refit_without(model, 6.0, i), 2)[category[i]] for i in range(90)]
    )
    in_sample = np.array([log_probabilities(x[i], mode.psi, 2)[category[i]] for i in range(90)])
    optimism = np.abs(exact - in_sample)
    # the formula's own error: up to 15 % of the most influential row's shift, 4 % of the sum
    assert np.abs(found.scores - exact).max() < 0.16 * optimism.max()
    assert abs(found.scores.sum() - exact.sum()) < 0.05 * optimism.sum()


def test_aggregated_rows_score_as_their_observations():
    rng = np.random.default_rng(2)
    x = np.column_stack([np.ones(8), rng.standard_normal(8)])
    trials = rng.integers(1, 6, 8)
    y = rng.binomial(trials, 0.4)
    beta, information = np.array([-0.4, 0.3]), np.array([[9.0, 1.0], [1.0, 7.0]])
    offset = rng.standard_normal(8)
    together = leave_one_out(
        x.T, y.astype(float), trials.astype(float), beta, information, offset=offset
    )
    index = np.repeat(np.arange(8), trials)
    outcomes = np.concatenate([np.arange(n) < k for n, k in zip(trials, y, strict=True)])
    apart = leave_one_out(
        x[index].T,
        outcomes.astype(float),
        np.ones(index.size),
        beta,
        information,
        offset=offset[index],
    )
    np.testing.assert_allclose(together.scores, np.bincount(index, apart.scores), rtol=1e-12)
    weighted = leave_one_out(
        x.T, y / trials, np.ones(8), beta, information, offset=offset, weights=trials.astype(float)
    )
    np.testing.assert_allclose(weighted.scores, together.scores, rtol=1e-12)


def test_two_categories_are_the_binary_case_on_the_general_path():
    """An empty third category with its own block of information changes nothing."""
    x, y = data(50)
    beta = np.array([-0.3, 0.8, -0.5, 0.1])
    information = np.cov(x[:, 1:].T, ddof=0)
    information = 12.0 * np.block([[np.eye(1), np.zeros((1, 3))], [np.zeros((3, 1)), information]])
    binary = leave_one_out(x.T, y, np.ones(50), beta, information)
    far = np.concatenate([beta, [-300.0, 0.0, 0.0, 0.0]])
    both = np.block([[information, np.zeros((4, 4))], [np.zeros((4, 4)), np.eye(4)]])
    general = leave_one_out(x.T, np.column_stack([y, np.zeros(50)]), np.ones(50), far, both)
    np.testing.assert_allclose(general.scores, binary.scores, rtol=1e-10)


def test_rows_that_hold_the_parameters_alone_are_flagged():
    found = leave_one_out(
        [np.ones(2)], np.array([1.0, 0.0]), np.ones(2), np.zeros(1), np.eye(1) / 4
    )
    assert not found.reliable.any()
    assert np.isfinite(found.scores).all()


def grouped_data(groups=14, size=9, seed=4):
    rng = np.random.default_rng(seed)
    codes = rng.permutation(np.repeat(np.arange(groups), size)).astype(np.int32)
    x = np.column_stack([np.ones(codes.size), rng.standard_normal(codes.size)])
    eta = x @ [-0.3, 0.8] + rng.standard_normal(groups)[codes]
    y = (rng.random(codes.size) < 1.0 / (1.0 + np.exp(-eta))).astype(float)
    return tuple(np.ascontiguousarray(c) for c in x.T), y, codes, groups


def grouped_prior(columns, y, kappa):
    context = PriorContext(
        columns,
        ("a", "b"),
        np.ones(y.size),
        None,
        np.array([y.mean()]),
        np.array([0]),
        np.array([0]),
        (1,),
    )
    return RelativeEntropy(strength=kappa).bind(context)


def test_the_groups_add_up_to_the_whole():
    columns, y, codes, groups = grouped_data()
    offset = np.linspace(-1.0, 1.0, y.size)
    arguments = (columns, [columns[0]], [1], y, np.ones(y.size), codes)
    psi = np.array([-0.2, 0.5, 0.9])
    for nodes in (1, 5):
        whole = GroupedLikelihood(*arguments, groups, offset=offset, nodes=nodes).evaluate(psi)
        parts = split_groups(*arguments, groups + 2, offset=offset, nodes=nodes)
        assert len(parts) == groups  # two groups without rows
        total = parts[0].evaluate(psi)
        for part in parts[1:]:
            total = total + part.evaluate(psi)
        assert total.value == pytest.approx(whole.value, rel=1e-11)
        np.testing.assert_allclose(total.gradient, whole.gradient, atol=1e-9)
        np.testing.assert_allclose(total.hessian, whole.hessian, atol=1e-8)


@pytest.mark.parametrize("kappa", [0.5, 2.0, 20.0])
def test_group_scores_agree_with_refits(kappa):
    columns, y, codes, groups = grouped_data()
    ones = np.ones(y.size)
    prior = grouped_prior(columns, y, kappa)

    def fit(kept):
        z = columns[0][kept]
        x = [column[kept] for column in columns]
        likelihood = GroupedLikelihood(x, [z], [1], y[kept], ones[kept], codes[kept], groups)
        return maximise(Sum((likelihood, prior)), np.array([0.0, 0.0, 1.0]))

    whole = fit(ones > 0)
    arguments = (columns, [columns[0]], [1], y, ones, codes)
    parts = split_groups(*arguments, groups)
    objective = Sum((GroupedLikelihood(*arguments, groups), prior))
    found = leave_group_out(whole.psi, -whole.evaluation.hessian, parts, objective)
    exact = np.array([parts[g].evaluate(fit(codes != g).psi).value for g in range(groups)])
    in_sample = np.array([part.evaluate(whole.psi).value for part in parts])
    optimism = np.abs(exact - in_sample)
    assert found.reliable.all()
    assert np.abs(found.scores - exact).max() < 0.1 * optimism.max()
    assert abs(found.scores.sum() - exact.sum()) < 0.03 * optimism.sum()
    one_step = leave_group_out(whole.psi, -whole.evaluation.hessian, parts)
    slight = optimism < 0.15
    assert slight.sum() >= 4
    assert np.abs(one_step.scores - exact)[slight].max() < 0.015


def test_a_group_that_holds_the_parameters_alone_is_flagged():
    columns, y, codes, groups = grouped_data(groups=3)
    parts = split_groups(columns, [columns[0]], [1], y, np.ones(y.size), codes, groups)
    found = leave_group_out(np.array([-0.2, 0.5, 0.9]), 1e-3 * np.eye(3), parts)
    assert not found.reliable.all()
