"""The frozen result of a fit.

:class:`Fit` holds numbers and names; what follows from them is computed by pure functions of
arrays and tables in :mod:`multilogit.inference`, :mod:`multilogit.predict` and
:mod:`multilogit.report`, which know nothing of this module.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from os import PathLike
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from multilogit.data.model_frame import Column, FixedColumns, ModelFrame, RandomBlock
from multilogit.errors import DataError, Diagnostic, OptionError, Status
from multilogit.extras import require
from multilogit.inference.variance import VarianceComponents, positions, variance_components
from multilogit.inference.wald import ScaleName, interval, p_values, z_values
from multilogit.newton import Solution, TraceRow
from multilogit.predict import (
    Kind,
    Level,
    NewGroups,
    fixed_predictor,
    most_probable,
    probabilities,
    random_predictor,
)
from multilogit.report.content import Content, Equation, RandomRow
from multilogit.report.summary import Summary

if TYPE_CHECKING:
    from multilogit.formula.design import Design


@dataclass(frozen=True, slots=True)
class Spec:
    """What the user asked for, as plain values: enough to repeat the call.

    Attributes
    ----------
    formula
        As given.
    options
        The other keywords of :func:`multilogit.fit` that differ from their defaults.
    """

    formula: str
    options: dict[str, object]


@dataclass(frozen=True, slots=True)
class RandomEffects:
    """Random effects of one grouping factor, all its bar terms together.

    Attributes
    ----------
    group
        Name of the grouping factor.
    names
        q names of the effects, in the order of the bar terms.
    blocks
        Sizes of the bar terms; they add up to q. Effects of different blocks are independent.
    theta
        Slice of ψ that holds the free elements of Λ: per block the column-major lower
        triangle, blocks in order.
    Lambda
        Shape ``(q, q)``, lower-triangular, non-negative diagonal: Σ = ΛΛ'.
    modes
        Shape ``(n_levels, q)``: conditional modes b̂ = Λû.
    mode_covariance
        Shape ``(n_levels, q, q)``: ΛH⁻¹Λ', the conditional covariance of b at the mode.
    """

    group: str
    names: tuple[str, ...]
    blocks: tuple[int, ...]
    theta: slice
    Lambda: NDArray[np.float64]
    modes: NDArray[np.float64]
    mode_covariance: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class _Rows:
    """Columns to predict from: the fitted data's or new ones."""

    fixed: FixedColumns
    random: tuple[RandomBlock, ...]
    codes: Mapping[str, NDArray[np.int32]]
    offset: Column | None
    index: pd.Index
    """Labels of all rows of the data."""
    complete: NDArray[np.int64] | None
    """Which of them the columns belong to: those without missing values; None: all."""


