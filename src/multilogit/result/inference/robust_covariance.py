"""Robust covariances of a fit."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from multilogit.data.model_frame import ModelFrame
from multilogit.errors import DataError, Diagnostic, OptionError, Status
from multilogit.evaluation import Matrix, Vector
from multilogit.inference.sandwich import CLUSTERED, HETEROSKEDASTIC, clustered, heteroskedastic
from multilogit.likelihood.nested import is_nested
from multilogit.result.arrays.assessment_model import assessment_model
from multilogit.result.arrays.likelihood_of_rows import (
    evaluate_rows,
    rows_of_codes,
)
from multilogit.result.arrays.user_rows import coded_rows
from multilogit.result.fields.measures import Measures
from multilogit.result.fields.robust_covariance import RobustCovariance

_FEW_CLUSTERS = 30
"""With fewer, robust standard errors are too small (Cameron & Miller 2015)."""


def robust_covariance(fit: Measures, kind: str, groups: object) -> RobustCovariance | None:
    """The covariance as :meth:`multilogit.result.Fit.with_vcov` describes it; None: the model's."""
    chosen = "CR1" if kind == "cluster" else kind
    chosen = chosen if chosen == "hessian" else str(chosen).upper()
    known = ("hessian", "cluster", *HETEROSKEDASTIC, *CLUSTERED)
    if chosen not in known:
        raise OptionError(f"kind={kind!r}: choose one of {', '.join(map(repr, known))}.")
    if chosen not in CLUSTERED and groups is not None:
        raise OptionError(f"kind={kind!r} has no groups=; use kind='cluster'.")
    if chosen == "hessian":
        return None
    frame = fit._frame_for("A robust covariance")
    free = ~fit.boundary
    if not free.any():
        raise OptionError("All coefficients are infinite: none has a variance. Use a prior.")
    bread = fit.posterior_covariance[np.ix_(free, free)]
    if not np.isfinite(bread).all():
        raise OptionError(
            "The objective has no maximum with a curvature here, so there is no sandwich; see "
            "fit.diagnostics."
        )
    if chosen in HETEROSKEDASTIC:
        matrix, name, count = _by_rows(fit, frame, bread, chosen), "", fit.n_obs
    else:
        matrix, name, count = _by_clusters(fit, frame, bread, chosen, groups)
    whole = np.full((free.size, free.size), np.nan)
    whole[np.ix_(free, free)] = matrix
    return RobustCovariance(chosen, whole, name, count)


def few_clusters(robust: RobustCovariance) -> tuple[Diagnostic, ...]:
    """A warning where there are too few clusters to trust."""
    if not robust.groups or robust.n_groups >= _FEW_CLUSTERS:
        return ()
    return (
        Diagnostic(
            "few-clusters",
            "warning",
            f"The cluster-robust covariance rests on {robust.n_groups} clusters of "
            f"{robust.groups}: its standard errors are too small on average.",
            "Use it with 30 clusters or more; with fewer prefer a random effect of the clusters, "
            "or a bootstrap.",
            {"groups": robust.groups, "n_groups": robust.n_groups},
        ),
    )


# ---------------------------------------------------------------------- rows


def _by_rows(fit: Measures, frame: ModelFrame, bread: Matrix, kind: str) -> Matrix:
    if fit.random:
        raise OptionError(
            f"kind={kind!r} is for single-level models: rows of one group are not independent. "
            "Use kind='cluster'."
        )
    if kind in ("HC2", "HC3") and fit.labels.n_logits > 1:
        raise OptionError(f"kind={kind!r} is for two categories; use 'HC0' or 'HC1'.")
    X, scores, weight, frequency = _row_scores(fit, frame)
    free, leverage = ~fit.boundary, None
    if kind in ("HC2", "HC3"):  # of one logit: a coefficient for every column
        leverage = np.einsum("ij,jk,ik->i", X[:, free], bread, X[:, free]) * weight
    return heteroskedastic(scores[:, free], leverage, frequency, bread, kind)


