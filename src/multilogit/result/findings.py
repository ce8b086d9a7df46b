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
