"""Separation: which coefficients have no finite maximum likelihood estimate, and why.

:func:`separation` answers before any fit; :func:`shows_symptoms` and :func:`explain_divergence`
recognise a fit that suffers from it. The linear programs are in
:mod:`multilogit.estimate.recession`. (The module is not called ``separation``: importing it would
hide the function ``multilogit.separation``.)
"""

from __future__ import annotations

import textwrap
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from multilogit.data.model_frame import ModelFrame
from multilogit.data.populations import collapse
from multilogit.errors import Diagnostic, MultilogitError, OptionError, Status
from multilogit.estimate import Estimate, fixed_likelihood, split_aliased
from multilogit.estimate.effects import FactorEffects, factor_effects, logit_prefixes
from multilogit.estimate.joint_cone import jointly_separated
from multilogit.estimate.recession import (
    Kind,
    Recession,
    certifies_overlap,
    find_separation,
)
from multilogit.evaluation import Matrix, Vector
from multilogit.formula import build_frame
from multilogit.likelihood.columns import root_mean_square

__all__ = [
    "Separation",
    "check_fit",
    "explain_divergence",
    "find_separation",
    "separation",
    "separation_diagnostic",
    "shows_symptoms",
]

_WIDTH = 88
_MOST_NAMES = 8
_SMALL_STEP = 0.1
"""Bound on the change of any η, on the logit scale, in the last step of a healthy search."""
_MOST_VARIANCE = 4.0
"""Average variance of the fitted linear predictor, on the logit scale, that is beyond suspicion.
A healthy fit has about p / (n w̄), w̄ the average of π(1 − π)."""
_FEW_CATEGORIES = 6
"""Up to so many, any set of categories that random effects tell from the others is looked for."""
_LARGE_SD = 10.0
"""Standard deviation of random effects, on the logit scale, that asks for an explanation."""

POSITIVE, NEGATIVE, UNDETERMINED, FINITE = "+inf", "-inf", "infinite, sign not unique", "finite"
LEFT_OPEN = "infinite, sign not determined"

_SUSPECT = {
    Status.DIVERGING,
    Status.MAX_ITERATIONS,
    Status.LINE_SEARCH_FAILED,
    Status.NOT_FINITE,
    Status.INNER_FAILED,
}


@dataclass(frozen=True, eq=False)
class Separation:
    """Whether the fixed effects separate the responses, with the proof.

    Attributes
    ----------
    formula
        As given.
    kind
        ``"overlap"``: every maximum likelihood estimate is finite. ``"complete"``: a linear
        combination of the predictors predicts every row without error. ``"quasi-complete"``:
        it predicts some rows without error, and leaves the others undecided.
    infinite
        For each coefficient ``"finite"``, ``"+inf"``, ``"-inf"``, or
        ``"infinite, sign not unique"``: directions of either sign raise the likelihood. With
        hundreds of coefficients ``"infinite, sign not determined"``: the linear programs for
        their signs would take too long.
    direction
        The certificate d, by coefficient, max |d| = 1: x_i'd is at least 0 for every observed
        success and at most 0 for every failure (several categories: x_i'd of the observed
        category is the largest), and strictly so for ``rows``. The likelihood rises for ever
        along it. Zero where the data overlap.
    rows
        Row numbers of the data (from 0) that d predicts without error.
    boundary_rows
        The rows that are left; they determine the finite coefficients.
    aliased
        Columns that were left out because they depend on earlier ones.
    diagnostics
        What else was noticed: rows dropped, and whether fixed and random effects together
        predict every row.
    """

    formula: str
    kind: Kind
    infinite: pd.Series
    direction: pd.Series
    rows: NDArray[np.int64]
    boundary_rows: NDArray[np.int64]
    aliased: tuple[str, ...] = ()
    diagnostics: tuple[Diagnostic, ...] = ()

    @property
    def separated(self) -> bool:
        """Whether at least one maximum likelihood estimate is infinite."""
        return self.kind != "overlap"

    @property
    def n_rows(self) -> int:
        """Rows that carry information."""
        return self.rows.size + self.boundary_rows.size

    def summary(self) -> str:
        """The finding in words, the table of coefficients, and what to do."""
        return _summary(self)

    def __str__(self) -> str:
        return self.summary()

    __repr__ = __str__


