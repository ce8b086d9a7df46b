"""Influence of rows and groups on a fit."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from multilogit.assess.clusters import clusters_of
from multilogit.assess.influence import change_without, cooks_distance, row_influence
from multilogit.errors import Status
from multilogit.evaluation import Evaluation
from multilogit.inference.variance import positions
from multilogit.progress import Progress, Show
from multilogit.result.arrays.assessment_model import assessment_model
from multilogit.result.arrays.likelihood_of_rows import (
    Rows,
    evaluate_rows,
    rows_of_codes,
)
from multilogit.result.arrays.user_rows import coded_rows, row_index
from multilogit.result.assessment.findings import Influence
from multilogit.result.description.estimates import Estimates
from multilogit.result.fields.parameter_names import coefficient_names
from multilogit.result.fields.random_effects import effects_of


def influence(fit: Estimates, group: object, progress: Show = False) -> Influence:
    """Influence as :meth:`multilogit.Fit.influence` describes it."""
    if group is None and not fit.random:
        return _rows(fit)
    fit._frame_for("influence()")
    codes, levels, of = _units(fit, group)
    changes = np.empty((len(levels), fit.solution.psi.size))
    with Progress("Influence", len(levels), progress) as bar:
        for k, part in enumerate(_parts(fit, codes, len(levels))):
            changes[k] = _change(fit, part)
            bar.advance()
    table = {"level": levels, "rows": np.bincount(codes, minlength=len(levels))}
    return _present(fit, changes, pd.DataFrame(table), of)


def _rows(fit: Estimates) -> Influence:
    """Every row of a single-level model, all at once."""
    model = assessment_model(fit, "influence()")
    found = row_influence(
        fit.frame.fixed.matrix(), *model.row_derivatives(), np.nan_to_num(fit.posterior_covariance)
    )
    labels = row_index(fit.frame).to_flat_index()
    table = pd.DataFrame({"level": labels, "rows": 1, "hat": found.hat})
    return _present(fit, found.change, table, "row")


def _units(fit: Estimates, group: object) -> tuple[Rows, NDArray[np.object_], str]:
    """What is left out: code of every row, labels, and what they are called."""
    if group is None or isinstance(group, str):
        name = effects_of(fit.random, group).group
        grouping = fit.frame.groupings[name]
        return grouping.codes.astype(np.int64), grouping.levels, name
    codes, levels = coded_rows(fit.frame, group, "group=")
    return codes, levels, "group"


# ------------------------------------------------------------------ parts of the likelihood


def _parts(fit: Estimates, codes: Rows, n_levels: int) -> Iterator[Evaluation]:
    """What the rows of each level add to ℓ, at ψ̂.

    ℓ is a sum over clusters, within which rows share random effects; only the clusters that
    the level has rows in need be evaluated, with these rows and without.
    """
    frame = fit.frame
    cluster, *crossed = clusters_of(frame)
    if crossed:  # they tie all rows together
        cluster = np.zeros(codes.size, dtype=np.int64)
    members = rows_of_codes(cluster)
    for rows in rows_of_codes(codes, n_levels):
        touched = np.unique(cluster[rows])
        there = np.sort(np.concatenate([members[c] for c in touched]))
        left = np.setdiff1d(there, rows, assume_unique=True)
        whole = evaluate_rows(fit, there)
        yield _difference(whole, evaluate_rows(fit, left)) if left.size else whole


def _difference(whole: Evaluation, left: Evaluation) -> Evaluation:
    status = whole.status if whole.status is not Status.OK else left.status
    return Evaluation(
        whole.value - left.value,
        whole.gradient - left.gradient,
        whole.hessian - left.hessian,
        status,
    )


# ------------------------------------------------------------------ the change


def _change(fit: Estimates, part: Evaluation) -> NDArray[np.float64]:
    if part.status is not Status.OK:
        return np.full(fit.solution.psi.size, np.nan)
    return change_without(fit.solution.evaluation, part, ~fit.boundary)


def _present(
    fit: Estimates, changes: NDArray[np.float64], table: pd.DataFrame, of: str
) -> Influence:
    names = coefficient_names(fit.labels)
    p = len(names)
    index = pd.Index(table["level"], name=of)
    dfbeta = pd.DataFrame(-changes[:, :p], columns=names, index=index)
    for name, change in _sd_changes(fit, changes):
        dfbeta[name] = -change
    table["cooks_distance"] = cooks_distance(changes[:, :p], fit.covariance[:p, :p])
    se = np.concatenate([fit.se.to_numpy(), fit.variance_components["sd_error"].to_numpy(float)])
    return Influence(of, table, dfbeta, dfbeta / pd.Series(se, index=dfbeta.columns))


def _sd_changes(
    fit: Estimates, changes: NDArray[np.float64]
) -> Iterator[tuple[str, NDArray[np.float64]]]:
    """Change of every standard deviation of the random effects."""
    for effects in fit.random:
        rows, columns = np.array(positions(effects.blocks)).T
        Lambda = np.repeat(effects.Lambda[None], changes.shape[0], axis=0)
        Lambda[:, rows, columns] += changes[:, effects.theta]
        before = np.sqrt(np.sum(effects.Lambda**2, axis=1))
        after = np.sqrt(np.sum(Lambda**2, axis=2))
        for k in range(before.size):
            yield effects.sd_label(k), after[:, k] - before[k]
