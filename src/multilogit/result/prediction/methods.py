"""The methods of a fit that predict."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from multilogit.result.description.tables import Tables
from multilogit.result.prediction import later

if TYPE_CHECKING:
    import pandas as pd

    from multilogit.margins.adjust import Adjustment
    from multilogit.margins.grid import Others
    from multilogit.predict import Kind, Level, NewGroups
    from multilogit.predict.tangent import Scale
    from multilogit.result.prediction.marginal_effects import ContrastScale


class Predicted(Tables):
    """Predictions, marginal effects, contrasts."""

    def predict(
        self,
        new: object = None,
        kind: Kind = "response",
        level: Level = "conditional",
        *,
        se: bool = False,
        interval: float | None = None,
        new_groups: NewGroups = "error",
        offset: object = None,
        trials: object = None,
    ) -> pd.Series | pd.DataFrame:
        """Predictions for the data of the fit or for new data, with their uncertainty.

        Parameters
        ----------
        new
            New data in any form that :func:`multilogit.fit` takes; default: the data of the fit.
            Parquet files are read a chunk at a time: only the predictions must fit in memory.
        kind
            ``"response"``: probabilities; ``"link"``: η = Xβ + offset + Zb, the log odds against
            the first category (at level ``"marginal"``: those of the marginal probabilities);
            ``"class"``: the most probable category.
        level
            ``"conditional"``: b at the conditional modes; ``"population"``: b = 0, the
            prediction for a typical group; ``"marginal"``: the average over groups, b
            integrated over N(0, Σ). The same for single-level models. Only conditional
            predictions need the grouping factors in the new data.
        se
            Whether to give standard errors, by the delta method: from the covariance of β̂ and
            θ̂ and, for conditional predictions, that of b given the data.
        interval
            Level of a confidence interval, such as 0.95. Intervals of probabilities are
            symmetric on the scale of log odds, and so inside (0, 1).
        new_groups
            What to do with levels of a grouping factor that the fit has not seen, in
            conditional predictions: ``"error"``, or ``"population"`` for b = 0 (the variance of
            their b is in the standard errors).
        offset
            Offset of the new data, a column name or one number per row; it replaces the
            ``offset=`` of the fit and is needed where that was an array.
        trials
            Trials of the new data, a column name, one number, or one per row: the response is
            then the expected count, nπ.

        Returns
        -------
        Series or DataFrame
            A Series for a binary response (probability of the second category) and for
            classes; a DataFrame with a column per category (``"link"``: per logit) for a
            multinomial response. With ``se`` or ``interval`` a DataFrame of the columns
            ``estimate``, ``se`` and, with ``interval``, ``lower``, ``upper``; for a multinomial
            response they are pairs, such as ``("estimate", category)``. The index is that of
            ``new`` if it is a pandas object; for the data of the fit it is the row number (rows
            that were dropped do not appear). NaN (None for classes) where a value that is
            needed is missing.

        Raises
        ------
        OptionError
            Unknown ``kind``, ``level``, ``new_groups`` or ``interval``; a marginal prediction
            for many logits with very large variances, whose integral is out of reach.
        DataError
            New data that lack a column, have a new level of a factor among the fixed effects
            or, with ``new_groups="error"``, a new group.

        Notes
        -----
        Columns that were dropped (``aliased``) have the coefficient 0: right for new data in which
        they depend on the others as they did, arbitrary where they do not.

        docs/prediction.md has the formulas.
        """
        request = later.predictions.PredictionRequest(kind, level, new_groups, bool(se), interval)
        return later.predictions.predict(self, new, request, offset, trials)

    def marginal_effects(
        self,
        variables: str | Sequence[str] | Mapping[str, object] | None = None,
        *,
        at: object = None,
        level: Level = "population",
        scale: Scale = "response",
        others: Others = "observed",
        new: object = None,
        offset: object = None,
        interval: float = 0.95,
    ) -> pd.DataFrame:
        """How predictions change with the variables, on average.

        Of a numeric variable the average of the derivative; of a categorical or boolean one
        the average change against the first level.

        Parameters
        ----------
        variables
            Names of columns of the data; default: all that the fixed effects read. A dict
            gives values to compare instead: ``{"age": [20, 30]}`` is the change from 20 to 30.
        at
            Values at which other variables are held, ``{"urban": "Y"}``; several values,
            ``{"age": [20, 40]}``, make a row for every combination.
        level
            ``"population"``, ``"marginal"`` or ``"conditional"``, as in :meth:`predict`.
        scale
            ``"response"``: probabilities; ``"link"``: log odds.
        others
            What is averaged over: ``"observed"``: the rows of the data, each with its own
            values of all other variables; ``"typical"``: one row, numbers at their mean,
            categories at their most frequent level; ``"balanced"``: numbers at their mean,
            all combinations of levels, equally weighted.
        new
            Data to average over; default: the data of the fit, weighted by their trials and
            frequency weights.
        offset
            Offset of the new data, as in :meth:`predict`.
        interval
            Confidence level.

        Returns
        -------
        DataFrame
            One row per variable and change (and category, as ``outcome``): the settings of
            ``at``, ``variable``, ``contrast`` (``"dY/dX"``, or ``"b - a"``), ``estimate``,
            ``se`` (delta method, exact derivatives), ``statistic``, ``p_value``, ``lower``,
            ``upper``. NaN, with a ``NotEstimableWarning``, where columns of the design were
            dropped (``aliased``) and the data do not determine the estimate.

        Raises
        ------
        OptionError
            A variable, level or option that there is not.
        DataError
            A derivative that is not finite; new data that cannot be used.
        """
        request = later.margins.MarginsRequest(level, scale, others, interval, at, offset)
        return later.marginal_effects.marginal_effects(self, variables, new, request)

    def adjusted_predictions(
        self,
        at: object = None,
        *,
        level: Level = "population",
        scale: Scale = "response",
        others: Others = "observed",
        new: object = None,
        offset: object = None,
        interval: float = 0.95,
    ) -> pd.DataFrame:
        """Average predictions with some variables held: marginal means.

        Parameters
        ----------
        at
            Values by variable; several make a row for every combination. Names alone,
            ``"livch"`` or ``["livch", "urban"]``, stand for all levels of categorical
            variables.
        level, scale, others, new, offset, interval
            As in :meth:`marginal_effects`. ``others="balanced"`` and ``scale="link"`` give
            the means of R's emmeans.

        Returns
        -------
        DataFrame
            The settings of ``at``, ``outcome`` for several categories, ``estimate``, ``se``,
            ``lower``, ``upper``. Intervals of probabilities are inside (0, 1).

        Raises
        ------
        OptionError, DataError
            As :meth:`marginal_effects`.
        """
        request = later.margins.MarginsRequest(level, scale, others, interval, at, offset)
        return later.marginal_effects.adjusted_predictions(self, new, request)

    def contrasts(
        self,
        variable: str | Mapping[str, object],
        *,
        scale: ContrastScale = "response",
        adjust: Adjustment = "holm",
        at: object = None,
        level: Level = "population",
        others: Others = "observed",
        new: object = None,
        offset: object = None,
        interval: float = 0.95,
    ) -> pd.DataFrame:
        """All pairwise comparisons of :meth:`adjusted_predictions` at the values of a variable.

        Parameters
        ----------
        variable
            A categorical variable, or values to compare: ``{"age": [20, 30, 40]}``.
        scale
            ``"response"``: differences of probabilities; ``"link"``: of log odds;
            ``"odds_ratio"``: their exponential (tests and intervals are those of the log).
        adjust
            For the number of comparisons: ``"none"``, ``"bonferroni"``, ``"holm"`` (with
            Bonferroni's intervals), ``"tukey"`` (the range of as many normal variables as
            there are values). Each setting of ``at`` and each category is a family.
        at, level, others, new, offset, interval
            As in :meth:`marginal_effects`.

        Returns
        -------
        DataFrame
            As :meth:`marginal_effects`, without ``variable``; p-values and intervals are
            adjusted. ``"b - a"`` is the value at b minus that at a (on the scale of odds
            ratios their ratio).

        Raises
        ------
        OptionError, DataError
            As :meth:`marginal_effects`.
        """
        on = later.marginal_effects.scale_of(scale)
        request = later.margins.MarginsRequest(level, on, others, interval, at, offset)
        return later.marginal_effects.contrasts(
            self, variable, new, request, adjust, scale == "odds_ratio"
        )