def separation(
    formula: str,
    data: Any,
    *,
    weights: str | NDArray[np.float64] | None = None,
    offset: str | NDArray[np.float64] | None = None,
    trials: str | NDArray[np.float64] | None = None,
    baseline: object = None,
    missing: Literal["drop", "raise"] = "drop",
) -> Separation:
    """Find coefficients whose maximum likelihood estimate is infinite, without fitting.

    Parameters
    ----------
    formula, data, weights, offset, trials, baseline, missing
        As for :func:`multilogit.fit`. An offset makes no difference, and neither do weights
        other than 0. With random effects, what is found concerns the fixed effects: they are
        finite at every Σ where X overlaps. A diagnostic warns where fixed and random effects
        together predict every row, so that β and Σ may run off together.

    Returns
    -------
    Separation

    Raises
    ------
    FormulaError, DataError, OptionError
        As for :func:`multilogit.fit`.

    Notes
    -----
    Linear programs over the cone of directions in which the likelihood never falls: Konis
    (2007), *Linear programming algorithms for detecting separated data in binary logistic
    regression models*. A coefficient is infinite if the cone is not flat in it; its sign is
    reported if the least and the largest value over the cone agree on it. Margins below 1e-8,
    as cosines in orthonormal coordinates of the predictors, count as 0.

    Examples
    --------
    >>> import multilogit as ml
    >>> data = {"y": [0, 0, 0, 1, 1, 1], "x": [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]}
    >>> found = ml.separation("y ~ x", data)
    >>> found.kind
    'complete'
    >>> found.infinite["x"]
    '+inf'
    """
    frame, _ = build_frame(
        formula,
        data,
        weights=weights,
        offset=offset,
        trials=trials,
        baseline=baseline,
        missing=missing,
    )
    if not frame.fixed.columns:
        raise OptionError("The model has no fixed effects; add an intercept or a predictor.")
    finding = _find(frame)
    infinite = pd.Series(finding.limits(), index=finding.names, name="infinite")
    joint = () if finding.recession.kind != "overlap" else _joint_diagnostics(frame)
    return Separation(
        formula=formula,
        kind=finding.recession.kind,
        infinite=infinite,
        direction=pd.Series(finding.recession.direction, index=finding.names, name="direction"),
        rows=finding.rows,
        boundary_rows=finding.boundary_rows,
        aliased=finding.aliased,
        diagnostics=(*frame.diagnostics, *joint),
    )


# -- a fit that suffers from it ----------------------------------------------------------------


def check_fit(frame: ModelFrame, at_zero: Matrix, estimate: Estimate) -> tuple[Diagnostic, ...]:
    """Diagnostics of a maximum likelihood fit, if it shows the symptoms of separation.

    Parameters
    ----------
    frame
        The data of the fit, aliased columns dropped, populations collapsed or not.
    at_zero
        Hessian at β = 0 of the single-level likelihood of ``frame``.
    estimate
        Where the search ended. With a proper prior nothing is infinite: do not ask.

    Notes
    -----
    A standard deviation beyond 10 on the logit scale is a symptom as well, converged or not:
    Laplace's approximation can have a maximum where the likelihood itself has none. If fixed and
    random effects of these factors predict every row, that is an error.
    """
    found: tuple[Diagnostic, ...] = ()
    if shows_symptoms(frame, at_zero, estimate):
        found = explain_divergence(frame, estimate.solution.psi[: at_zero.shape[0]])
    if any(noticed.severity == "error" for noticed in found):
        return found
    grown = _grown(frame, estimate)
    return (_run_off(frame, grown) or found) if grown else found


def shows_symptoms(frame: ModelFrame, at_zero: Matrix, estimate: Estimate) -> bool:
    """Whether a maximum likelihood fit looks as separation makes it look.

    It does where the search did not converge. If it did, the steps of Newton–Raphson tell: on
    separated rows each of them moves η by about 1 for ever, so that max |Δβ| K √max(X'NX)_jj ≥ 1
    for the last one, K the number of coefficients; the last step of a healthy search is far below
    0.1 of that. Where it is not, the average variance of the linear predictor, tr(Cov X'NX) / N,
    decides: separation makes it huge, because the information dies out along the way.

    Parameters are those of :func:`check_fit`. The second moments X'NX are
    ``-at_zero J² / (J − 1)``, up to an offset: no pass over the data is needed.
    """
    solution, p = estimate.solution, len(frame.fixed.columns)
    if solution.status is not Status.CONVERGED:
        return solution.status in _SUSPECT
    n_logits = at_zero.shape[0] // p
    gram = -at_zero[:p, :p] * ((n_logits + 1) ** 2 / n_logits)
    steps = solution.trace[-2:-1]
    if steps:
        moved = steps[0].max_change * at_zero.shape[0] * np.sqrt(gram.diagonal().max())
        if moved < _SMALL_STEP:
            return False
    response = frame.response
    n_trials = float(response.weighted()[1].sum())
    covariance = estimate.covariance()
    blocks = [slice(p * c, p * (c + 1)) for c in range(n_logits)]
    variance = sum(float((covariance[block, block] * gram).sum()) for block in blocks)
    return not variance <= _MOST_VARIANCE * n_trials


