"""The methods of a fit that describe it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from multilogit.lazy import pd
from multilogit.result.description import later
from multilogit.result.description.tables import Tables

if TYPE_CHECKING:
    from multilogit.report.summary import Summary


class Described(Tables):
    """Summary, odds ratios, explained variance."""

    def summary(self) -> Summary:
        """Everything that R's ``summary`` prints; shows itself as text or, in a notebook, HTML."""
        return later.summary_content.summary_of(self)

    def odds_ratios(self, level: float = 0.95) -> pd.DataFrame:
        """exp β with Wald intervals: odds ratios at equal random effects.

        Columns ``odds_ratio``, ``lower``, ``upper``, ``p_value``; the intercept's row holds
        odds. For more than two categories: of odds against the baseline category.

        Raises
        ------
        OptionError
            If ``level`` is not between 0 and 1.
        """
        return later.odds_ratios.odds_ratios(self, level)

    def median_odds_ratio(self, level: float = 0.95) -> pd.DataFrame:
        """Median odds ratio between two random groups: exp(√(2σ²) Φ⁻¹(¾)).

        The odds ratio of two observations alike in everything but their group, the one of
        higher odds against the other: half of all pairs of groups are beyond it (Larsen &
        Merlo 2005). With random slopes it holds where the columns of the slopes are 0.

        Parameters
        ----------
        level
            Confidence level.

        Returns
        -------
        DataFrame
            One row per random intercept: ``group``, (``y_level``, the logit,)
            ``median_odds_ratio``, ``lower``, ``upper`` (Wald on the scale of log σ; NaN where
            σ is 0).

        Raises
        ------
        OptionError
            For models without random intercepts.
        """
        return later.odds_ratios.median_odds_ratios(self, level)

    def icc(self, level: float = 0.95) -> pd.DataFrame:
        """Intraclass correlations on the latent scale, whose error variance is π²/3.

        Parameters
        ----------
        level
            Confidence level.

        Returns
        -------
        DataFrame
            One row per grouping factor, and ``"(all)"`` if there are several: ``group``,
            (``y_level``, the logit,) ``variance`` (mean z'Σz over the observations: with random
            slopes Johnson 2014), ``icc`` = its share of all random variance and π²/3 (adjusted
            for the fixed effects), ``icc_conditional`` = its share of the variance of the
            fixed effects as well, ``se`` and an interval of ``icc`` by the delta method on the
            logit scale (NaN where the variance is 0).

        Raises
        ------
        OptionError
            For single-level models.
        DataNotSavedError
            If the fit was loaded from a file.
        """
        return later.explained_variance.icc(self, level)

    def r2(self) -> pd.Series | pd.DataFrame:
        """Coefficients of determination.

        Returns
        -------
        Series or DataFrame
            Multilevel: ``marginal`` (share of the fixed effects) and ``conditional`` (of fixed
            and random effects) of the variance of the latent scale (Nakagawa & Schielzeth
            2013, slopes as Johnson 2014), with error variance π²/3, and for two categories
            also ``marginal_delta`` and ``conditional_delta`` with 1/(p(1 − p)) at the observed
            share p (Nakagawa, Johnson & Schielzeth 2017). One row per logit for more than two.
            Every trial counts once.

            Single level: ``mcfadden``, ``mcfadden_adjusted`` (ℓ minus the parameters beyond the
            intercepts), ``cox_snell``, ``nagelkerke``,
            and for two categories ``tjur`` and ``mckelvey_zavoina`` (latent scale).

        Raises
        ------
        DataNotSavedError
            If the fit was loaded from a file.
        """
        return later.explained_variance.r2(self)