def _row_scores(fit: Measures, frame: ModelFrame) -> tuple[Matrix, Matrix, Vector, Vector]:
    """X, the scores x_i ⊗ r_i and W of single rows, and how often each occurs (never 0)."""
    residual, W = assessment_model(fit, "A robust covariance").row_derivatives()
    w = frame.response.weights
    frequency = np.ones(residual.shape[0]) if w is None else w
    used = frequency > 0.0
    X, frequency = frame.fixed.matrix()[used], frequency[used]
    residual = residual[used] / frequency[:, None]
    scores = (residual[:, :, None] * X[:, None, :]).reshape(X.shape[0], -1)
    return X, scores, W[used, 0, 0] / frequency, frequency


# ---------------------------------------------------------------------- clusters


def _by_clusters(
    fit: Measures, frame: ModelFrame, bread: Matrix, kind: str, groups: object
) -> tuple[Matrix, str, int]:
    codes, name = _clusters(fit, frame, groups)
    observed = np.unique(codes[frame.response.weighted()[1] > 0.0])
    if observed.size < 2:
        raise DataError(f"The clusters {name!r} have one level only; there is nothing to compare.")
    scores = _mixed_scores(fit, frame, codes, name) if fit.random else None
    if scores is None:
        _, each, _, frequency = _row_scores(fit, frame)
        w = frame.response.weights
        kept = codes if w is None else codes[w > 0.0]
        scores = np.zeros((int(codes.max()) + 1, each.shape[1]))
        np.add.at(scores, kept, each * frequency[:, None])
    n_rows = float(
        frame.response.trials.size
        if frame.response.weights is None
        else frame.response.weights.sum()
    )
    scores = scores[np.ix_(observed, ~fit.boundary)]
    return clustered(scores, bread, kind, n_rows), name, observed.size


def _mixed_scores(fit: Measures, frame: ModelFrame, codes: NDArray[np.int64], name: str) -> Matrix:
    """∂ℓ_g/∂ψ of every cluster: the gradient of the likelihood of its rows alone."""
    for group, own in frame.codes.items():
        if not is_nested(own, codes.astype(np.int32)):
            raise DataError(
                f"A level of {group!r} has rows in several clusters of {name!r}: they "
                "share a random effect and are not independent. Use clusters that contain whole "
                f"levels of {group!r}."
            )
    scores = np.empty((int(codes.max()) + 1, fit.solution.psi.size))
    for g, rows in enumerate(rows_of_codes(codes)):
        part = evaluate_rows(fit, np.sort(rows))
        if part.status is not Status.OK:
            raise DataError(f"The likelihood of cluster {g} of {name!r} cannot be evaluated.")
        scores[g] = part.gradient
    return scores


def _clusters(fit: Measures, frame: ModelFrame, groups: object) -> tuple[NDArray[np.int64], str]:
    """Cluster of every row, from 0, and what clusters are called."""
    groupings = frame.groupings
    if groups is None:
        name = _topmost(frame)
        return groupings[name].codes.astype(np.int64), name
    if isinstance(groups, str):
        if groups in groupings:
            return groupings[groups].codes.astype(np.int64), groups
        raise DataError(
            f"{groups!r} is no grouping factor of this fit, which keeps no other columns: pass "
            f"the column itself, groups=data[{groups!r}]."
        )
    codes, _ = coded_rows(frame, groups, "groups=")
    return codes, str(getattr(groups, "name", None) or "groups")


def _topmost(frame: ModelFrame) -> str:
    """The factor within whose levels everything depends on each other."""
    names = list(dict.fromkeys(block.group for block in frame.random))
    groupings = frame.groupings
    if not names:
        raise OptionError(
            "A single-level model does not say what its clusters are: give groups=, a column of "
            "the data."
        )
    if not all(is_nested(groupings[a].codes, groupings[b].codes) for a, b in pairwise(names)):
        raise OptionError(
            "The grouping factors are crossed, so that no two rows are surely independent: give "
            "groups=, clusters that contain whole levels of every factor."
        )
    return names[-1]
