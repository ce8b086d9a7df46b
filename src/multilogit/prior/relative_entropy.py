"""Relative entropy of the predictions to a reference distribution: pseudo-observations.

    log π(β) = −λ Σ_i n_i KL(u ‖ π_i),    λ = κ / Σ_i n_i,    π_i at b = 0

Since −KL(u ‖ π) = Σ_j u_j log π_j + H(u), this is the log-likelihood of λ n_i trials with counts
λ n_i u in every row: κ pseudo-observations spread over the design, with mean u. It is the
conjugate prior of Diaconis & Ylvisaker (1979); Clogg et al. (1991) use it with u = ȳ; Rigon &
Aliverti (2023) with u = ½. Concave; proper where X has full column rank and no u_j is 0;
equivariant under every linear reparametrisation of X.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from multilogit import _core
from multilogit.errors import OptionError, Status
from multilogit.evaluation import Evaluation, Vector
from multilogit.likelihood.columns import x_log
from multilogit.prior.base import BoundPrior, PriorContext, RowsElsewhere, embed
from multilogit.prior.covariance import (
    CovariancePrior,
    CovarianceRelativeEntropy,
    check_covariance,
    with_covariance,
)
from multilogit.prior.options import Strength, checked_strength, resolved_strength
from multilogit.prior.specification import StrengthSpecification

Reference = Literal["tempered", "marginal", "uniform"] | float | tuple[float, ...]
_NAMED = ("tempered", "marginal", "uniform")


@dataclass(frozen=True, slots=True)
class RelativeEntropy(StrengthSpecification):
    """Predictions near a reference distribution, random effects near N(0, s²I).

    Parameters
    ----------
    strength
        κ, the number of pseudo-observations. None: the number p of fixed effects in a binary
        model, pJ/2 with J categories. ``"auto"`` (empirical Bayes) and ``"cv"`` are chosen
        from the data when the model is fitted.
    reference
        u, the distribution of the pseudo-observations over the J categories.

        * ``"tempered"``: one pseudo-observation at 1/J, the other κ − 1 at the observed shares
          ȳ; u = (1/J + (κ − 1) ȳ) / κ. With κ < 1 all that there is of the one: u = 1/J.
        * ``"marginal"``: u = ȳ. Leaves the average prediction alone, but holds a coefficient
          only by κ min(u) pseudo-observations: weak where events are rare.
        * ``"uniform"``: u = 1/J. Pulls rare events up.
        * J positive shares, the baseline first; or, for two categories, the probability of
          success.
    covariance
        Prior of the random effects' covariance matrices; None: flat.

    Raises
    ------
    OptionError
        If an option has a value that cannot be used.

    References
    ----------
    Rigon, T. & Aliverti, E. (2023), Conjugate priors and bias reduction for logistic regression
    models, Statistics & Probability Letters 202. Clogg, C. C. et al. (1991), Multiple imputation
    of industry and occupation codes in census public-use samples using Bayesian logistic
    regression, JASA 86.
    """

    strength: Strength = None
    reference: Reference = "tempered"
    covariance: CovariancePrior | None = field(default_factory=CovarianceRelativeEntropy)

    def __post_init__(self) -> None:
        object.__setattr__(self, "strength", checked_strength(self.strength, ("auto", "cv")))
        object.__setattr__(self, "reference", _checked_reference(self.reference))
        check_covariance(self.covariance)

    def bind(self, context: PriorContext, /) -> BoundPrior:
        """The log density of (β, θ) for one model.

        Raises
        ------
        OptionError
            If the strength is unresolved, or the reference does not have J shares.
        """
        kappa = resolved_strength(self.strength, context)
        u = reference_shares(self.reference, kappa, context.shares)
        bound: BoundPrior = (
            BoundRelativeEntropy(context, kappa, u)
            if context.elsewhere is None
            else RelativeEntropyElsewhere(context, context.elsewhere, kappa, u)
        )
        return with_covariance(bound, self.covariance, context)


class BoundRelativeEntropy:
    """−λ Σ_i n_i KL(u ‖ π_i), of β.

    Parameters
    ----------
    context
        The model.
    kappa
        Pseudo-observations.
    u
        Shape ``(J,)``: their distribution, the baseline first.
    """

    depends_on_order = False

    def __init__(self, context: PriorContext, kappa: float, u: Vector) -> None:
        self.kappa = kappa
        self.u = u
        self.size = context.size
        self.n_beta = context.n_beta
        self.threads = context.threads
        trials = (kappa / context.total_trials) * context.trials
        offset = context.offset
        if offset is not None:
            offset = np.asfortranarray(np.repeat(offset[:, None], context.n_logits, axis=1))
        self._entropy = -kappa * float(x_log(u, u).sum())
        self._data = _core.FixedData(
            list(context.columns), np.asfortranarray(np.outer(trials, u[1:])), trials, offset, None
        )

    def evaluate(self, psi: Vector, /) -> Evaluation:
        """log π(ψ); 0 where every π_i = u, and its maximum."""
        beta = np.ascontiguousarray(psi[: self.n_beta])
        value, gradient, hessian, finite = self._data.evaluate(beta, self.threads)
        status = Status.OK if finite else Status.NOT_FINITE
        return embed(Evaluation(value + self._entropy, gradient, hessian, status), self.size)


class RelativeEntropyElsewhere:
    """The same where the rows are not in memory.

    The pseudo-observations differ from the observations in their counts alone, in which the
    log-likelihood is linear: with ℓ that of the observations without random effects,

        log π(β) = λ [ℓ(β) + Σ_i (n_i u − y_i)'η_i] + κ H(u),   η_i = o_i + x_i'β.

    Parameters
    ----------
    context
        The model.
    rows
        What is known of its rows.
    kappa, u
        As :class:`BoundRelativeEntropy`.
    """

    depends_on_order = False

    def __init__(self, context: PriorContext, rows: RowsElsewhere, kappa: float, u: Vector) -> None:
        self.kappa = kappa
        self.u = u
        self.size = context.size
        self.n_beta = context.n_beta
        self._single = rows.single
        self._scale = kappa / context.total_trials
        self._slope = (np.outer(u[1:], rows.trials) - rows.counts.T).ravel()
        at_zero = float(rows.trials_offset * u[1:].sum() - rows.counts_offset.sum())
        self._constant = self._scale * at_zero - kappa * float(x_log(u, u).sum())

    def evaluate(self, psi: Vector, /) -> Evaluation:
        """log π(ψ); 0 where every π_i = u, and its maximum."""
        beta = np.ascontiguousarray(psi[: self.n_beta])
        there = self._single.evaluate(beta)
        value = self._scale * (there.value + float(self._slope @ beta)) + self._constant
        gradient = self._scale * (there.gradient + self._slope)
        found = Evaluation(value, gradient, self._scale * there.hessian, there.status)
        return embed(found, self.size)


def reference_shares(reference: Reference, kappa: float, observed: Vector) -> Vector:
    """u, shape ``(J,)``, for κ pseudo-observations and the observed shares ȳ, shape ``(J,)``.

    Raises
    ------
    OptionError
        If an explicit reference does not have J shares.
    """
    n_categories = observed.size
    if reference == "marginal":
        return observed
    if reference == "uniform":
        return np.full(n_categories, 1.0 / n_categories)
    if reference == "tempered":
        flat = min(kappa, 1.0)
        return (flat / n_categories + (kappa - flat) * observed) / kappa
    shares = (1.0 - reference, reference) if isinstance(reference, float) else reference
    if len(shares) != n_categories:
        raise OptionError(
            f"reference={reference!r} has {len(shares)} shares; the response has {n_categories} "
            "categories, the baseline first."
        )
    return np.array(shares)


def _checked_reference(reference: str | ArrayLike) -> Reference:
    """A name, one probability as a float, or shares as a tuple that adds up to 1."""
    if isinstance(reference, str):
        if reference not in _NAMED:
            named = ", ".join(map(repr, _NAMED))
            raise OptionError(f"reference={reference!r}: use {named}, or an array of shares.")
        return reference  # type: ignore[return-value]  # one of the three literals
    try:
        shares = np.asarray(reference, dtype=np.float64)
    except (TypeError, ValueError):
        raise OptionError(f"reference={reference!r}: give a name or an array of shares.") from None
    every = np.array([1.0 - shares, shares]) if shares.ndim == 0 else shares
    if every.ndim != 1 or not (every > 0.0).all() or abs(every.sum() - 1.0) > 1e-8:
        raise OptionError(
            f"reference={reference!r}: give one positive share per category, the baseline first, "
            "that add up to 1; for two categories the probability of success will do."
        )
    if shares.ndim == 0:
        return float(shares)
    total = float(shares.sum())
    if abs(total - 1.0) > 1e-15 * shares.size:  # else: as given, so that a copy is the same
        shares = shares / total
    return tuple(shares.tolist())
