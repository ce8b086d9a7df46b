"""Derivatives of predictions and of their slopes, against finite differences."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from laplace_reference import central_differences
from predict.problems import (
    at_psi,
    dense_modes,
    psi_of,
    random_counts,
    random_model,
    random_rows,
    with_uncertainty,
)

from multilogit.predict.linear import Level
from multilogit.predict.modes import FactorRows
from multilogit.predict.tangent import (
    Model,
    Rows,
    Scale,
    Tangent,
    predicted,
    predicted_slope,
    value,
)

CASES = [(1, [(5, 2)]), (2, [(4, 1), (3, 2)]), (3, [(3, 1)]), (1, [])]
"""Logits; levels and columns of Z of each factor."""


def shifted(rows: Rows, dx: Rows, step: float) -> Rows:
    """Rows moved along dx."""
    x = tuple(a + step * b for a, b in zip(rows.x, dx.x, strict=True))
    factors = tuple(
        FactorRows(tuple(a + step * b for a, b in zip(f.columns, d.columns, strict=True)), f.codes)
        for f, d in zip(rows.factors, dx.factors, strict=True)
    )
    return replace(rows, x=x, factors=factors)


def direction(rng: np.random.Generator, rows: Rows, C: int) -> Rows:
    """Derivatives of the columns in some variable; the same for every logit."""
    x = tuple(rng.normal(size=(len(rows.x), rows.n)))
    factors = []
    for mine in rows.factors:
        k = len(mine.columns) // C
        factors.append(FactorRows(tuple(rng.normal(size=(k, rows.n))) * C, mine.codes))
    return Rows(rows.n, x, tuple(factors), None)


def check(found: Tangent, function, psi: np.ndarray, tolerance: float = 2e-8) -> None:
    np.testing.assert_allclose(found.value, function(psi), rtol=1e-11, atol=1e-12)
    numeric = np.moveaxis(central_differences(function, psi, 1e-3), 0, -1)
    np.testing.assert_allclose(found.by_psi, numeric, rtol=0, atol=tolerance)


@pytest.mark.parametrize("scale", ["response", "link"])
@pytest.mark.parametrize("level", ["population", "conditional", "marginal"])
@pytest.mark.parametrize("case", range(len(CASES)))
def test_derivatives_in_all_parameters(case: int, level: Level, scale: Scale) -> None:
    C, sizes = CASES[case]
    rng = np.random.default_rng(case)
    rows = random_rows(rng, 30, 2, sizes, C)
    counts, trials = random_counts(rng, rows.n, C)
    start = random_model(rng, rows, C)
    model = with_uncertainty(start, rows, counts, trials) if sizes else start
    dx, few, psi = direction(rng, rows, C), slice(0, 4), psi_of(model)

    def moved(at: np.ndarray) -> Model:
        changed = at_psi(model, at)
        return (
            dense_modes(changed, rows, counts, trials)[0]
            if level == "conditional" and sizes
            else changed
        )

    here, along = rows.part(few.start, few.stop), dx.part(few.start, few.stop)
    check(
        predicted(model, here, level, scale),
        lambda at: value(moved(at), here, level, scale),
        psi,
    )

    def slope(at: np.ndarray) -> np.ndarray:
        m = moved(at)
        return central_differences(
            lambda s: value(m, shifted(here, along, float(s[0])), level, scale), np.zeros(1), 5e-4
        )[0]

    found = predicted_slope(model, here, along, level, scale)
    np.testing.assert_allclose(found.value, slope(psi), rtol=0, atol=1e-9)

    def exact(at: np.ndarray) -> np.ndarray:
        return predicted_slope(with_modes(moved(at), model), here, along, level, scale).value

    numeric = np.moveaxis(central_differences(exact, psi, 1e-3), 0, -1)
    np.testing.assert_allclose(found.by_psi, numeric, rtol=0, atol=2e-8)


def with_modes(model: Model, other: Model) -> Model:
    """Derivatives of modes are not looked at, but must be there."""
    return replace(model, modes=other.modes)
