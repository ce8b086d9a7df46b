"""New responses from a fitted model.

Level ``"marginal"`` draws new random effects b ~ N(0, ΛΛ') for every level of every grouping
factor and then the response, so that a simulated data set is one that the model might have
produced in other groups of the same sizes. Level ``"conditional"`` keeps the random effects at
their modes b̂: the same groups, observed again.

Every draw has a random stream of its own, a function of the seed and the number of the draw:
draw 7 of 10 is draw 7 of 1000, whoever makes it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from multilogit.assess.model import Model
from multilogit.predict import Matrix, Vector, probabilities

Level = Literal["marginal", "conditional"]


def stream(seed: int, draw: int) -> np.random.Generator:
    """The random numbers of one draw: independent of every other draw and seed."""
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(draw,)))


def simulate(
    model: Model, draws: Iterable[int], seed: int = 0, level: Level = "marginal"
) -> Iterator[Matrix]:
    """Draw data sets, one after the other.

    Parameters
    ----------
    model
        The model at its estimates. Counts are drawn out of ``model.response.trials``; frequency
        weights are not looked at (:func:`whole_trials` multiplies them in).
    draws
        Numbers of the data sets, such as ``range(1000)``.
    seed
        Of the random numbers.
    level
        ``"marginal"``: new random effects; ``"conditional"``: at the modes.

    Yields
    ------
    counts
        Shape ``(n_rows, C)``, F-ordered: counts of the categories other than the baseline,
        as in :class:`multilogit.data.model_frame.Response`.
    """
    at_modes = probabilities(model.eta()) if level == "conditional" or not model.factors else None
    for draw in draws:
        yield draw_counts(model, stream(seed, draw), at_modes)


def draw_counts(
    model: Model, rng: np.random.Generator, given: Matrix | None = None
) -> NDArray[np.float64]:
    """One data set, with new random effects or, where they are given, at probabilities.

    ``given`` has shape ``(n_rows, J)``. Returns counts as :func:`simulate` yields them.
    """
    if given is None:
        given = probabilities(model.eta(draw_effects(model, rng)))
    return multinomial_counts(given, model.response.trials, rng)


def draw_effects(model: Model, rng: np.random.Generator) -> list[Matrix]:
    """b = Λu, u ~ N(0, I), of every level of every factor: shapes ``(n_levels, q)``."""
    return [rng.standard_normal(f.modes.shape) @ f.Lambda.T for f in model.factors]


def multinomial_counts(pi: Matrix, trials: Vector, rng: np.random.Generator) -> Matrix:
    """Counts of the categories other than the first, shape ``(n, J − 1)``, F-ordered.

    Category by category: given those before it, the count of category j is binomial with
    probability π_j / (π_j + … + π_J) among the trials that are left.
    """
    n, categories = pi.shape
    out = np.empty((n, categories - 1), order="F")
    single = bool((trials == 1.0).all())
    left, mass = trials.astype(np.int64), np.ones(n)
    for j in range(1, categories):
        share = np.clip(np.divide(pi[:, j], mass, out=np.zeros(n), where=mass > 0.0), 0.0, 1.0)
        if single:  # many times faster than the binomial generator
            out[:, j - 1] = (rng.random(n) < share) & (left > 0)
        else:
            out[:, j - 1] = rng.binomial(left, share)
        left = left - out[:, j - 1].astype(np.int64)
        mass = mass - pi[:, j]
    return out


def whole_trials(trials: Vector, weights: Vector | None) -> Vector | None:
    """Trials with the frequency weights multiplied in; None if these are not whole numbers.

    A row of weight w stands for w equal rows, which are w·n trials together.
    """
    if weights is None:
        return trials
    whole = np.asarray(trials * weights)
    return whole if bool((whole == np.floor(whole)).all()) else None