@dataclass(frozen=True, eq=False)
class Fit:
    """A fitted model: estimates, how they were found, and everything that follows from them.

    A multinomial model with J categories has C = J − 1 logits, log Pr(category)/Pr(baseline);
    its coefficients are named ``"logit[category] term"``.

    Attributes
    ----------
    spec
        What was asked for.
    design
        Rebuilds the design columns for new data.
    frame
        The data as estimation saw them (after aliased columns were dropped).
    solution
        ψ̂ = (β̂, θ̂), the objective there, status and trace. β is ordered category by category
        (all columns for the first non-baseline category, then the next); θ follows.
    covariance
        Shape ``(d, d)``: inverse of the observed information of ψ; rows and columns of
        parameters on their boundary (zero variances) are NaN.
    loglik
        Full log-likelihood, with the binomial or multinomial coefficients.
    null_loglik, saturated_loglik
        Log-likelihood of the intercept-only (or offset-only) model and of the saturated
        model, both without random effects: what the null and residual deviance are made of.
    random
        One entry per grouping factor.
    aliased
        Names of columns that were dropped because they depend on earlier ones.
    diagnostics
        What a reader of the fit must know.
    seconds
        Wall time of the fit, s.
    """

    spec: Spec
    design: Design
    frame: ModelFrame
    solution: Solution
    covariance: NDArray[np.float64]
    loglik: float
    null_loglik: float
    saturated_loglik: float
    random: tuple[RandomEffects, ...]
    aliased: tuple[str, ...]
    diagnostics: tuple[Diagnostic, ...]
    seconds: float

    # ------------------------------------------------------------------ estimates

    @property
    def _n_coef(self) -> int:
        return self._n_logits * len(self.frame.fixed.names)

    @property
    def _n_logits(self) -> int:
        return len(self.frame.response.categories) - 1

    @property
    def _logits(self) -> tuple[str, ...]:
        """Label of each logit; the empty label for a binary response."""
        response = self.frame.response
        return ("",) if response.family == "binomial" else response.categories[1:]

    @property
    def _coef_names(self) -> list[str]:
        terms = self.frame.fixed.names
        return [
            f"logit[{logit}] {term}" if logit else term for logit in self._logits for term in terms
        ]

    @property
    def coef(self) -> pd.Series:
        """Fixed effects β̂, named as R names them, on the logit scale (a new Series each time)."""
        beta = self.solution.psi[: self._n_coef]
        return pd.Series(beta, index=self._coef_names, name="coef", copy=True)

    @property
    def vcov(self) -> pd.DataFrame:
        """Covariance matrix of β̂: the β block of the inverse observed information of (β, θ)."""
        names = self._coef_names
        k = self._n_coef
        return pd.DataFrame(self.covariance[:k, :k], index=names, columns=names, copy=True)

    @property
    def se(self) -> pd.Series:
        """Standard errors of β̂, from :attr:`vcov`."""
        variance = np.diag(self.covariance)[: self._n_coef]
        return pd.Series(np.sqrt(variance), index=self._coef_names, name="se")

    @property
    def theta(self) -> pd.Series:
        """Free elements of the Cholesky factor Λ, Σ = ΛΛ', named as lme4 names them.

        ``"g.(Intercept)"`` is on the diagonal, ``"g.x.(Intercept)"`` is row x, column
        (Intercept). Column-major lower triangle per bar term. Empty for single-level models.
        """
        names, values = [], []
        for effects in self.random:
            for i, j in positions(effects.blocks):
                inner = [effects.names[i]] if i == j else [effects.names[i], effects.names[j]]
                names.append(".".join([effects.group, *inner]))
                values.append(effects.Lambda[i, j])
        return pd.Series(values, index=names, name="theta", dtype=float)

    @cached_property
    def _components(self) -> tuple[VarianceComponents, ...]:
        return tuple(
            variance_components(
                effects.Lambda, effects.blocks, self.covariance[effects.theta, effects.theta]
            )
            for effects in self.random
        )

    @property
    def variance_components(self) -> pd.DataFrame:
        """Standard deviations and correlations of the random effects, one row per effect.

        Columns: ``group``, ``name``, ``variance``, ``sd``, ``sd_error`` (standard error of sd
        by the delta method from the exact Hessian; NaN where sd is 0), ``log_sd_error``
        (standard error of log sd) and, where there are correlated effects, ``corr[x]``: the
        correlation with the earlier effect x of the same bar term.
        """
        rows = []
        for effects, parts in zip(self.random, self._components, strict=True):
            for k, name in enumerate(effects.names):
                row = {"group": effects.group, "name": name, "variance": parts.sd[k] ** 2}
                row |= {"sd": parts.sd[k], "sd_error": parts.sd_error[k]}
                row |= {"log_sd_error": parts.log_sd_error[k]}
                row |= {
                    f"corr[{effects.names[j]}]": parts.correlation[k, j]
                    for j in _earlier(effects.blocks, k)
                }
                rows.append(row)
        columns = ["group", "name", "variance", "sd", "sd_error", "log_sd_error"]
        return pd.DataFrame(rows) if rows else pd.DataFrame(columns=columns)

    def random_effects(self, group: str | None = None, *, wide: bool = False) -> pd.DataFrame:
        """Conditional modes b̂ of the random effects (lme4's ``ranef``), with standard deviations.

        Parameters
        ----------
        group
            Only this grouping factor.
        wide
            One row per level and one column per effect (modes only) instead of one row per
            level and effect. Needs ``group`` if there are several grouping factors.

        Returns
        -------
        DataFrame
            Columns ``group``, ``level``, ``name``, ``mode``, ``sd``: sd is the square root of
            the diagonal of ΛH⁻¹Λ', the conditional variance given the data at the estimates
            (lme4's ``condVar``; it does not contain the uncertainty of β̂ and θ̂).

        Raises
        ------
        OptionError
            If there is no such grouping factor.
        """
        chosen = [self._effects(group)] if group is not None else list(self.random)
        if wide:
            return self._wide_modes(self._effects(group))
        parts = [_long_modes(effects, self._levels(effects.group)) for effects in chosen]
        columns = ["group", "level", "name", "mode", "sd"]
        return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=columns)

    def _effects(self, group: str | None) -> RandomEffects:
        known = [effects.group for effects in self.random]
        if group is None and len(known) == 1:
            return self.random[0]
        if group in known:
            return self.random[known.index(group)]
        named = ", ".join(map(repr, known)) or "none: this is a single-level model"
        asked = "Name one grouping factor" if group is None else f"No grouping factor {group!r}"
        raise OptionError(f"{asked}; this fit has {named}.")

    def _levels(self, group: str) -> NDArray[np.object_]:
        assert self.frame.groupings is not None
        return self.frame.groupings[group].levels

    def _wide_modes(self, effects: RandomEffects) -> pd.DataFrame:
        index = pd.Index(self._levels(effects.group), name=effects.group)
        return pd.DataFrame(effects.modes, index=index, columns=list(effects.names), copy=True)

    # ------------------------------------------------------------------ measures of fit

    @property
    def deviance(self) -> float:
        """Single level: residual deviance 2(ℓ_saturated − ℓ), as R's ``glm``.

        Multilevel: −2ℓ with the marginal log-likelihood ℓ, as ``summary`` of lme4 prints it.
        """
        return -2.0 * self.loglik if self.random else 2.0 * (self.saturated_loglik - self.loglik)

    @property
    def null_deviance(self) -> float:
        """Deviance of the model with an intercept and the offset only, on :attr:`deviance`'s scale.

        Without an intercept in the formula: of the offset alone, as R.
        """
        if self.random:
            return -2.0 * self.null_loglik
        return 2.0 * (self.saturated_loglik - self.null_loglik)

    @property
    def n_obs(self) -> int:
        """Number of observations as R's ``nobs`` counts them: rows that carry information.

        Rows of the data that were used and have weight × trials > 0. Frequency weights and
        trials do not multiply it: a row of 10 trials is one observation.
        """
        response = self.frame.response
        carried = response.trials > 0.0
        if response.weights is not None:
            carried &= response.weights > 0.0
        return int(np.count_nonzero(carried))

    @property
    def n_groups(self) -> dict[str, int]:
        """Number of levels of each grouping factor."""
        return {effects.group: effects.modes.shape[0] for effects in self.random}

    @property
    def n_parameters(self) -> int:
        """Number of estimated parameters d, β and θ together."""
        return int(self.solution.psi.shape[0])

    @property
    def df_residual(self) -> int:
        """Residual degrees of freedom: observations × logits − parameters."""
        return self.n_obs * self._n_logits - self.n_parameters

    @property
    def df_null(self) -> int:
        """Degrees of freedom of the null model, which has one intercept per logit or none."""
        intercept = "(Intercept)" in self.frame.fixed.names
        return (self.n_obs - int(intercept)) * self._n_logits

    @property
    def aic(self) -> float:
        """Akaike's criterion −2ℓ + 2d, with the full log-likelihood."""
        return -2.0 * self.loglik + 2.0 * self.n_parameters

    @property
    def bic(self) -> float:
        """Schwarz's criterion −2ℓ + d log n, n = :attr:`n_obs` (as R)."""
        return -2.0 * self.loglik + self.n_parameters * math.log(self.n_obs)

    # ------------------------------------------------------------------ how it ended

    @property
    def status(self) -> Status:
        """How the iteration ended."""
        return self.solution.status

    @property
    def converged(self) -> bool:
        """Whether the answer is to be trusted.

        True if both stopping rules of the iteration hold and no diagnostic is an error.
        """
        return self.solution.converged and all(d.severity != "error" for d in self.diagnostics)

    @property
    def n_iterations(self) -> int:
        """Newton steps taken."""
        return sum(1 for row in self.solution.trace if not math.isnan(row.step))

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

    # ------------------------------------------------------------------ inference

    def confint(
        self,
        method: str = "wald",
        level: float = 0.95,
        parm: str | Sequence[str] | None = None,
    ) -> pd.DataFrame:
        """Confidence intervals of fixed effects, standard deviations and correlations.

        Parameters
        ----------
        method
            ``"wald"``: symmetric around the estimate for β, around log sd for a standard
            deviation, around Fisher's z = atanh ρ for a correlation.
        level
            Confidence level, between 0 and 1.
        parm
            Names of parameters, or ``"beta_"`` for all fixed effects, ``"theta_"`` for all
            standard deviations and correlations (as lme4). Default: all.

        Returns
        -------
        DataFrame
            Index: names of fixed effects, ``"sd_x|g"``, ``"cor_x.y|g"`` (as lme4 with
            ``oldNames = FALSE``). Columns ``lower``, ``upper``; NaN where a standard
            deviation is 0 or a correlation is ±1: no Wald interval covers these.

        Raises
        ------
        OptionError
            Unknown method, level or parameter.
        """
        if method != "wald":
            raise OptionError(f"There is no interval method {method!r}; available: 'wald'.")
        table = self._parameters(level)
        names = self._select(table, parm)
        return (
            table.set_index("label")
            .loc[names, ["conf_low", "conf_high"]]
            .set_axis(["lower", "upper"], axis=1)
            .rename_axis(None)
        )

    def _select(self, table: pd.DataFrame, parm: str | Sequence[str] | None) -> list[str]:
        """Labels of the parameters asked for."""
        labels = list(table["label"])
        groups = {"beta_": "fixed", "theta_": "ran_pars"}
        wanted = [parm] if isinstance(parm, str) else list(labels if parm is None else parm)
        out: list[str] = []
        for name in wanted:
            if name in groups:
                out += list(table.loc[table["effect"] == groups[name], "label"])
            elif name in labels:
                out.append(name)
            else:
                known = ", ".join(labels)
                raise OptionError(f"No parameter {name!r} in this fit; it has: {known}.")
        return out

    def tidy(self, level: float = 0.95) -> pd.DataFrame:
        """One row per parameter, with the columns of R's broom and broom.mixed.

        Columns: ``effect`` (``"fixed"`` or ``"ran_pars"``) and ``group`` for multilevel
        models, ``y_level`` (the category) for multinomial ones, ``term``, ``estimate``,
        ``std_error``, ``statistic``, ``p_value``, ``conf_low``, ``conf_high``. Terms of random
        effects are ``"sd__x"`` and ``"cor__x.y"``; they have no test. Wald intervals as in
        :meth:`confint`.

        Raises
        ------
        OptionError
            If ``level`` is not between 0 and 1.
        """
        drop = ["label"]
        if not self.random:
            drop += ["effect", "group"]
        if self.frame.response.family == "binomial":
            drop += ["y_level"]
        return self._parameters(level).drop(columns=drop)

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
        terms = self.frame.fixed.names
        return pd.DataFrame(
            {
                "label": self._coef_names,
                "effect": "fixed",
                "group": None,
                "y_level": [logit for logit in self._logits for _ in terms],
                "term": list(terms) * self._n_logits,
                "estimate": estimate,
                "std_error": error,
                "statistic": z,
                "p_value": p_values(z),
                "conf_low": low,
                "conf_high": high,
            }
        )

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

    # ------------------------------------------------------------------ prediction

    def predict(
        self,
        new: object = None,
        kind: Kind = "response",
        level: Level = "conditional",
        new_groups: NewGroups = "error",
        offset: object = None,
    ) -> pd.Series | pd.DataFrame:
        """Predictions for the data of the fit or for new data.

        Parameters
        ----------
        new
            New data in any form that :func:`multilogit.fit` takes; default: the data of the fit.
        kind
            ``"response"``: probabilities; ``"link"``: η = Xβ + offset + Zb; ``"class"``: the
            most probable category.
        level
            ``"conditional"``: b at the conditional modes; ``"population"``: b = 0, the
            prediction for a typical group (not the average over groups).
        new_groups
            What to do with levels of a grouping factor that the fit has not seen, in
            conditional predictions: ``"error"``, or ``"population"`` for b = 0.
        offset
            Offset of the new data, a column name or one number per row; it replaces the
            ``offset=`` of the fit and is needed where that was an array.

        Returns
        -------
        Series or DataFrame
            A Series for a binary response (probability of the second category) and for
            classes; a DataFrame with a column per category (``"link"``: per logit) for a
            multinomial response. The index is that of ``new`` if it is a pandas object; for
            the data of the fit it is the row number (rows that were dropped do not appear).
            NaN (None for classes) where a value that is needed is missing.

        Raises
        ------
        OptionError
            Unknown ``kind``, ``level`` or ``new_groups``.
        DataError
            New data that lack a column, have a new level of a factor among the fixed effects
            or, with ``new_groups="error"``, a new group.
        """
        _check_choice("kind", kind, ("response", "link", "class"))
        _check_choice("level", level, ("conditional", "population"))
        _check_choice("new_groups", new_groups, ("error", "population"))
        if new is not None:
            rows = self._new_rows(new, level, new_groups, offset)
        elif offset is None:
            rows = self._fitted_rows()
        else:
            raise OptionError("offset= belongs to new data; give them as new=.")
        eta = self._linear_predictor(rows, conditional=level == "conditional")
        return self._present(eta, kind, rows.index)

    def _fitted_rows(self) -> _Rows:
        frame = self.frame
        n = frame.response.trials.shape[0]
        index = pd.RangeIndex(n) if frame.rows is None else pd.Index(frame.rows)
        codes = {name: grouping.codes for name, grouping in (frame.groupings or {}).items()}
        return _Rows(frame.fixed, frame.random, codes, frame.offset, index, None)

    def _new_rows(self, new: object, level: Level, new_groups: NewGroups, offset: object) -> _Rows:
        """Columns for new data; new levels of a grouping factor have the code −1."""
        conditional = bool(self.random) and level == "conditional"
        made = self.design.new_columns(new, random=conditional, offset=offset)
        if new_groups == "error":
            for grouping in made.groupings.values():
                _refuse_new_levels(grouping.name, grouping.labels[grouping.codes < 0])
        kept = [made.fixed.names.index(name) for name in self.frame.fixed.names]
        index = new.index if isinstance(new, pd.DataFrame) else pd.RangeIndex(made.n_rows)
        codes = {name: grouping.codes for name, grouping in made.groupings.items()}
        return _Rows(made.fixed.keep(kept), made.random, codes, made.offset, index, made.rows)

    def _linear_predictor(self, rows: _Rows, *, conditional: bool) -> NDArray[np.float64]:
        """η, shape ``(n, C)``; NaN in rows with missing values."""
        n = len(rows.index)
        beta = self.solution.psi[: self._n_coef].reshape(self._n_logits, -1)
        n_complete = n if rows.complete is None else rows.complete.shape[0]
        eta = fixed_predictor(rows.fixed.columns, beta, rows.offset, n_complete)
        for effects in self.random if conditional else ():
            blocks = [block for block in rows.random if block.group == effects.group]
            columns = [column for block in blocks for column in block.columns]
            eta[:, 0] += random_predictor(columns, rows.codes[effects.group], effects.modes)
        if rows.complete is None:
            return eta
        full = np.full((n, eta.shape[1]), np.nan)
        full[rows.complete] = eta
        return full

    def _present(
        self, eta: NDArray[np.float64], kind: Kind, index: pd.Index
    ) -> pd.Series | pd.DataFrame:
        """η on the scale asked for, with names."""
        response = self.frame.response
        binary = response.family == "binomial"
        if kind == "class":
            return pd.Series(most_probable(eta, response.categories), index=index, name="class")
        if kind == "link":
            names = [f"logit[{logit}]" for logit in self._logits]
            values = eta
        else:
            names = list(response.categories)
            values = probabilities(eta)
        if binary:
            return pd.Series(values[:, -1], index=index, name=kind)
        return pd.DataFrame(values, index=index, columns=names)

    # ------------------------------------------------------------------ presentation

    @property
    def plot(self) -> Plots:
        """Plots of the fit; they need the extra ``plot`` (matplotlib)."""
        return Plots(self)

    def summary(self) -> Summary:
        """Everything that R's ``summary`` prints; shows itself as text or, in a notebook, HTML."""
        return Summary(_content(self))

    def __repr__(self) -> str:
        """One line: formula, size, log-likelihood, how it ended."""
        groups = "".join(f", {n} {name}" for name, n in self.n_groups.items())
        ending = "converged" if self.converged else f"NOT converged ({self.status.value})"
        return (
            f"<Fit {self.spec.formula!r}: {self.n_obs} obs{groups}, "
            f"logLik {self.loglik:.4f}, AIC {self.aic:.2f}, {ending}>"
        )

    def _repr_html_(self) -> str:
        """The summary, for notebooks."""
        return self.summary()._repr_html_()


