"""Options of fit(): what is accepted, what is refused and how; interrupts."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

import multilogit as ml


def groups(seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    g = np.repeat(np.arange(12), 15)
    x = rng.normal(size=g.size)
    eta = 0.5 * x + rng.normal(size=12)[g]
    return pd.DataFrame(
        {"y": (rng.random(g.size) < 1 / (1 + np.exp(-eta))).astype(int), "x": x, "g": g}
    )


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"threads": 2.5}, "threads=2.5: give a whole number from 1 on, or None for all"),
        ({"threads": "a"}, "threads='a': give a whole number"),
        ({"threads": 0}, "threads=0: give a whole number from 1 on"),
        ({"max_iterations": 2.5}, "max_iterations=2.5: give a whole number from 0 on"),
        ({"tolerance": "a"}, "tolerance='a': give a number between 0 and 1"),
        ({"tolerance": 0}, "tolerance=0: give a number between 0 and 1"),
        ({"start": ["a", "b"]}, "give one vector of numbers"),
        ({"start": "one"}, "start='one': use 'zero', 'ols'"),
        ({"start": [np.nan, 1.0]}, "one vector of finite numbers"),
        ({"nodes": True}, "nodes=True: give a whole number from 1 to 151, or 'auto'"),
        ({"nodes": "many"}, "nodes='many'"),
        ({"starts": 0}, "starts=0: give a whole number from 1 on"),
        ({"infinite": "ignore"}, "infinite='ignore': use 'report' or 'freeze'"),
        ({"infinite": "freeze", "prior": ml.RelativeEntropy()}, "leave it out with prior="),
        ({"prior": "entropy"}, "give a prior such as RelativeEntropy"),
        ({"progress": "yes"}, "progress='yes': give True, False or a function"),
        ({"missing": "keep"}, "missing='keep': use 'drop' or 'raise'"),
    ],
)
def test_options_that_cannot_be_used(option: dict[str, Any], message: str) -> None:
    with pytest.raises(ml.OptionError, match=message):
        ml.fit("y ~ x", groups(), **option)


def test_numpy_integers_are_numbers() -> None:
    fit = ml.fit("y ~ x + (1 | g)", groups(), nodes=np.int64(5), starts=np.int32(2))
    assert fit.options.nodes == 5


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"starts": 5},
        {"nodes": "auto"},
        {"prior": ml.RelativeEntropy(strength="auto")},
        {"prior": ml.RelativeEntropy(strength="cv")},
    ],
)
def test_an_interrupt_ends_every_search_and_is_reported(options: dict[str, Any]) -> None:
    calls = 0

    def stop(_: object) -> None:
        nonlocal calls
        calls += 1
        if calls == 3:
            raise KeyboardInterrupt

    fit = ml.fit("y ~ x + (1 | g)", groups(), progress=stop, **options)
    assert fit.status is ml.Status.INTERRUPTED
    assert not fit.converged
    assert calls == 3
    assert any(d.code == "interrupted" for d in fit.diagnostics)


def test_one_group_needs_a_prior_for_its_variance() -> None:
    data = groups().assign(g="only")
    with pytest.raises(ml.DataError, match="'g' has only one level; remove its bar"):
        ml.fit("y ~ x + (1 | g)", data)
    fit = ml.fit("y ~ x + (1 | g)", data, prior=ml.RelativeEntropy())
    assert fit.converged
    assert "one-level" in [d.code for d in fit.diagnostics]


def test_a_fit_can_be_the_start_of_another() -> None:
    data = groups()
    formula = "y ~ x + (1 + x | g)"
    whole = ml.fit(formula, data)
    cut = ml.fit(formula, data, max_iterations=2)
    again = ml.fit(formula, data, start=cut)
    assert again.converged
    assert again.n_iterations <= whole.n_iterations - 2
    assert again.loglik == pytest.approx(whole.loglik, abs=1e-9)
    with pytest.raises(ml.OptionError, match="start has 5 values"):
        ml.fit("y ~ 1", data, start=whole)


def test_data_before_the_formula_are_told_apart() -> None:
    with pytest.raises(ml.FormulaError, match=r"not DataFrame. It comes first"):
        ml.fit(groups(), "y ~ x")  # type: ignore[arg-type]


def test_a_fit_that_is_not_to_be_trusted_says_why_in_one_line() -> None:
    data = {"y": [0, 0, 0, 1, 1, 1] * 6, "x": np.arange(36) % 5, "g": list("aaabbb") * 6}
    assert repr(ml.fit("y ~ x + (1 | g)", data)).endswith("NOT converged (joint-separation)>")
    cut = ml.fit("y ~ x", groups(), max_iterations=1)
    assert repr(cut).endswith("NOT converged (max_iterations)>")
    assert "adjusted_predictions()" in repr(cut.plot)


def test_a_formula_is_changed_by_adding_to_it() -> None:
    fit = ml.fit("y ~ x + (1 | g)", groups())
    smaller = ml.fit(f"{fit.formula} - x", groups())
    assert smaller.coef.index.tolist() == ["(Intercept)"]
    assert smaller.n_groups == fit.n_groups
