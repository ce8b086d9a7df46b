"""Priors of the random effects' covariance matrices, Σ = ΛΛ': the Wishart family.

For every block of q correlated effects

    log π(Σ) = ½ α log|Σ| − ½ tr(TΣ) = α Σ_j log|l_jj| − ½ tr(TΛΛ')  (+ constant),

the kernel of Wishart(q + 1 + α, T⁻¹) with respect to dΣ. T = R⁻¹τ, R = I for a binary response;
then it is, in θ, the elements of Λ, a sum of functions of one element each. It is even in every
column of Λ, −∞ at l_jj = 0 (α keeps standard deviations off 0, τ off infinity), concave between,
and a function of Σ alone: the order of the effects does not matter.

In multinomial models R correlates the logits of one column of Z by ½
(:func:`reference_correlation`), so that the prior of a full covariance matrix is the same
whichever category is the baseline.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from multilogit.errors import OptionError
from multilogit.evaluation import Evaluation, Matrix, Vector
from multilogit.prior.base import BoundPrior, PriorContext, embed, impossible
from multilogit.prior.options import positive
from multilogit.prior.specification import BoundSum, Specification


@dataclass(frozen=True, slots=True)
class CovarianceRelativeEntropy(Specification):
    """Random effects near N(0, s²R): −κ KL(N(0, Σ) ‖ N(0, s²R)) for every block.

    R = I for a binary response. With q effects it is then (κ/2) {log|Σ| − tr(Σ)/s² + q −
    q log s²}: Wishart(q + 1 + κ, s²I/κ). In multinomial models the logits of one column have
    the correlation ½ in R, as differences of independent effects of all categories: no category
    is special.

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
        R = reference_correlation(context)
        q = len(R)
        log_determinant = 2.0 * q * math.log(self.scale) + float(np.linalg.slogdet(R)[1])
        return BoundCovariance(
            context,
            powers=np.full(q, self.strength),
            precision=np.asarray(np.linalg.inv(R) * (self.strength / self.scale**2)),
            constant=0.5 * self.strength * (q - log_determinant),
        )


@dataclass(frozen=True, slots=True)
class Wishart(Specification):
    """Wishart(df, s²R) for the covariance matrix of every block of random effects.

    log π(Σ) = ½ (df − q − 1) log|Σ| − tr(R⁻¹Σ) / (2s²) with respect to dΣ, without its constant;
    R = I for a binary response, else as in :class:`CovarianceRelativeEntropy`.

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
        precision = np.asarray(np.linalg.inv(reference_correlation(context)) * self.scale**-2.0)
        return BoundCovariance(context, np.repeat(excess, context.blocks), precision, constant=0.0)


def reference_correlation(context: PriorContext) -> Matrix:
    """R, shape ``(q, q)``: the correlations of the random effects' reference distribution.

    I, but ½ between the effects of one column of Z on different logits, where the model
    correlates them: that is how the differences b_j − b_0 of independent effects of all J
    categories are correlated. It looks the same from every baseline: for the linear map L from
    one set of logits to another, LRL' = R.
    """
    R = np.eye(int(context.diagonal.sum()))
    if not context.effect_logits:
        return R
    logits, first = context.effect_logits, 0
    for size in context.blocks:
        block = range(first, first + size)
        column = {a: sum(logits[b] == logits[a] for b in block if b < a) for a in block}
        for a in block:
            for b in block:
                if a != b and column[a] == column[b]:
                    R[a, b] = 0.5
        first += size
    return R


class BoundCovariance:
    """Σ_j α_j log|l_jj| − ½ tr(TΛΛ') + constant, of θ.

    Parameters
    ----------
    context
        The model.
    powers
        Shape ``(q,)``: α of each random effect, the elements of all blocks.
    precision
        Shape ``(q, q)``: T, effects in the user's order; 0 between blocks.
    constant
        Added to the value.
    """

    depends_on_order = False

    def __init__(
        self, context: PriorContext, powers: Vector, precision: Matrix, constant: float
    ) -> None:
        self.size = context.size
        self.first = context.n_beta
        self.diagonal: NDArray[np.bool_] = context.diagonal
        self.precision = precision
        self.constant = constant
        self.powers = np.zeros(context.m)
        self.powers[self.diagonal] = powers[context.theta_rows[self.diagonal]]
        self._rows, self._columns = context.theta_rows, context.theta_columns
        self._order = context.order
        self._quadratic: tuple[tuple[int, ...], Matrix] | None = None

    @property
    def quadratic(self) -> Matrix:
        """M, shape ``(m, m)``: tr(TΛΛ') = θ'Mθ, for the present order of the effects."""
        order = tuple(range(len(self.precision))) if self._order is None else self._order()
        if self._quadratic is None or self._quadratic[0] != order:
            T = self.precision[np.ix_(order, order)]
            same = np.equal.outer(self._columns, self._columns)
            M = np.where(same, T[np.ix_(self._rows, self._rows)], 0.0)
            self._quadratic = (order, M)
        return self._quadratic[1]

    def evaluate(self, psi: Vector, /) -> Evaluation:
        """log π(θ); −∞ where an element of the diagonal is 0."""
        theta = psi[self.first :]
        if not theta[self.diagonal].all():
            return embed(impossible(theta.size), self.size, self.first)
        l = np.where(self.diagonal, theta, 1.0)  # noqa: E741  # the letter of the equation
        pull = self.quadratic @ theta
        value = self.powers @ np.log(np.abs(l)) - 0.5 * (theta @ pull)
        gradient = self.powers / l - pull
        hessian = np.diag(-self.powers / l**2) - self.quadratic
        evaluation = Evaluation(float(value) + self.constant, gradient, hessian)
        return embed(evaluation, self.size, self.first)

    def log_normaliser(self) -> float:
        """log Z of the value as a density of θ with l_jj > 0: log ∫ exp(value) dθ.

        Column by column of Λ. The k elements below the diagonal are normal given l_jj and leave
        (2π)^½k |T_below|^−½ exp(−τ l_jj²/2), τ = |T_from j| / |T_below|; and
        ∫ l^α exp(−τ l²/2) dl = ½ (2/τ)^½(α+1) Γ(½(α + 1)). inf where T = 0. For q > 1 the
        reading as a density of θ (not the maximum) depends on the order of the effects.
        """
        if self.powers.size and not self.precision.any():
            return math.inf
        total = self.constant
        for at in np.flatnonzero(self.diagonal):
            column = self._columns == self._columns[at]
            M = self.quadratic[np.ix_(column, column)]  # its first element is on the diagonal
            below = float(np.linalg.slogdet(M[1:, 1:])[1])
            log_tau = float(np.linalg.slogdet(M)[1]) - below
            a = 0.5 * (self.powers[at] + 1.0)
            total += 0.5 * (len(M) - 1) * math.log(2.0 * math.pi) - 0.5 * below
            total += a * (math.log(2.0) - log_tau) + math.lgamma(a) - math.log(2.0)
        return total


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
