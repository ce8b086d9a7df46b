"""What is reported of the estimates: intervals, the tables of R's broom, the trace."""

from __future__ import annotations

from dataclasses import fields

import numpy as np

from multilogit.inference.variance import VarianceComponents
from multilogit.inference.wald import ScaleName, interval, p_values, z_values
from multilogit.lazy import pd
from multilogit.newton import TraceRow
from multilogit.result.description.estimates import Estimates
from multilogit.result.fields.parameter_names import coefficient_names, logit_names
from multilogit.result.fields.random_effects import RandomEffects


class Tables(Estimates):
    """Tables of inference."""

    def tidy(self, level: float = 0.95) -> pd.DataFrame:
        """One row per parameter, with the columns of R's broom and broom.mixed.

        Columns: ``effect`` (``"fixed"`` or ``"ran_pars"``) and ``group`` for multilevel
        models, ``y_level`` (the category) for multinomial ones, ``term``, ``estimate``,
        ``std_error``, ``statistic``, ``p_value``, ``conf_low``, ``conf_high``. Terms of random
        effects are ``"sd__x"`` and ``"cor__x.y"``; they have no test. Wald intervals as in
        :meth:`~multilogit.result.Fit.confint`.

        Raises
        ------
        OptionError
            If ``level`` is not between 0 and 1.
        """
        drop = ["label"]
        if not self.random:
            drop += ["effect", "group"]
        if self.labels.family == "binomial":
            drop += ["y_level"]
        return self._parameters(level).drop(columns=drop)

    def glance(self) -> pd.DataFrame:
        """One row about the whole fit, after R's ``broom::glance``.

        Columns ``null_deviance``, ``df_null``, ``loglik``, ``aic``, ``bic``, ``deviance``,
        ``df_residual``, ``n_obs``, ``n_parameters``, ``n_iterations``, ``converged``,
        ``status``.
        """
        names = ["null_deviance", "df_null", "loglik", "aic", "bic", "deviance", "df_residual"]
        names += ["n_obs", "n_parameters", "n_iterations", "converged"]
        row = {name: getattr(self, name) for name in names}
        return pd.DataFrame([row | {"status": self.status.value}])

    @property
    def trace(self) -> pd.DataFrame:
        """One row per Newton iteration.

        Columns as :class:`multilogit.newton.TraceRow`: ``iteration``, ``objective``,
        ``gradient_norm``, ``decrement``, ``ridge``, ``step``, ``max_change``. The last row is
        the optimum, from which no step was taken.
        """
        names = [f.name for f in fields(TraceRow)]
        rows = [[getattr(row, name) for name in names] for row in self.solution.trace]
        return pd.DataFrame(rows, columns=names)

    def _parameters(self, level: float) -> pd.DataFrame:
        """All parameters on the scale that people read, with intervals."""
        parts = [self._fixed_table(level)]
        parts += [
            _variance_table(effects, components, level)
            for effects, components in zip(self.random, self._components, strict=True)
        ]
        return pd.concat([part for part in parts if len(part)], ignore_index=True)

    def _fixed_table(self, level: float) -> pd.DataFrame:
        estimate, error = self.coef.to_numpy(), self.se.to_numpy()
        z = z_values(estimate, error)
        low, high = interval(estimate, error, level)
        logits, terms = logit_names(self.labels), self.labels.columns
        return pd.DataFrame(
            {
                "label": coefficient_names(self.labels),
                "effect": "fixed",
                "group": None,
                "y_level": [logit for logit in logits for _ in terms],
                "term": list(terms) * len(logits),
                "estimate": estimate,
                "std_error": error,
                "statistic": z,
                "p_value": p_values(z),
                "conf_low": low,
                "conf_high": high,
            }
        )


def _variance_table(
    effects: RandomEffects, parts: VarianceComponents, level: float
) -> pd.DataFrame:
    """Standard deviations, then correlations, of one grouping factor, with intervals."""
    rows = []
    names, group = effects.names, effects.group

    def add(label: str, term: str, estimate: float, error: float, scale: ScaleName) -> None:
        low, high = interval(estimate, error, level, scale)
        rows.append(
            {
                "label": label,
                "effect": "ran_pars",
                "group": group,
                "y_level": None,
                "term": term,
                "estimate": estimate,
                "std_error": error,
                "statistic": np.nan,
                "p_value": np.nan,
                "conf_low": float(low),
                "conf_high": float(high),
            }
        )

    for k, x in enumerate(names):
        add(effects.sd_label(k), f"sd__{x}", parts.sd[k], parts.sd_error[k], "log")
    for k, x in enumerate(names):
        for j in effects.earlier(k):
            estimate, error = parts.correlation[k, j], parts.correlation_error[k, j]
            add(effects.correlation_label(k, j), f"cor__{names[j]}.{x}", estimate, error, "fisher")
    return pd.DataFrame(rows)