def explain_divergence(frame: ModelFrame, beta: Vector | None = None) -> tuple[Diagnostic, ...]:
    """Diagnostics of a maximum likelihood fit that shows the symptoms of separation.

    Parameters
    ----------
    frame
        The data of the fit, aliased columns dropped, populations collapsed or not. With random
        effects, the fixed effects are looked at by themselves, then together with them.
    beta
        Where the search ended, shape ``(p (J - 1),)``: often its gradient proves overlap, and
        no linear program is needed. Not for models with random effects.

    Returns
    -------
    tuple of Diagnostic
        ``"separation"`` (error); or ``"joint-separation"`` (warning): fixed and random effects
        together predict every row; or nothing, where this is not the reason.
    """
    if not frame.random and beta is not None and np.isfinite(beta).all():
        counts, trials = frame.response.weighted()
        if certifies_overlap(frame.fixed.columns, counts, trials, beta, frame.offset):
            return ()
    try:
        finding = _find(frame)
    except MultilogitError:  # a second opinion that cannot be had changes nothing
        return ()
    if finding.recession.kind == "overlap":
        return _joint_diagnostics(frame)
    return (_error(finding, bool(frame.random)),)


def separation_diagnostic(
    frame: ModelFrame, recession: Recession, severity: Literal["error", "warning"] = "warning"
) -> Diagnostic:
    """The diagnostic for a cone found elsewhere (``infinite="freeze"``).

    Parameters
    ----------
    frame
        The data that ``recession`` was found on, aliased columns dropped.
    recession
        Not an overlap.
    severity
        ``"warning"``: the infinite estimates are reported as such.
    """
    population = np.arange(frame.response.trials.size)
    finding = _Finding(frame, population, recession, _names(frame, frame.fixed.names), ())
    return replace(
        _error(finding, bool(frame.random)),
        severity=severity,
        remedy="They are reported as infinite, the others at that limit; "
        "prior=ml.RelativeEntropy() gives finite estimates.",
    )


# -- how it is found ---------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Finding:
    """A recession cone in terms of the user's rows and names."""

    frame: ModelFrame
    population: NDArray[np.intp]
    """Row of the cone for each row of the frame."""
    recession: Recession
    names: list[str]
    aliased: tuple[str, ...]

    @property
    def _separated(self) -> NDArray[np.bool_]:
        return self.recession.separated[self.population] & self._informative

    @property
    def _informative(self) -> NDArray[np.bool_]:
        response = self.frame.response
        carried = response.trials > 0.0
        if response.weights is not None:
            carried &= response.weights > 0.0
        return carried

    def _numbers(self, mask: NDArray[np.bool_]) -> NDArray[np.int64]:
        rows = self.frame.rows
        return np.flatnonzero(mask).astype(np.int64) if rows is None else rows[mask]

    @property
    def rows(self) -> NDArray[np.int64]:
        """The user's numbers of the rows that are separated."""
        return self._numbers(self._separated)

    @property
    def boundary_rows(self) -> NDArray[np.int64]:
        """Those of the rows that are left."""
        return self._numbers(self._informative & ~self._separated)

    @property
    def trials(self) -> tuple[int, int]:
        """Trials in separated rows, and in all: what a collapsed frame counts as rows."""
        trials = self.frame.response.trials
        return round(float(trials[self._separated].sum())), round(float(trials.sum()))

    def limits(self) -> list[str]:
        """One word for each coefficient."""
        recession = self.recession
        words = np.array([NEGATIVE, UNDETERMINED, POSITIVE], dtype=object)[recession.signs + 1]
        words[recession.left_open] = LEFT_OPEN
        words[~recession.infinite] = FINITE
        return list(words)


