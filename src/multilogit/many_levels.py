"""Fits with a factor of very many levels, whose columns are never made.

The coefficients of the levels are eliminated (:mod:`multilogit.likelihood.levels`); the result has
all of them, with exact standard errors. What needs the rows has them, with the code of the level;
what would need one column per level is refused by name.
"""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np

from multilogit.assembly import status_diagnostics
from multilogit.data.model_frame import ModelFrame
from multilogit.divergence.symptoms import shows_symptoms
from multilogit.errors import Diagnostic
from multilogit.estimate import Options
from multilogit.estimate.levels import LevelsEstimate, estimate_levels
from multilogit.formula import Design
from multilogit.result import Fit, Spec
from multilogit.result.fields.level_effects import LevelEffects
from multilogit.result.fields.training import Labels, TrainingData, TrainingWithoutColumns

_MOST_NAMES = 5


def fit_levels(
    frame: ModelFrame, design: Design, spec: Spec, options: Options, began: float
) -> Fit:
    """Estimate a model whose frame has a factor without columns, and put the result together.

    Raises
    ------
    DataError, OptionError
        See :func:`multilogit.estimate.levels.estimate_levels`.
    """
    found = estimate_levels(frame, options)
    fixed = frame.fixed
    labels, effects = _named(frame, found)
    solution = found.estimate.solution
    estimated = replace(frame, fixed=fixed.keep(found.kept))
    return Fit(
        spec=spec,
        design=design,
        training=TrainingWithoutColumns(TrainingData(frame), labels),
        solution=replace(solution, psi=effects.coefficients(solution.psi)),
        likelihood=solution.evaluation,
        boundary=~np.isfinite(effects.coefficients(solution.psi)),
        random=(),
        aliased=tuple(fixed.names[k] for k in found.aliased),
        diagnostics=(
            *frame.diagnostics,
            _kept_compact(effects),
            *_constant_columns(tuple(fixed.names[k] for k in found.aliased), effects.term),
            *_separated(effects, found, estimated, options),
            *status_diagnostics(found.estimate, estimated),
        ),
        seconds=time.perf_counter() - began,
        far=None,
        evidence=None,
        options=replace(options, checkpoint=None),
        levels=effects,
    )


def _named(frame: ModelFrame, found: LevelsEstimate) -> tuple[Labels, LevelEffects]:
    """All coefficients in the order of the formula: their names, and where the levels stand."""
    fixed, levels = frame.fixed, frame.fixed.levels
    assert levels is not None
    contrasts = not levels.coded_fully
    own = levels.names[1:] if contrasts else levels.names
    before = [k for k in found.kept if k < levels.column]
    behind = [k for k in found.kept if k >= levels.column]
    first = [fixed.names[0]] * contrasts
    names = (*first, *(fixed.names[k] for k in before), *own, *(fixed.names[k] for k in behind))
    terms = (*first, *(fixed.terms[k] for k in before), *[levels.term] * len(own))
    terms = (*terms, *(fixed.terms[k] for k in behind))
    start = len(first) + len(before)
    places = np.array([*[0] * contrasts, *range(start, start + len(own))], dtype=np.intp)
    labels = replace(Labels.of(frame), columns=names, terms=terms)
    return labels, LevelEffects(levels.term, places, contrasts, found.modes)


def _kept_compact(effects: LevelEffects) -> Diagnostic:
    n = effects.places.size
    return Diagnostic(
        "many-levels",
        "info",
        f"{effects.term!r} has {n:,} levels: their coefficients were eliminated without making "
        "columns. Estimates and standard errors are those of the whole model; what needs these "
        "columns is not available.",
        facts={"term": effects.term, "levels": n},
    )


def _constant_columns(aliased: tuple[str, ...], term: str) -> tuple[Diagnostic, ...]:
    if not aliased:
        return ()
    named = ", ".join(map(repr, aliased))
    return (
        Diagnostic(
            "aliased-columns",
            "warning",
            f"Dropped: {named}. Within the levels of {term!r} nothing is left of "
            f"{'it' if len(aliased) == 1 else 'them'} that earlier columns do not tell.",
            facts={"columns": list(aliased)},
        ),
    )


def _separated(
    effects: LevelEffects,
    found: LevelsEstimate,
    estimated: ModelFrame,
    options: Options,
) -> tuple[Diagnostic, ...]:
    """Levels with one outcome only; a search that ends as separation makes it end."""
    noticed = []
    if found.signs.any():
        assert estimated.fixed.levels is not None
        noticed.append(_one_outcome(estimated.fixed.levels.names, effects, found, options))
    if found.estimate.solution.psi.size and shows_symptoms(
        estimated, -found.at_zero, found.estimate
    ):
        noticed.append(
            Diagnostic(
                "separation",
                "error",
                "The search ended as it does where predictors separate the responses within the "
                f"levels of {effects.term!r}: some estimates may be infinite.",
                "Look for predictors that determine the response, or use (1 | column) in place of "
                "the factor, with prior=ml.RelativeEntropy().",
            )
        )
    return tuple(noticed)


def _one_outcome(
    names: tuple[str, ...], effects: LevelEffects, found: LevelsEstimate, options: Options
) -> Diagnostic:
    """The levels whose coefficients are infinite."""
    infinite = {
        name: "-inf" if sign < 0 else "+inf"
        for name, sign in zip(names, found.signs.tolist(), strict=True)
        if sign
    }
    shown = [f"{name!r} ({limit})" for name, limit in list(infinite.items())[:_MOST_NAMES]]
    more = f" and {len(infinite) - len(shown):,} more" if len(infinite) > len(shown) else ""
    message = (
        f"All outcomes of {len(infinite):,} of the {len(names):,} levels of {effects.term!r} are "
        f"the same, and their coefficients infinite: {', '.join(shown)}{more}. The others are "
        "those at that limit, where these levels say nothing of them."
    )
    remedy = "Merge these levels, or use (1 | column), which gives finite estimates"
    if effects.contrasts and found.signs[0]:
        message += " The first is the reference: the intercept and all contrasts are infinite."
        remedy = f"Choose another reference, relevel(column, 'level'). {remedy}"
    frozen = options.infinite == "freeze"
    remedy += "." if frozen else "; infinite='freeze' accepts the infinite ones."
    return Diagnostic(
        "separation",
        "warning" if frozen else "error",
        message,
        remedy,
        {"kind": "quasi-complete", "infinite": infinite},
    )