@dataclass(frozen=True, slots=True)
class Plots:
    """The plots of a fit: ``fit.plot.coefficients()`` and so on.

    Every method returns a matplotlib ``Figure``, which a notebook shows, and writes it to
    ``path`` where one is given. All raise :class:`multilogit.extras.MissingExtraError` without
    matplotlib.
    """

    fit: Fit

    def random_effects(
        self, path: str | PathLike[str] | None = None, *, group: str | None = None
    ) -> Any:
        """Caterpillar plot: conditional modes, sorted, with 95 % intervals, a panel per effect.

        ``group`` chooses one of several grouping factors. Raises ``OptionError`` if there is
        no such factor.
        """
        table = self.fit.random_effects(self.fit._effects(group).group)
        return _plot_module().caterpillar(table, title=self._about(), path=path)

    def coefficients(self, path: str | PathLike[str] | None = None, *, level: float = 0.95) -> Any:
        """Forest plot: fixed effects without intercepts, with intervals of level ``level``."""
        table = self.fit.tidy(level)
        if "effect" in table:
            table = table[table["effect"] == "fixed"]
        return _plot_module().forest(table, level=level, title=self._about(), path=path)

    def trace(self, path: str | PathLike[str] | None = None) -> Any:
        """Convergence: gradient norm, Newton decrement and objective by iteration."""
        return _plot_module().convergence(self.fit.trace, title=self._about(), path=path)

    def _about(self) -> str:
        return self.fit.spec.formula