def _find(frame: ModelFrame) -> _Finding:
    """Populations of X alone, aliased columns left out, then the linear programs."""
    counts, trials = frame.response.weighted()
    bare = ModelFrame(
        response=replace(frame.response, counts=counts, trials=trials, weights=None),
        fixed=frame.fixed,
    )
    compact, population = collapse(bare)
    informative = compact.response.trials > 0.0
    used = replace(
        compact,
        response=replace(
            compact.response,
            counts=compact.response.counts[informative],
            trials=compact.response.trials[informative],
        ),
        fixed=replace(compact.fixed, columns=tuple(c[informative] for c in compact.fixed.columns)),
    )
    keep, dropped = split_aliased(fixed_likelihood(used, 1), used.fixed)
    fixed = compact.fixed.keep(keep)
    recession = find_separation(fixed.columns, compact.response.counts, compact.response.trials)
    aliased = tuple(frame.fixed.names[k] for k in dropped)
    return _Finding(frame, population, recession, _names(frame, fixed.names), aliased)


def _names(frame: ModelFrame, terms: Sequence[str]) -> list[str]:
    """Coefficient names as in ``Fit.coef``."""
    return [prefix + term for prefix in logit_prefixes(frame) for term in terms]


def _joint_diagnostics(frame: ModelFrame) -> tuple[Diagnostic, ...]:
    """A warning where fixed and random effects of one factor together predict every row."""
    groups = {block.group for block in frame.random}
    if len(groups) != 1 or not (predicted := _predicted(frame, groups)):
        return ()
    (group,) = groups
    return (
        Diagnostic(
            "joint-separation",
            "warning",
            f"Fixed and random effects of {group!r} together predict {predicted} without error: "
            "the likelihood does not vanish as fixed effects and variances grow together, and "
            "their estimates may be very large or infinite.",
            "Use a prior that keeps variances bounded, such as prior=ml.RelativeEntropy(), or a "
            "model with fewer random effects.",
            {"group": group},
        ),
    )


def _predicted(frame: ModelFrame, groups: Collection[str]) -> str | None:
    """What fixed effects and random effects of ``groups`` predict without error, in words.

    Every row, or which rows are of some categories; the empty text: nothing; None: there is too
    much to look at.
    """
    response = frame.response
    counts, trials = response.weighted()
    effects = [f for f in factor_effects(frame) if f.group in groups]
    factors = [(_on_first_logit(f), f.codes) for f in effects]
    every = jointly_separated(frame.fixed.columns, factors, counts, trials)
    if every or response.family == "binomial":
        return "every row" if every else (None if every is None else "")
    rest = trials - counts.sum(axis=1)
    columns = np.column_stack([np.where(rest > 1e-12 * trials, rest, 0.0), counts])
    for chosen in _sets(len(response.categories)):
        some = columns[:, chosen].sum(axis=1)
        told_apart = jointly_separated(frame.fixed.columns, factors, some, trials)
        if told_apart:
            named = " or ".join(repr(response.categories[k]) for k in chosen)
            return f"which rows are {named}"
        every = None if told_apart is None else every
    return None if every is None else ""


def _sets(n_categories: int) -> list[list[int]]:
    """Sets of categories to tell from the others: single ones, of a few categories all sets."""
    largest = n_categories // 2 if n_categories <= _FEW_CATEGORIES else 1
    sizes = range(1, largest + 1)
    return [list(chosen) for size in sizes for chosen in combinations(range(n_categories), size)]


def _on_first_logit(effects: FactorEffects) -> list[Vector]:
    """The columns of Z, which are the same on every logit."""
    return [column for column, c in zip(effects.columns, effects.logits, strict=True) if c == 0]


def _grown(frame: ModelFrame, estimate: Estimate) -> dict[str, float]:
    """Factors with a standard deviation, on the logit scale, that is beyond belief: the largest."""
    if estimate.Lambda is None:
        return {}
    sd = np.sqrt((estimate.Lambda**2).sum(axis=1))
    largest: dict[str, float] = {}
    for effects, factor in zip(factor_effects(frame), estimate.factors, strict=True):
        scale = [root_mean_square(column) for column in effects.columns]
        on_logits = float((sd[factor.effects] * scale).max())
        if on_logits > _LARGE_SD:
            largest[effects.group] = on_logits
    return largest


