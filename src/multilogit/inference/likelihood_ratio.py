"""Likelihood ratio tests, also of variances, which lie on the boundary under the hypothesis.

2(ℓ₁ − ℓ₀) is compared with χ²_d, d the number of parameters that the larger model has more. If
among them is the variance of a random effect, the hypothesis puts it on the edge of its range,
and half of the time its estimate falls there: with one such variance, whatever covariances and
fixed effects come with it, the distribution is the mixture ½χ²_{d−1} + ½χ²_d (Self & Liang 1987,
JASA 82, case 5 and its neighbours; Stram & Lee 1994, Biometrics 50, cases 1 to 3). With several,
the cone of possible covariance matrices lies within a half-space, and the same mixture is an
upper bound: p-values are then too large rather than too small.
"""

from __future__ import annotations

from dataclasses import dataclass

from scipy.special import chdtrc


@dataclass(frozen=True, slots=True)
class RatioTest:
    """A likelihood ratio test.

    Attributes
    ----------
    statistic
        2(ℓ₁ − ℓ₀), at least 0.
    df
        d.
    n_variances
        How many of the d parameters are variances on their boundary.
    p_value
        Probability of a larger statistic.
    """

    statistic: float
    df: int
    n_variances: int
    p_value: float

    @property
    def reference(self) -> str:
        """The distribution that the statistic was compared with."""
        d = self.df
        if not self.n_variances:
            return f"chi2({d})"
        return f"0.5 chi2({d - 1}) + 0.5 chi2({d})"


def ratio_test(statistic: float, df: int, n_variances: int = 0) -> RatioTest:
    """The test of a statistic; ``n_variances`` > 0 uses the mixture.

    Parameters
    ----------
    statistic
        2(ℓ₁ − ℓ₀); below 0 it counts as 0.
    df
        At least 1.
    n_variances
        Variances of the larger model that are 0 in the smaller one.
    """
    x = max(statistic, 0.0)
    p = chi2_tail(x, df)
    if n_variances:
        p = 0.5 * (p + chi2_tail(x, df - 1))
    return RatioTest(x, df, n_variances, p)


def chi2_tail(x: float, df: int) -> float:
    """P(χ²_df ≥ x) for x > 0; χ²_0 is 0 with certainty."""
    if df == 0:
        return 1.0 if x <= 0.0 else 0.0
    return float(chdtrc(df, x))
