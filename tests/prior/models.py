"""Models for the tests of priors: random designs, and the context of real data."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from multilogit.data.model_frame import ModelFrame
from multilogit.evaluation import Evaluation
from multilogit.formula import build_frame
from multilogit.likelihood.covariance import CovarianceStructure
from multilogit.likelihood.fixed import FixedLikelihood
from multilogit.likelihood.grouped import GroupedLikelihood
from multilogit.newton import Solution, maximise
from multilogit.objective import Sum
from multilogit.prior import BoundPrior, Prior, PriorContext, bind

Array = NDArray[np.float64]


def structure(blocks: tuple[int, ...]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Rows and columns of Λ that the elements of θ stand for."""
    if not blocks:
        none = np.zeros(0, dtype=np.intp)
        return none, none
    covariance = CovarianceStructure.of_blocks(blocks)
    return covariance.rows, covariance.columns


def context(
    x: Array,
    counts: Array,
    trials: Array | None = None,
    offset: Array | None = None,
    blocks: tuple[int, ...] = (),
    names: tuple[str, ...] | None = None,
) -> PriorContext:
    """What a prior sees of a model with design ``x`` and counts of shape ``(n, C)``."""
    n, p = x.shape
    counts = counts.reshape(n, -1)
    trials = np.ones(n) if trials is None else trials
    return PriorContext(
        tuple(np.ascontiguousarray(column) for column in x.T),
        names or ("(Intercept)", *(f"x{k}" for k in range(1, p))),
        trials,
        offset,
        counts.sum(axis=0) / trials.sum(),
        *structure(blocks),
        blocks,
    )


def random_context(
    seed: int,
    *,
    n: int = 23,
    p: int = 3,
    n_logits: int = 1,
    blocks: tuple[int, ...] = (),
    extras: bool = True,
) -> PriorContext:
    """A random design with an intercept; with offsets and unequal trials where ``extras``."""
    rng = np.random.default_rng(seed)
    x = np.column_stack([np.ones(n), rng.normal(size=(n, p - 1))])
    trials = rng.integers(0, 5, size=n) * rng.uniform(0.2, 2.0, size=n) + 0.01
    trials = trials if extras else np.ones(n)
    shares = rng.dirichlet(np.ones(n_logits + 1), size=n)
    offset = rng.normal(size=n) if extras else None
    return context(x, trials[:, None] * shares[:, 1:], trials, offset, blocks)


@st.composite
def contexts(draw: st.DrawFn) -> PriorContext:
    """Random contexts: binomial and multinomial, with and without random effects."""
    return random_context(
        draw(st.integers(0, 2**32 - 1)),
        n=draw(st.integers(12, 40)),
        p=draw(st.integers(1, 4)),
        n_logits=draw(st.integers(1, 3)),
        blocks=draw(st.sampled_from([(), (1,), (2,), (2, 1), (3,)])),
        extras=draw(st.booleans()),
    )


def point(model: PriorContext, seed: int = 0) -> Array:
    """A random ψ, elements of the diagonal of Λ away from 0 but of either sign."""
    psi = np.random.default_rng(seed).normal(size=model.size)
    theta = psi[model.n_beta :]
    theta += np.where(model.diagonal, 0.3 * np.sign(theta), 0.0)
    return psi


def probabilities(model: PriorContext, beta: Array) -> Array:
    """π at b = 0, shape ``(n, J)``, straight from its definition."""
    eta = np.column_stack(model.columns) @ beta.reshape(model.n_logits, model.p).T
    if model.offset is not None:
        eta = eta + model.offset[:, None]
    every = np.exp(np.column_stack([np.zeros(len(eta)), eta]))
    return np.asarray(every / every.sum(axis=1, keepdims=True))


def check_derivatives(bound: BoundPrior, psi: Array, tolerance: float = 2e-8) -> None:
    """Gradient and Hessian against central differences of fourth order."""
    at = bound.evaluate(psi)
    assert np.array_equal(at.hessian, at.hessian.T)
    h = 2e-3 * np.minimum(np.abs(psi), 1.0)
    for k in range(psi.size):
        step = np.zeros(psi.size)
        step[k] = h[k]
        around = [bound.evaluate(psi + t * step) for t in (-2, -1, 1, 2)]
        gradient = _difference([e.value for e in around]) / h[k]
        hessian = _difference([e.gradient for e in around]) / h[k]
        size = 1.0 + np.abs(at.hessian).max()
        np.testing.assert_allclose(at.gradient[k], gradient, rtol=0, atol=tolerance * size)
        np.testing.assert_allclose(at.hessian[k], hessian, rtol=0, atol=tolerance * size)


def _difference(values: list[Any]) -> Any:
    a, b, c, d = values
    return (a - 8.0 * b + 8.0 * c - d) / 12.0


def maximum(
    likelihood: FixedLikelihood, prior: Prior | BoundPrior, model: PriorContext
) -> Solution:
    """The posterior mode of a single-level model, from β = 0."""
    objective = Sum((likelihood, bind(prior, model)))
    return maximise(objective, np.zeros(model.size), tolerance=1e-11, gradient_tolerance=1e-10)


def standard_errors(likelihood: FixedLikelihood, psi: Array) -> Array:
    """From the observed information of the likelihood."""
    return _standard_errors(likelihood.evaluate(psi))


def posterior_sd(solution: Solution) -> Array:
    """From the Hessian of the log posterior."""
    return _standard_errors(solution.evaluation)


def _standard_errors(evaluation: Evaluation) -> Array:
    return np.asarray(np.sqrt(np.linalg.inv(-evaluation.hessian).diagonal()))


# -- real data -----------------------------------------------------------------------------


def frame_of(formula: str, data: Any, **options: Any) -> ModelFrame:
    return build_frame(formula, data, **options)[0]


def context_of(frame: ModelFrame) -> PriorContext:
    response = frame.response
    weights = np.ones_like(response.trials) if response.weights is None else response.weights
    trials = weights * response.trials
    blocks = tuple(len(block.columns) for block in frame.random)
    return PriorContext(
        frame.fixed.columns,
        frame.fixed.names,
        trials,
        frame.offset,
        weights @ response.counts / trials.sum(),
        *structure(blocks),
        blocks,
    )


def single_level(frame: ModelFrame) -> FixedLikelihood:
    response = frame.response
    return FixedLikelihood(
        frame.fixed.columns, response.counts, response.trials, frame.offset, response.weights
    )


def mixed(frame: ModelFrame, nodes: int = 1) -> GroupedLikelihood:
    (grouping,) = frame.groupings.values()
    return GroupedLikelihood(
        frame.fixed.columns,
        [column for block in frame.random for column in block.columns],
        [len(block.columns) for block in frame.random],
        np.ascontiguousarray(frame.response.counts[:, 0]),
        frame.response.trials,
        grouping.codes,
        len(grouping.levels),
        nodes=nodes,
    )


def mixed_maximum(frame: ModelFrame, prior: Prior | BoundPrior, nodes: int = 1) -> Solution:
    """The posterior mode of a model with one grouping factor, from β = 0 and Σ = ¼I."""
    likelihood, model = mixed(frame, nodes), context_of(frame)
    unit = likelihood.z_scale[model.theta_rows]
    start = np.concatenate([np.zeros(model.n_beta), np.where(model.diagonal, 0.5, 0.0) / unit])
    caps = np.concatenate([np.full(model.n_beta, np.inf), 2.0 / unit])
    return maximise(Sum((likelihood, bind(prior, model))), start, max_change=caps)