def _plot_module() -> Any:
    """The plotting room, loaded when a plot is asked for: matplotlib is an optional extra."""
    return require("multilogit.plot", needs="matplotlib", extra="plot", purpose="Plots")


def _check_choice(option: str, value: object, choices: Sequence[str]) -> None:
    if value not in choices:
        named = ", ".join(map(repr, choices))
        raise OptionError(f"{option}={value!r} is not available; choose one of {named}.")


def _refuse_new_levels(group: str, labels: NDArray[np.object_]) -> None:
    """Name the levels of a grouping factor that the fit has not seen, if there are any."""
    if not labels.size:
        return
    levels = list(dict.fromkeys(map(str, labels)))
    named = ", ".join(map(repr, levels[:10])) + (", ..." if len(levels) > 10 else "")
    what = "a level" if len(levels) == 1 else f"{len(levels)} levels"
    raise DataError(
        f"The new data have {what} of {group!r} that the fit has not seen: {named}. "
        'Use new_groups="population" to predict them with random effects 0.'
    )


def _earlier(blocks: Sequence[int], k: int) -> range:
    """Effects of the same block that stand before effect ``k``."""
    start = 0
    for size in blocks:
        if k < start + size:
            break
        start += size
    return range(start, k)


def _long_modes(effects: RandomEffects, levels: NDArray[np.object_]) -> pd.DataFrame:
    """One row per level and effect, effect by effect."""
    n, q = effects.modes.shape
    sd = np.sqrt(np.diagonal(effects.mode_covariance, axis1=1, axis2=2))
    return pd.DataFrame(
        {
            "group": effects.group,
            "level": np.tile(levels, q),
            "name": np.repeat(np.array(effects.names, dtype=object), n),
            "mode": effects.modes.T.ravel(),
            "sd": sd.T.ravel(),
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
                "label": f"{label}|{group}",
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
        add(f"sd_{x}", f"sd__{x}", parts.sd[k], parts.sd_error[k], "log")
    for k, x in enumerate(names):
        for j in _earlier(effects.blocks, k):
            estimate, error = parts.correlation[k, j], parts.correlation_error[k, j]
            add(f"cor_{x}.{names[j]}", f"cor__{names[j]}.{x}", estimate, error, "fisher")
    return pd.DataFrame(rows)


# ---------------------------------------------------------------------- summary


def _content(fit: Fit) -> Content:
    """All that the summary shows, as plain values."""
    mixed = bool(fit.random)
    return Content(
        title=_title(fit),
        call=_call(fit),
        random=_random_rows(fit),
        counts=_counts(fit),
        equations=_equations(fit),
        aliased=fit.aliased,
        criteria=_criteria(fit),
        deviances=()
        if mixed
        else (
            ("Null deviance", fit.null_deviance, fit.df_null),
            ("Residual deviance", fit.deviance, fit.df_residual),
        ),
        convergence=_convergence(fit),
        diagnostics=fit.diagnostics,
    )


def _title(fit: Fit) -> str:
    kind = "logistic" if fit.frame.response.family == "binomial" else "multinomial logistic"
    if not fit.random:
        return f"{kind.capitalize()} regression fit by maximum likelihood"
    nodes = fit.spec.options.get("nodes", 1)
    method = (
        "Laplace approximation"
        if nodes == 1
        else f"adaptive Gauss-Hermite quadrature, {nodes} nodes"
    )
    return f"Multilevel {kind} regression fit by maximum likelihood ({method})"


def _call(fit: Fit) -> tuple[tuple[str, str], ...]:
    response = fit.frame.response
    first, *others = response.categories
    if response.family == "binomial":
        modelled = f"binomial (logit): log odds of {others[0]!r} against {first!r}"
    else:
        named = ", ".join(map(repr, others))
        modelled = f"multinomial (logit): {named} against {first!r}"
    lines = [("Formula", fit.spec.formula), ("Family", modelled)]
    if fit.spec.options:
        options = ", ".join(f"{key}={_shown(value)}" for key, value in fit.spec.options.items())
        lines.append(("Options", options))
    return tuple(lines)


def _shown(option: object) -> str:
    """An option's value, short."""
    size = getattr(option, "size", None)
    return repr(option) if size is None else f"<{size} values>"


def _random_rows(fit: Fit) -> tuple[RandomRow, ...]:
    rows = []
    for effects, parts in zip(fit.random, fit._components, strict=True):
        for k, name in enumerate(effects.names):
            earlier = _earlier(effects.blocks, k)
            rows.append(
                RandomRow(
                    group="" if len(earlier) else effects.group,
                    name=name,
                    variance=float(parts.sd[k]) ** 2,
                    sd=float(parts.sd[k]),
                    sd_error=float(parts.sd_error[k]),
                    correlations=tuple(float(parts.correlation[k, j]) for j in earlier),
                )
            )
    return tuple(rows)


def _counts(fit: Fit) -> str:
    response = fit.frame.response
    trials = response.trials if response.weights is None else response.trials * response.weights
    total = float(trials.sum())
    text = f"Number of obs: {fit.n_obs}"
    if total != fit.n_obs:
        text += f" ({total:.10g} trials)"
    if fit.random:
        text += "; groups: " + ", ".join(f"{name} {n}" for name, n in fit.n_groups.items())
    return text


def _equations(fit: Fit) -> tuple[Equation, ...]:
    terms = fit.frame.fixed.names
    p = len(terms)
    estimate, error = fit.coef.to_numpy(), fit.se.to_numpy()
    z = z_values(estimate, error)
    columns = (estimate, error, z, p_values(z))
    plain = "Fixed effects:" if fit.random else "Coefficients:"
    baseline = fit.frame.response.categories[0]
    out = []
    for c, logit in enumerate(fit._logits):
        heading = f"Coefficients of logit[{logit}] = log Pr({logit})/Pr({baseline}):"
        part = slice(c * p, (c + 1) * p)
        values = [tuple(map(float, column[part])) for column in columns]
        out.append(Equation(heading if logit else plain, terms, *values))
    return tuple(out)


def _criteria(fit: Fit) -> tuple[tuple[str, str], ...]:
    if not fit.random:
        return tuple(
            (label, f"{round(value, 2) + 0.0:.2f}")  # never -0.00
            for label, value in (("AIC", fit.aic), ("BIC", fit.bic), ("logLik", fit.loglik))
        )
    values = {"AIC": fit.aic, "BIC": fit.bic, "logLik": fit.loglik, "deviance": fit.deviance}
    shown = [(label, f"{value:.1f}") for label, value in values.items()]
    return (*shown, ("df.resid", str(fit.df_residual)))


def _convergence(fit: Fit) -> str:
    solution = fit.solution
    gradient = float(np.max(np.abs(solution.evaluation.gradient), initial=0.0))
    work = f"{fit.n_iterations} Newton iterations, {solution.n_evaluations} evaluations"
    after = f"after {work}; max|gradient| = {gradient:.1e}; {fit.seconds:.3g} s"
    if fit.converged:
        return f"Converged {after}"
    reason = "see below" if solution.converged else solution.status.value.replace("_", " ")
    return f"NOT TO BE TRUSTED ({reason}) {after}"
