"""What assessments return: frozen objects around tidy tables."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd


@dataclass(frozen=True, slots=True, eq=False)
class ResidualTests:
    """Quantile residuals and their tests; prints as the table of tests.

    Attributes
    ----------
    table
        One row per test: ``test``, ``of`` (category of the response, or grouping factor),
        ``statistic``, ``expected`` (its mean under the model, NaN where it is not known),
        ``p_value``. See :meth:`multilogit.Fit.residual_tests`.
    residuals
        One row per row of the fit and category: ``row`` (number in the data), ``category``,
        ``u`` (uniform under the model), ``z`` = Φ⁻¹(u), ``fitted`` (probability).
    level
        ``"conditional"`` or ``"marginal"``.
    n_simulations
        Simulated responses behind the p-values.
    seed
        Of the random numbers.
    """

    table: pd.DataFrame
    residuals: pd.DataFrame
    level: str
    n_simulations: int
    seed: int

    def __repr__(self) -> str:
        """The table of tests."""
        title = f"Tests of quantile residuals ({self.level}, {self.n_simulations} simulations)"
        text = self.table.to_string(index=False, na_rep="", float_format="{:.4g}".format)
        return f"{title}\n{text}"


@dataclass(frozen=True, slots=True, eq=False)
class Influence:
    """What leaving rows or groups out does to the estimates; prints the most influential.

    Attributes
    ----------
    of
        What was left out: ``"row"``, or the name of the grouping factor.
    table
        ``level`` (row number or group), ``rows`` (how many), for single rows ``hat``
        (leverage), and ``cooks_distance``.
    dfbeta
        One row per level: estimates minus estimates without it, a column per coefficient and
        per standard deviation ``"sd_x|g"``. One Newton step, not a refit.
    dfbetas
        The same in standard errors.
    """

    of: str
    table: pd.DataFrame
    dfbeta: pd.DataFrame
    dfbetas: pd.DataFrame

    def __repr__(self) -> str:
        """The five levels of largest Cook's distance."""
        most = self.table.nlargest(5, "cooks_distance")
        what = f"Influence of {len(self.table)} levels of {self.of}; the largest:"
        return f"{what}\n{most.to_string(index=False)}"


@dataclass(frozen=True, slots=True, eq=False)
class Roc:
    """ROC curves; prints the areas under them.

    Attributes
    ----------
    auc
        Area under the curve; for more than two categories the mean over pairs of Hand and
        Till (2001).
    areas
        One row per category, against all others: ``category``, ``auc``, ``se``, ``lower``,
        ``upper``.
    table
        The curves: ``category``, ``threshold`` (falling), ``sensitivity``, ``specificity``.
    level
        Which probabilities.
    """

    auc: float
    areas: pd.DataFrame
    table: pd.DataFrame
    level: str

    def __repr__(self) -> str:
        """The areas."""
        text = self.areas.to_string(index=False, na_rep="", float_format="{:.4f}".format)
        return f"Area under the ROC curve ({self.level} probabilities)\n{text}"


@dataclass(frozen=True, slots=True, eq=False)
class Calibration:
    """Observed shares against probabilities; prints the bins.

    Attributes
    ----------
    table
        ``category``, ``bin``, ``trials``, ``predicted`` (mean probability), ``observed``
        (share), ``lower``, ``upper`` (Wilson).
    line
        Logistic recalibration logit Pr(y) = a + b logit π: ``category``, ``parameter``
        (``"intercept"`` a, ``"slope"`` b, ``"in_the_large"``: a with b = 1), ``estimate``,
        ``se``, ``lower``, ``upper``.
    level
        Which probabilities.
    """

    table: pd.DataFrame
    line: pd.DataFrame
    level: str

    def __repr__(self) -> str:
        """The bins and the line."""
        parts = [
            part.to_string(index=False, na_rep="", float_format="{:.4f}".format)
            for part in (self.table, self.line)
        ]
        return f"Calibration ({self.level} probabilities)\n" + "\n\n".join(parts)


@dataclass(frozen=True, slots=True, eq=False)
class GoodnessOfFit:
    """Tests of a single-level model against more general ones; prints the tests.

    Attributes
    ----------
    table
        ``test``, ``statistic``, ``df``, ``p_value`` (NaN where the data are too sparse).
    bins
        Behind Hosmer and Lemeshow's test: ``bin``, ``category``, ``trials``, ``observed``,
        ``expected``.
    """

    table: pd.DataFrame
    bins: pd.DataFrame

    def __repr__(self) -> str:
        """The tests."""
        text = self.table.to_string(index=False, na_rep="", float_format="{:.4g}".format)
        return f"Goodness of fit\n{text}"
