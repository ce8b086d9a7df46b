"""What the summary shows: the content of :mod:`multilogit.report` for a fit."""

from __future__ import annotations

from collections.abc import Sequence, Sized

import numpy as np
from numpy.typing import NDArray

from multilogit.inference.wald import p_values, z_values
from multilogit.report.content import Content, Equation, RandomRow
from multilogit.report.summary import Summary
from multilogit.result.description.tables import Tables
from multilogit.result.fields.level_effects import LevelEffects
from multilogit.result.fields.parameter_names import logit_names
from multilogit.result.fields.robust_covariance import RobustCovariance


def summary_of(fit: Tables) -> Summary:
    """What ``print(fit.summary())`` shows."""
    return Summary(content_of(fit))


def content_of(fit: Tables) -> Content:
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


def _title(fit: Tables) -> str:
    kind = "logistic" if fit.labels.family == "binomial" else "multinomial logistic"
    method = "maximum a posteriori" if fit.penalised else "maximum likelihood"
    if not fit.random:
        return f"{kind.capitalize()} regression fit by {method}"
    nodes = fit.options.nodes
    integral = (
        "Laplace approximation"
        if nodes == 1
        else f"adaptive Gauss-Hermite quadrature, {nodes} nodes"
    )
    return f"Multilevel {kind} regression fit by {method} ({integral})"


def _call(fit: Tables) -> tuple[tuple[str, str], ...]:
    first, *others = fit.labels.categories
    if fit.labels.family == "binomial":
        modelled = f"binomial (logit): log odds of {others[0]!r} against {first!r}"
    else:
        named = ", ".join(map(repr, others))
        modelled = f"multinomial (logit): {named} against {first!r}"
    lines = [("Formula", fit.spec.formula), ("Family", modelled)]
    if fit.spec.options:
        options = ", ".join(f"{key}={_shown(value)}" for key, value in fit.spec.options.items())
        lines.append(("Options", options))
    if fit.robust is not None:
        lines.append(("Std. errors", _robust(fit.robust)))
    elif fit.penalised:
        source = {
            "likelihood": "-l'', the observed information",
            "posterior": "-Q'', the posterior",
        }
        lines.append(("Std. errors", f"from {source[fit.se_source]}"))
    return tuple(lines)


def _robust(robust: RobustCovariance) -> str:
    """The robust covariance in words."""
    if not robust.groups:
        return f"robust, {robust.kind}"
    return f"robust, {robust.kind}, {robust.n_groups} clusters of {robust.groups}"


def _shown(option: object) -> str:
    """An option's value, short."""
    many = isinstance(option, Sized) and not isinstance(option, str)
    return f"<{len(option)} values>" if many else repr(option)  # type: ignore[arg-type]


def _random_rows(fit: Tables) -> tuple[RandomRow, ...]:
    rows = []
    for effects, parts in zip(fit.random, fit._components, strict=True):
        for k, name in enumerate(effects.names):
            earlier = effects.earlier(k)
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


def _counts(fit: Tables) -> str:
    total = fit.training.n_trials
    text = f"Number of obs: {fit.n_obs}"
    if total != fit.n_obs:
        text += f" ({total:.10g} trials)"
    if fit.random:
        text += "; groups: " + ", ".join(f"{name} {n}" for name, n in fit.n_groups.items())
    return text


def _equations(fit: Tables) -> tuple[Equation, ...]:
    terms = fit.labels.columns
    p = len(terms)
    estimate, error = fit._fixed_effects, fit._fixed_errors
    z = z_values(estimate, error)
    columns = (estimate, error, z, p_values(z))
    if fit.levels is not None:
        return (_without_levels(fit.levels, terms, columns),)
    plain = "Fixed effects:" if fit.random else "Coefficients:"
    baseline = fit.labels.categories[0]
    out = []
    for c, logit in enumerate(logit_names(fit.labels)):
        heading = f"Coefficients of logit[{logit}] = log Pr({logit})/Pr({baseline}):"
        part = slice(c * p, (c + 1) * p)
        values = [tuple(map(float, column[part])) for column in columns]
        out.append(Equation(heading if logit else plain, terms, *values))
    return tuple(out)


def _without_levels(
    levels: LevelEffects, terms: tuple[str, ...], columns: Sequence[NDArray[np.float64]]
) -> Equation:
    """All coefficients but those of very many levels."""
    n = levels.places.size - levels.contrasts
    shown = levels.shown
    heading = f"Coefficients (fit.coef has the {n:,} of {levels.term} as well):"
    values = [tuple(map(float, column[shown])) for column in columns]
    return Equation(heading, tuple(terms[k] for k in shown), *values)


def _criteria(fit: Tables) -> tuple[tuple[str, str], ...]:
    if not fit.random:
        return tuple(
            (label, f"{round(value, 2) + 0.0:.2f}")  # never -0.00
            for label, value in (("AIC", fit.aic), ("BIC", fit.bic), ("logLik", fit.loglik))
        )
    values = {"AIC": fit.aic, "BIC": fit.bic, "logLik": fit.loglik, "deviance": fit.deviance}
    shown = [(label, f"{value:.1f}") for label, value in values.items()]
    return (*shown, ("df.resid", str(fit.df_residual)))


def _convergence(fit: Tables) -> str:
    solution = fit.solution
    gradient = float(np.max(np.abs(solution.evaluation.gradient), initial=0.0))
    work = f"{fit.n_iterations} Newton iterations, {solution.n_evaluations} evaluations"
    after = f"after {work}; max|gradient| = {gradient:.1e}; {fit.seconds:.3g} s"
    if fit.converged:
        return f"Converged {after}"
    reason = "see below" if solution.converged else solution.status.value.replace("_", " ")
    return f"NOT TO BE TRUSTED ({reason}) {after}"
