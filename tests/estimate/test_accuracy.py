"""Quadrature chosen automatically, and the warning where Laplace's approximation is poor."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import multilogit as ml
from multilogit.estimate import accuracy
from multilogit.estimate.mixed import arranged, mixed_likelihood
from multilogit.estimate.options import Options
from multilogit.likelihood.grouped import GroupedLikelihood
from multilogit.newton import newton_direction


def tiny_clusters(sd: float, seed: int = 1, groups: int = 300, size: int = 4) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    g = np.repeat(np.arange(groups), size)
    x = rng.normal(size=g.size)
    eta = -1.0 + 0.5 * x + sd * rng.normal(size=groups)[g]
    y = (rng.random(g.size) < 1 / (1 + np.exp(-eta))).astype(int)
    return pd.DataFrame({"y": y, "x": x, "g": g})


def test_auto_ends_where_more_nodes_change_nothing() -> None:
    data = tiny_clusters(4.0)
    auto = ml.fit("y ~ x + (1 | g)", data, nodes="auto")
    exact = ml.fit("y ~ x + (1 | g)", data, nodes=151)
    assert auto.converged
    assert auto.options.nodes > 5
    assert auto.loglik == pytest.approx(exact.loglik, abs=2e-3)
    np.testing.assert_allclose(auto.coef, exact.coef, atol=0.02 * auto.se.min())
    (said,) = [d for d in auto.diagnostics if d.code == "nodes"]
    assert said.facts["nodes"] == auto.options.nodes
    assert "quadrature, " + str(auto.options.nodes) in str(auto.summary())


def test_auto_needs_few_nodes_for_large_groups() -> None:
    auto = ml.fit("y ~ x + (1 | g)", tiny_clusters(0.5, groups=20, size=60), nodes="auto")
    assert auto.options.nodes <= 9


def test_laplace_warns_with_numbers_where_it_is_poor_and_only_there() -> None:
    poor = ml.fit("y ~ x + (1 | g)", tiny_clusters(4.0))
    (warning,) = [d for d in poor.diagnostics if d.code == "laplace-accuracy"]
    assert warning.severity == "warning"
    assert warning.facts["moved"] > 0.3
    assert "nodes=" in warning.remedy
    good = ml.fit("y ~ x + (1 | g)", tiny_clusters(0.7, groups=30, size=50))
    assert not good.diagnostics


def matings(animals: int, each: int, sd: float) -> pd.DataFrame:
    """Crossed and binary, as in McCullagh & Nelder's salamanders."""
    rng = np.random.default_rng(3)
    female = np.repeat(np.arange(animals), each)
    male = rng.permutation(np.arange(female.size) % animals)
    eta = 0.5 + sd * (rng.normal(size=animals)[female] + rng.normal(size=animals)[male])
    y = (rng.random(eta.size) < 1 / (1 + np.exp(-eta))).astype(int)
    return pd.DataFrame({"y": y, "female": female, "male": male})


def test_crossed_factors_are_judged_by_the_next_term_of_the_expansion() -> None:
    formula = "y ~ 1 + (1 | female) + (1 | male)"
    poor = ml.fit(formula, matings(60, 5, 1.2))
    (warning,) = [d for d in poor.diagnostics if d.code == "laplace-accuracy"]
    assert 0.3 < warning.facts["moved"] < 1.5
    assert warning.facts["loglik_change"] > 0.5
    assert "no quadrature" in warning.remedy
    assert not ml.fit(formula, matings(30, 15, 0.6)).diagnostics


