"""The methods of a fit that predict."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from multilogit.predict import Kind, Level, NewGroups
from multilogit.result.prediction import Request, predict
from multilogit.result.tables import Tables


@dataclass(frozen=True, eq=False, repr=False)
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
        docs/prediction.md has the formulas.
        """
        request = Request(kind, level, new_groups, bool(se), interval)
        return predict(self, new, request, offset, trials)
