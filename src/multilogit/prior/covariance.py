"""Priors of the random effects' covariance matrices, Σ = ΛΛ': the Wishart family.

For every block of q correlated effects

    log π(Σ) = ½ α log|Σ| − ½ τ tr(Σ) = α Σ_j log|l_jj| − ½ τ Σ_{i≥j} l_ij²  (+ constant),

the kernel of Wishart(q + 1 + α, I/τ) with respect to dΣ. In θ, the elements of Λ, it is a sum of
functions of one element each. It is even in every element of the diagonal, −∞ at l_jj = 0 (α
keeps standard deviations off 0, τ off infinity), concave between, and a function of Σ alone:
the order of the effects does not matter.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from multilogit.errors import OptionError, Status
from multilogit.evaluation import Evaluation, Vector
from multilogit.prior.base import BoundPrior, PriorContext, embed
from multilogit.prior.options import positive
from multilogit.prior.specification import BoundSum, Specification


@dataclass(frozen=True, slots=True)
class CovarianceRelativeEntropy(Specification):
    """Random effects near N(0, s²I): −κ KL(N(0, Σ) ‖ N(0, s²I)) for every block.

    With q effects it is (κ/2) {log|Σ| − tr(Σ)/s² + q − q log s²}: Wishart(q + 1 + κ, s²I/κ).

    Parameters
    ----------
    strength
        κ. 1 keeps standard deviations off 0 (Chung et al. 2013, who multiply the likelihood by
        |Σ|^½) and barely informs where data do.
    scale
        s: standard deviation of the reference, in logits per unit of the effect's column. 5
        keeps standard deviations off infinity.

    Raises
    ------
    OptionError
        If an option is not a positive finite number.

    References
    ----------
    Chung, Y., Rabe-Hesketh, S., Dorie, V., Gelman, A. & Liu, J. (2013), A nondegenerate
    penalized likelihood estimator for variance parameters in multilevel models, Psychometrika
    78.
    """

    strength: float = 1.0
    scale: float = 5.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "strength", positive(self.strength, "strength"))
        object.__setattr__(self, "scale", positive(self.scale, "scale"))

    def bind(self, context: PriorContext, /) -> BoundCovariance:
        """The log density of θ for one model; 0 without random effects."""
        q = int(context.diagonal.sum())
        constant = 0.5 * self.strength * q * (1.0 - 2.0 * math.log(self.scale))
        return BoundCovariance(
            context,
            powers=np.full(q, self.strength),
            precision=self.strength / self.scale**2,
            constant=constant,
        )


@dataclass(frozen=True, slots=True)
class Wishart(Specification):
    """Wishart(df, s²I) for the covariance matrix of every block of random effects.

    log π(Σ) = ½ (df − q − 1) log|Σ| − tr(Σ) / (2s²) with respect to dΣ, without its constant.

    Parameters
    ----------
    df
        Degrees of freedom, more than q + 1 for every block of q effects (else the density is
        unbounded, or flat, at Σ = 0). None: q + 2.5, the default of R's ``blme``: ¾ log|Σ|.
    scale
        s; inf (also blme's default): the improper density |Σ|^½(df − q − 1), which keeps
        standard deviations off 0 but not off infinity.

    Raises
    ------
    OptionError
        If an option is not positive.
    """

    df: float | None = None
    scale: float = math.inf

    def __post_init__(self) -> None:
        if self.df is not None:
            object.__setattr__(self, "df", positive(self.df, "df"))
        object.__setattr__(self, "scale", positive(self.scale, "scale", infinite=True))

    def bind(self, context: PriorContext, /) -> BoundCovariance:
        """The log density of θ for one model; 0 without random effects.

        Raises
        ------
        OptionError
            If ``df`` is too small for a block.
        """
        excess = [1.5 if self.df is None else self.df - q - 1.0 for q in context.blocks]
        if min(excess, default=1.0) <= 0.0:
            q = max(context.blocks)
            raise OptionError(
                f"df={self.df} is too small for {q} correlated effects: give more than {q + 1}."
            )
        return BoundCovariance(
            context, np.repeat(excess, context.blocks), precision=self.scale**-2.0, constant=0.0
        )


class BoundCovariance:
    """Σ_j α_j log|l_jj| − ½ τ Σ l_ij² + constant, of θ.

    Parameters
    ----------
    context
        The model.
    powers
        Shape ``(q,)``: α of each random effect, the elements of all blocks.
    precision
        τ.
    constant
        Added to the value.
    """

    depends_on_order = False

    def __init__(
        self, context: PriorContext, powers: Vector, precision: float, constant: float
    ) -> None:
        self.size = context.size
        self.first = context.n_beta
        self.diagonal: NDArray[np.bool_] = context.diagonal
        self.precision = precision
        self.constant = constant
        self.powers = np.zeros(context.m)
        self.powers[self.diagonal] = powers[context.theta_rows[self.diagonal]]

    def evaluate(self, psi: Vector, /) -> Evaluation:
        """log π(θ); −∞ where an element of the diagonal is 0."""
        theta = psi[self.first :]
        if not theta[self.diagonal].all():
            nowhere = np.full(theta.size, np.nan)
            impossible = Evaluation(-math.inf, nowhere, np.diag(nowhere), Status.NOT_FINITE)
            return embed(impossible, self.size, self.first)
        l = np.where(self.diagonal, theta, 1.0)  # noqa: E741  # the letter of the equation
        value = self.powers @ np.log(np.abs(l)) - 0.5 * self.precision * (theta @ theta)
        gradient = self.powers / l - self.precision * theta
        hessian = np.diag(-self.powers / l**2 - self.precision)
        evaluation = Evaluation(float(value) + self.constant, gradient, hessian)
        return embed(evaluation, self.size, self.first)

    def log_normaliser(self) -> float:
        """log Z of the value as a density of θ with l_jj > 0: log ∫ exp(value) dθ.

        ∫ l^α exp(−τ l²/2) dl = ½ (2/τ)^½(α+1) Γ(½(α + 1)) for each element of the diagonal,
        (2π/τ)^½ for each below it. inf where τ = 0. For q > 1 the reading as a density of θ
        (not the maximum) depends on the order of the effects.
        """
        if self.precision == 0.0 and self.powers.size:
            return math.inf
        half = 0.5 * (self.powers[self.diagonal] + 1.0)
        scale = 2.0 / self.precision if self.powers.size else 1.0
        diagonal = sum(a * math.log(scale) + math.lgamma(a) - math.log(2.0) for a in half.tolist())
        below = int((~self.diagonal).sum())
        return float(self.constant + diagonal + 0.5 * below * math.log(math.pi * scale))


CovariancePrior = CovarianceRelativeEntropy | Wishart


def check_covariance(covariance: object) -> None:
    """Raise ``OptionError`` unless ``covariance`` is a prior of covariance matrices or None."""
    if covariance is not None and not isinstance(covariance, CovariancePrior):
        raise OptionError(
            f"covariance={covariance!r}: give CovarianceRelativeEntropy(), Wishart(), or None."
        )


def with_covariance(
    bound: BoundPrior, covariance: CovariancePrior | None, context: PriorContext
) -> BoundPrior:
    """``bound`` plus the prior of the covariance matrices, where there are both."""
    if covariance is None or context.m == 0:
        return bound
    return BoundSum((bound, covariance.bind(context)))