def test_many_effects_are_judged_by_the_expansion_and_quadrature_agrees() -> None:
    # Three categories and a slope: four effects, too many for the check by quadrature.
    rng = np.random.default_rng(2)
    g = np.repeat(np.arange(100), 8)
    x = rng.normal(size=g.size)
    u = 1.2 * rng.normal(size=(100, 2, 2))
    eta = np.column_stack([0 * x, *(u[g, c, 0] + (0.5 + u[g, c, 1]) * x for c in (0, 1))])
    share = np.exp(eta).cumsum(axis=1)
    answer = (rng.random(g.size)[:, None] * share[:, -1:] > share).sum(axis=1)
    data = pd.DataFrame({"y": np.array(["a", "b", "c"])[answer], "x": x, "g": g})
    fit = ml.fit("y ~ x + (1 + x | g)", data)
    (warning,) = [d for d in fit.diagnostics if d.code == "laplace-accuracy"]
    assert "nodes=8" in warning.remedy
    likelihood = mixed_likelihood(arranged(fit.frame), Options())
    assert isinstance(likelihood, GroupedLikelihood)
    laplace = likelihood.evaluate(fit.solution.psi).value
    likelihood.set_nodes(7)
    finer = likelihood.evaluate(fit.solution.psi)
    moved = newton_direction(finer.gradient, finer.hessian).decrement
    assert warning.facts["moved"] == pytest.approx(moved, rel=0.25)
    assert warning.facts["loglik_change"] == pytest.approx(finer.value - laplace, rel=0.15)


@pytest.mark.parametrize(("formula", "nodes"), [("(1 | g)", 15), ("(1 | h/g)", 5)])
def test_many_rows_are_checked_with_fewer_nodes_and_too_many_are_named(
    formula: str, nodes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = tiny_clusters(4.0).assign(h=lambda d: d.g // 10)
    few = 5 if nodes == 15 else 3
    q = 1 if nodes == 15 else 2

    def said(most: int) -> ml.Diagnostic:
        for limit in ("_MOST_CHECKED", "_MOST_CHECKED_NESTED"):
            monkeypatch.setattr(accuracy, limit, most)
        fit = ml.fit(f"y ~ x + {formula}", data)
        (found,) = [d for d in fit.diagnostics if d.code.startswith("laplace")]
        return found

    at_full = said(len(data) * nodes**q)
    assert (at_full.code, at_full.facts["nodes"]) == ("laplace-accuracy", nodes)
    with_fewer = said(len(data) * nodes**q - 1)
    assert (with_fewer.code, with_fewer.facts["nodes"]) == ("laplace-accuracy", few)
    unchecked = said(len(data) * few**q - 1)
    assert (unchecked.code, unchecked.severity) == ("laplace-unchecked", "info")
    assert "nodes=5" in unchecked.remedy


def test_trees_too_large_for_memory_are_not_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    data = tiny_clusters(1.5, groups=2_000, size=2).assign(root=lambda d: d["g"] % 20)

    def said() -> list[str]:
        found = ml.fit("y ~ x + (1 | g) + (1 | root)", data).diagnostics
        return [d.code for d in found if d.code.startswith("laplace")]

    assert "laplace-unchecked" not in said()
    monkeypatch.setattr(accuracy, "_ALWAYS_CHECKED_BYTES", 0.0)  # 2000 leaves take several times X
    assert said() == ["laplace-unchecked"]


def test_the_check_changes_nothing() -> None:
    data = tiny_clusters(4.0)
    again = ml.Refitter(ml.fit("y ~ x + (1 | g)", data))(data["y"])
    first = ml.fit("y ~ x + (1 | g)", data)
    assert again.loglik == pytest.approx(first.loglik, abs=1e-9)


def test_too_many_nodes_are_refused_with_a_number_that_works() -> None:
    data = tiny_clusters(1.0).assign(z=lambda d: d.x**2, w=lambda d: d.x**3)
    with pytest.raises(ml.OptionError, match=r"9\^4 nodes per group .* nodes=8 or less"):
        ml.fit("y ~ x + (1 + x + z + w | g)", data, nodes=9)
    with pytest.raises(ml.OptionError, match="from 1 to 151, or 'auto'"):
        ml.fit("y ~ x + (1 | g)", data, nodes=0)
