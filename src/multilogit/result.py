"""The frozen result of a fit."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from multilogit.data.model_frame import ModelFrame
from multilogit.errors import Diagnostic
from multilogit.formula.design import Design
from multilogit.newton import Solution


@dataclass(frozen=True, slots=True)
class Spec:
    """What the user asked for, as plain values: enough to repeat the call.

    Attributes
    ----------
    formula
        As given.
    options
        The other keywords of :func:`multilogit.fit` that differ from their defaults.
    """

    formula: str
    options: dict[str, object]


@dataclass(frozen=True, slots=True)
class RandomEffects:
    """Random effects of one grouping factor, all its bar terms together.

    Attributes
    ----------
    group
        Name of the grouping factor.
    names
        q names of the effects, in the order of the bar terms.
    blocks
        Sizes of the bar terms; they add up to q. Effects of different blocks are independent.
    theta
        Slice of ψ that holds the free elements of Λ: per block the column-major lower
        triangle, blocks in order.
    Lambda
        Shape ``(q, q)``, lower-triangular, non-negative diagonal: Σ = ΛΛ'.
    modes
        Shape ``(n_levels, q)``: conditional modes b̂ = Λû.
    mode_covariance
        Shape ``(n_levels, q, q)``: ΛH⁻¹Λ', the conditional covariance of b at the mode.
    """

    group: str
    names: tuple[str, ...]
    blocks: tuple[int, ...]
    theta: slice
    Lambda: NDArray[np.float64]
    modes: NDArray[np.float64]
    mode_covariance: NDArray[np.float64]


@dataclass(frozen=True)
class Fit:
    """A fitted model.

    Attributes
    ----------
    spec
        What was asked for.
    design
        Rebuilds the design columns for new data.
    frame
        The data as estimation saw them (after aliased columns were dropped).
    solution
        ψ̂ = (β̂, θ̂), the objective there, status and trace. β is ordered category by category
        (all columns for the first non-baseline category, then the next); θ follows.
    covariance
        Shape ``(d, d)``: inverse of the observed information of ψ; rows and columns of
        parameters on their boundary (zero variances) are NaN.
    loglik
        Full log-likelihood, with the binomial or multinomial coefficients.
    null_loglik, saturated_loglik
        Log-likelihood of the intercept-only (or offset-only) model and of the saturated
        model, both without random effects: what the null and residual deviance are made of.
    random
        One entry per grouping factor.
    aliased
        Names of columns that were dropped because they depend on earlier ones.
    seconds
        Wall time of the fit, s.
    """

    spec: Spec
    design: Design
    frame: ModelFrame
    solution: Solution
    covariance: NDArray[np.float64]
    loglik: float
    null_loglik: float
    saturated_loglik: float
    random: tuple[RandomEffects, ...]
    aliased: tuple[str, ...]
    diagnostics: tuple[Diagnostic, ...]
    seconds: float