def _run_off(frame: ModelFrame, grown: dict[str, float]) -> tuple[Diagnostic, ...]:
    """An error where the factors of ``grown`` predict the response; a warning if nobody knows."""
    predicted = _predicted(frame, grown)
    if predicted == "":
        return ()
    named = ", ".join(f"{group!r} ({sd:.3g})" for group, sd in grown.items())
    large = f"The standard deviation of the random effects of {named} is very large on the logit "
    facts = {"groups": list(grown), "sd": list(grown.values())}
    if predicted is None:
        message = (
            f"{large}scale; the data are too large to find out whether fixed and random effects "
            "together predict the response, so that it is infinite."
        )
        return (Diagnostic("large-variance", "warning", message, _AGAINST_RUN_OFF, facts),)
    message = (
        f"{large}scale, and fixed and random effects together predict {predicted} without error: "
        "the likelihood does not vanish as they grow, and what is reported need not be its "
        "maximum."
    )
    return (Diagnostic("joint-separation", "error", message, _AGAINST_RUN_OFF, facts),)


_AGAINST_RUN_OFF = (
    "Look whether the grouping determines the response; use prior=ml.RelativeEntropy(), which "
    "keeps variances finite; nodes='auto' (one grouping factor) shows what is due to Laplace's "
    "approximation."
)


# -- in words ----------------------------------------------------------------------------------


def _error(finding: _Finding, multilevel: bool) -> Diagnostic:
    """The diagnostic of a separated fit."""
    limits = dict(zip(finding.names, finding.limits(), strict=True))
    infinite = {name: limit for name, limit in limits.items() if limit != FINITE}
    separated, total = finding.trials
    one = len(infinite) == 1
    kind = finding.recession.kind
    remedy = "Use prior=ml.RelativeEntropy() for finite estimates"
    remedy += "." if multilevel else ", or infinite='freeze' to estimate the others at this limit."
    return Diagnostic(
        "separation",
        "error",
        f"{kind.capitalize()} separation: the maximum likelihood estimate{'' if one else 's'} of "
        f"{_listed(infinite)} {'is' if one else 'are'} infinite. {separated} of {total} "
        f"observations are predicted without error; ml.separation() names the rows.",
        remedy,
        {
            "kind": kind,
            "infinite": infinite,
            "separated": separated,
            "observations": total,
            "direction": dict(
                zip(finding.names, finding.recession.direction.tolist(), strict=True)
            ),
        },
    )


def _listed(infinite: dict[str, str]) -> str:
    """``'NV' (+inf), 'x' (sign not unique)``; the first few of many."""
    shown = [
        f"{name!r} ({limit.removeprefix('infinite, ')})"
        for name, limit in list(infinite.items())[:_MOST_NAMES]
    ]
    more = len(infinite) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more > 0 else "")


_EXPLAINED: dict[Kind, str] = {
    "overlap": "The data overlap: no linear combination of the predictors separates the "
    "responses, and every maximum likelihood estimate of a coefficient is finite.",
    "complete": "Complete separation: the direction below predicts all {total} rows without "
    "error. The likelihood rises for ever along it, and coefficients have no finite maximum "
    "likelihood estimates.",
    "quasi-complete": "Quasi-complete separation: the direction below predicts {rows} of {total} "
    "rows without error and leaves the other {left} undecided. The likelihood rises for ever "
    "along it; those {left} rows determine the coefficients that stay finite.",
}


def _summary(found: Separation) -> str:
    counts = {"total": found.n_rows, "rows": found.rows.size, "left": found.boundary_rows.size}
    parts = [
        f"Separation: {found.formula}",
        _wrap(_EXPLAINED[found.kind].format(**counts)),
    ]
    if found.separated:
        table = pd.DataFrame({"estimate": found.infinite, "direction": found.direction})
        parts.append(table.to_string(float_format=lambda x: f"{x + 0.0:.4g}"))
        parts.append(_wrap(f"Rows predicted without error: {_row_list(found.rows)}."))
        parts.append(
            _wrap(
                "What to do: a prior gives finite estimates, ml.fit(..., "
                "prior=ml.RelativeEntropy()). Look also whether a predictor is a consequence of "
                "the response, or a level too rare to be kept apart."
            )
        )
    if found.aliased:
        named = ", ".join(map(repr, found.aliased))
        parts.append(_wrap(f"Left out, because they depend on earlier columns: {named}."))
    label = {"error": "ERROR", "warning": "Warning", "info": "Note"}
    parts += [_wrap(f"{label[d.severity]}: {d}", "  ") for d in found.diagnostics]
    return "\n\n".join(parts) + "\n"


def _row_list(rows: NDArray[np.int64]) -> str:
    shown = ", ".join(map(str, rows[:20].tolist()))
    return f"{shown}, ... ({rows.size} in all)" if rows.size > 20 else shown


def _wrap(text: str, indent: str = "") -> str:
    return textwrap.fill(text, _WIDTH, subsequent_indent=indent, break_on_hyphens=False)
