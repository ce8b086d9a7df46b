"""Sums, users' own priors, and options that make no sense."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import FrozenInstanceError
from typing import Any

import numpy as np
import pytest
from prior.models import point, random_context

from multilogit.errors import OptionError
from multilogit.evaluation import Evaluation
from multilogit.prior import (
    BoundPrior,
    Cauchy,
    CovarianceRelativeEntropy,
    Jeffreys,
    Normal,
    Prior,
    RelativeEntropy,
    ShannonEntropy,
    SoftPenalty,
    StudentT,
    SumPrior,
    Wishart,
    bind,
    depends_on_order,
)


class Own:
    """A user's prior: −½ψ'ψ."""

    def evaluate(self, psi: Any) -> Evaluation:
        return Evaluation(-0.5 * float(psi @ psi), -psi, -np.eye(psi.size))


class OrderFree(Own):
    depends_on_order = False


class OfBetaOnly(Own):
    def evaluate(self, psi: Any) -> Evaluation:
        return super().evaluate(psi[:2])


def test_a_sum_is_the_sum_of_its_parts() -> None:
    model = random_context(3, blocks=(2,), n_logits=2)
    psi = point(model)
    parts = (RelativeEntropy(), Jeffreys(), Own())
    total = (parts[0] + parts[1] + parts[2]).bind(model).evaluate(psi)
    each = [bind(part, model).evaluate(psi) for part in parts]
    assert total.value == sum(e.value for e in each)
    np.testing.assert_array_equal(total.gradient, sum(e.gradient for e in each))
    np.testing.assert_array_equal(total.hessian, sum(e.hessian for e in each))


def test_sums_are_flat_and_accept_users_priors_on_either_side() -> None:
    normal, own = Normal(), Own()
    assert (own + normal).parts == (own, normal)
    assert ((normal + own) + (Jeffreys() + Wishart())).parts == (normal, own, Jeffreys(), Wishart())
    assert isinstance(normal + own, Prior)
    assert repr(Jeffreys() + SoftPenalty()) == (
        "Jeffreys(power=0.5, covariance=None) + SoftPenalty()"
    )
    with pytest.raises(TypeError):
        _ = normal + 3  # type: ignore[operator]


def test_a_users_prior_is_taken_as_it_is_but_its_shapes_are_checked() -> None:
    model = random_context(1, blocks=(1,))
    bound = bind(Own(), model)
    assert isinstance(bound, BoundPrior)
    assert bound.evaluate(np.ones(model.size)).value == -0.5 * model.size
    with pytest.raises(OptionError, match=r"OfBetaOnly.*shape \(2,\).*4 elements"):
        bind(OfBetaOnly(), model).evaluate(np.ones(model.size))


def test_what_depends_on_the_order_of_the_effects() -> None:
    correlated, scalar = random_context(1, blocks=(2,)), random_context(1, blocks=(1, 1))
    assert depends_on_order(SoftPenalty().bind(correlated))
    assert not depends_on_order(SoftPenalty().bind(scalar))
    assert not depends_on_order((RelativeEntropy() + Wishart() + Normal()).bind(correlated))
    assert depends_on_order((RelativeEntropy() + SoftPenalty()).bind(correlated))
    assert depends_on_order((RelativeEntropy() + Own()).bind(correlated))
    assert not depends_on_order((RelativeEntropy() + OrderFree()).bind(correlated))


def test_open_strengths() -> None:
    model = random_context(1)
    for rule in ("auto", "cv"):
        prior = RelativeEntropy(strength=rule)
        assert prior.needs_strength
        with pytest.raises(OptionError, match=f"strength='{rule}' must be resolved"):
            prior.bind(model)
        assert prior.with_strength(2.0) == RelativeEntropy(2.0)
    total = Normal() + RelativeEntropy("auto", reference="uniform")
    assert total.needs_strength
    assert total.with_strength(3.0) == Normal() + RelativeEntropy(3.0, reference="uniform")
    assert not (Normal() + RelativeEntropy()).needs_strength
    with pytest.raises(OptionError, match="exactly one part"):
        (Normal() + RelativeEntropy()).with_strength(3.0)
    with pytest.raises(OptionError, match="Normal has no strength"):
        Normal().with_strength(3.0)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: RelativeEntropy(0), "strength=0: give a positive finite"),
        (lambda: RelativeEntropy(np.inf), "strength=inf"),
        (lambda: RelativeEntropy("best"), "strength='best'.*'auto' or 'cv'"),
        (lambda: RelativeEntropy(True), "strength=True: give a number"),
        (lambda: RelativeEntropy(reference="flat"), "reference='flat': use 'tempered'"),
        (lambda: RelativeEntropy(reference=[0.2, 0.2]), "one positive share per category"),
        (lambda: RelativeEntropy(reference=1.0), "one positive share per category"),
        (lambda: RelativeEntropy(reference=object()), "give a name or an array"),
        (lambda: RelativeEntropy(covariance=Normal()), "covariance=Normal"),
        (lambda: ShannonEntropy("auto"), "strength='auto'.*'cv'"),
        (lambda: ShannonEntropy(floor=-1), "floor=-1: give a finite number from 0"),
        (lambda: CovarianceRelativeEntropy(scale=0), "scale=0"),
        (lambda: CovarianceRelativeEntropy(strength=np.nan), "strength=nan: give a number"),
        (lambda: Wishart(df=0), "df=0"),
        (lambda: Wishart(scale=-1), "scale=-1: give a positive number or inf"),
        (lambda: Normal("wide"), "scale='wide': give a number"),
        (lambda: Normal([1.0, -1.0]), "scale=-1.0"),
        (lambda: Normal({"x1": 0.0}), "scale=0.0"),
        (lambda: Normal(intercept=0.0), "intercept=0.0"),
        (lambda: StudentT(0), "df=0"),
        (lambda: Cauchy(intercept_scale=0), "intercept_scale=0"),
        (lambda: Jeffreys(power=0), "power=0"),
        (lambda: SumPrior(()), "at least one part"),
        (lambda: SumPrior((3,)), "prior=3: give a prior such as"),
        (lambda: bind(RelativeEntropy, random_context(1)), "give a prior such as"),
        (lambda: RelativeEntropy(reference=[0.2, 0.3, 0.5]).bind(random_context(1)), "3 shares"),
        (lambda: Normal([1.0] * 4).bind(random_context(1)), "4 values; give 3, one per column"),
        (lambda: Normal({"y": 1.0}).bind(random_context(1)), "names 'y', but the fixed effects"),
        (lambda: Normal(mean={"y": 1.0}).bind(random_context(1)), "mean= names 'y'"),
        (lambda: Wishart(2.5).bind(random_context(1, blocks=(1, 2))), "too small for 2"),
    ],
)
def test_bad_options_are_named(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        make()


def test_specifications_are_frozen_and_equal_by_value() -> None:
    assert Normal(np.array([1, 2])) == Normal((1.0, 2.0))
    assert RelativeEntropy(reference=np.float64(0.25)) == RelativeEntropy(reference=0.25)
    with pytest.raises(FrozenInstanceError):
        Jeffreys().power = 1.0  # type: ignore[misc]
