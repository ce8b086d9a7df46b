"""The scikit-learn estimator: :class:`MultilevelLogisticRegression`.

A thin adapter: arrays and frames become the model frame that a formula would have made
(:mod:`multilogit.matrix`), and predictions come from the same functions as those of a fit.
"""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from multilogit.checks import check_choice
from multilogit.data.columns import Factor, factor_of, label
from multilogit.data.ingest import read_table
from multilogit.data.model_frame import Family, Response
from multilogit.errors import DataError, OptionError
from multilogit.extras import require
from multilogit.fitting import fit_frame
from multilogit.formula.spec import INTERCEPT
from multilogit.matrix import Columns, model_frame, new_rows
from multilogit.predict.modes import FactorRows
from multilogit.predict.tangent import Model, Rows, Scale, value
from multilogit.prior import BoundPrior, Prior
from multilogit.prior.names import PRIORS
from multilogit.prior.options import Strength
from multilogit.result import Fit, Spec
from multilogit.result.arrays.prediction_model import prediction_model
from multilogit.search_options import search_options

require("sklearn", needs="sklearn", extra="sklearn", purpose="MultilevelLogisticRegression")

from sklearn.base import BaseEstimator, ClassifierMixin  # noqa: E402
from sklearn.exceptions import ConvergenceWarning  # noqa: E402
from sklearn.metrics import accuracy_score  # noqa: E402
from sklearn.utils import _safe_indexing  # noqa: E402
from sklearn.utils.multiclass import check_classification_targets  # noqa: E402
from sklearn.utils.validation import (  # noqa: E402
    _check_sample_weight,
    check_array,
    check_is_fitted,
    column_or_1d,
    validate_data,
)

Floats = NDArray[np.float64]
Place = str | int
NewGroups = Literal["population", "marginal", "error"]

_NEW_GROUPS = ("population", "marginal", "error")
_SEVERAL_SHOWN = 5


class MultilevelLogisticRegression(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Logistic regression with random effects, binary or multinomial, for scikit-learn.

    Without groups it is logistic regression. With them every group has its own intercept, and
    its own slopes where ``slopes`` says so, drawn from a normal distribution whose covariance
    matrix is estimated. Predictions for a group that was seen in training use its own effects.

    Parameters
    ----------
    groups
        Columns of X that hold the groups: a name, or a position where X is an array, or a list
        of them for several grouping factors. They may hold anything that can be told apart, such
        as numbers or texts, and are not features. None: no groups in X (they may be given to
        :meth:`fit`).
    slopes
        Features whose coefficients vary between groups: names, or positions in X. A mapping from
        names of grouping factors to features where they differ.
    prior
        ``"relative-entropy"`` (default), ``"shannon-entropy"``, ``"normal"``, ``"cauchy"``,
        ``"jeffreys"``, ``"soft-penalty"``; an object such as ``ml.Normal(1.0)``; None: maximum
        likelihood, which has no finite answer for separated classes.
    strength
        Of an entropy prior given by name, in pseudo-observations; ``"auto"``: by empirical
        Bayes; ``"cv"``: by predictions of left-out groups; None: one per coefficient.
    nodes
        Nodes of adaptive Gauss–Hermite quadrature; 1: Laplace's approximation; ``"auto"``.
    fit_intercept
        Whether there is a constant.
    new_groups
        Predictions for groups that were not in training: ``"population"``: random effects 0, a
        typical group; ``"marginal"``: averaged over the distribution of groups; ``"error"``.
    max_iter, tol
        As ``max_iterations`` and ``tolerance`` of :func:`multilogit.fit`.
    n_jobs
        Threads; None: one, −1: all processors. The result is the same for every number.

    Attributes
    ----------
    classes_
        The J class labels, sorted; the first is the baseline.
    coef_, intercept_
        Fixed effects, shapes ``(1, p)`` and ``(1,)`` for two classes, ``(J, p)`` and ``(J,)``
        for more (zeros for the baseline). p features: the columns of X without the groups.
    coef_names_
        The p features that the columns of ``coef_`` belong to.
    result_
        The :class:`multilogit.Fit`: summary, standard errors, random effects, diagnostics;
        ``result_.save()`` writes it without its data.
    n_features_in_, feature_names_in_
        As everywhere in scikit-learn, the groups among them.
    n_iter_
        Newton iterations.

    Notes
    -----
    ``sample_weight`` are frequencies: weight 2 is the row twice.

    Examples
    --------
    >>> import numpy as np, pandas as pd
    >>> import multilogit as ml
    >>> rng = np.random.default_rng(0)
    >>> X = pd.DataFrame({"x": rng.normal(size=200), "school": rng.integers(0, 10, 200)})
    >>> y = rng.random(200) < 1 / (1 + np.exp(-X["x"] - X["school"] / 5))
    >>> model = ml.MultilevelLogisticRegression(groups="school").fit(X, y)
    >>> model.predict_proba(X).shape
    (200, 2)
    """

    def __init__(
        self,
        groups: Place | Sequence[Place] | None = None,
        *,
        slopes: Sequence[Place] | Mapping[str, Sequence[Place]] | None = None,
        prior: str | Prior | BoundPrior | None = "relative-entropy",
        strength: Strength = None,
        nodes: int | Literal["auto"] = 1,
        fit_intercept: bool = True,
        new_groups: NewGroups = "population",
        max_iter: int = 100,
        tol: float = 1e-8,
        n_jobs: int | None = None,
    ) -> None:
        self.groups = groups
        self.slopes = slopes
        self.prior = prior
        self.strength = strength
        self.nodes = nodes
        self.fit_intercept = fit_intercept
        self.new_groups = new_groups
        self.max_iter = max_iter
        self.tol = tol
        self.n_jobs = n_jobs

    # ------------------------------------------------------------------ fit

    def fit(
        self, X: Any, y: Any, sample_weight: Any = None, groups: Any = None
    ) -> MultilevelLogisticRegression:
        """Fit the model.

        Parameters
        ----------
        X
            Shape ``(n, n_features)``: a frame or an array. All columns but the groups are
            numeric.
        y
            Shape ``(n,)``: class labels.
        sample_weight
            Shape ``(n,)``, not negative, or None.
        groups
            Shape ``(n,)``: groups that are not in X, or a frame of several grouping factors.

        Returns
        -------
        MultilevelLogisticRegression
            The estimator itself. A fit that is not to be trusted warns with scikit-learn's
            ``ConvergenceWarning``, which says why.

        Raises
        ------
        ValueError
            Input or parameters that cannot be used (:class:`multilogit.InputError` is one).
        """
        began = time.perf_counter()
        prior = _prior(self.prior, self.strength)
        threads = _threads(self.n_jobs)
        options = search_options(
            prior, self.nodes, None, 1, "report", self.max_iter, self.tol, threads
        )
        check_choice("new_groups", self.new_groups, _NEW_GROUPS)
        data = self._columns(X, groups, reset=True)
        response, self.classes_, rows = _response(y, sample_weight, data.features)
        data = data if rows is None else data.take(rows)
        self._varying = self._slopes(data)
        frame, design = model_frame(data, response, self._varying, intercept=self.fit_intercept)
        spec = Spec(design.formula, {} if prior is None else {"prior": prior})
        self.result_ = fit_frame(frame, design, spec, options, began)
        self.coef_names_ = list(data.names)
        self.coef_, self.intercept_ = _coefficients(self.result_, design.spec.fixed.names())
        self.n_iter_ = np.array([max(1, self.result_.n_iterations)])
        _warn(self.result_)
        return self

    def _columns(self, X: Any, groups: Any, *, reset: bool) -> Columns:
        """X and the groups as columns."""
        given = dict(_given_groups(groups))
        if self.groups is None:
            features = validate_data(self, X, dtype=np.float64, order="F", reset=reset)
            return Columns(features, self._names(), _of_length(given, features.shape[0]))
        validate_data(self, X, skip_check_array=True, reset=reset)
        places = self._places(self.groups, "groups")
        kept = [k for k in range(self.n_features_in_) if k not in places]
        features = check_array(
            _safe_indexing(X, kept, axis=1), dtype=np.float64, order="F", ensure_min_features=0
        )
        names = self._names()
        own = {names[k]: _factor(_safe_indexing(X, k, axis=1), names[k]) for k in places}
        factors = _of_length(own | given, features.shape[0])
        return Columns(features, tuple(names[k] for k in kept), factors)

    def _names(self) -> tuple[str, ...]:
        """Names of X's columns: their own where a formula can hold them, else x0, x1, ..."""
        n = self.n_features_in_
        names = tuple(map(str, getattr(self, "feature_names_in_", ())))
        usable = len(set(names)) == n and not any(
            "`" in name or not name.strip() or name == INTERCEPT for name in names
        )
        return names if usable else tuple(f"x{k}" for k in range(n))

    def _places(self, given: Any, option: str) -> list[int]:
        """Positions in X of columns that are given by name or position."""
        names = list(map(str, getattr(self, "feature_names_in_", ())))
        found = []
        for place in [given] if isinstance(given, str | int | np.integer) else given:
            if isinstance(place, str) and place in names:
                found.append(names.index(place))
            elif isinstance(place, int | np.integer) and 0 <= place < self.n_features_in_:
                found.append(int(place))
            else:
                known = ", ".join(names[:20]) or f"positions 0 to {self.n_features_in_ - 1}"
                raise OptionError(f"{option}: X has no column {place!r}; it has {known}.")
        return found

    def _slopes(self, data: Columns) -> dict[str, list[int]]:
        """For each grouping factor the positions among the features of those that vary."""
        every = self._names()
        by_factor = self.slopes if isinstance(self.slopes, Mapping) else {}
        unknown = set(by_factor) - set(data.groups)
        if unknown or (self.slopes is not None and not data.groups):
            named = ", ".join(map(repr, data.groups)) or "none"
            raise OptionError(f"slopes={self.slopes!r}: the grouping factors are: {named}.")
        found = {}
        for name in data.groups:
            given = by_factor.get(name, ()) if by_factor else self.slopes
            names = [every[k] for k in self._places(() if given is None else given, "slopes")]
            if group_columns := [column for column in names if column not in data.names]:
                raise OptionError(f"slopes: {group_columns[0]!r} holds groups; it is no feature.")
            found[name] = [data.names.index(column) for column in names]
        return found

    # ------------------------------------------------------------------ predictions

    def predict(self, X: Any, groups: Any = None) -> NDArray[Any]:
        """The most probable class of each row, shape ``(n,)``."""
        eta = self._predicted(X, groups, "link")
        every = np.column_stack([np.zeros(eta.shape[0]), eta])
        return np.asarray(self.classes_[every.argmax(axis=1)])

    def predict_proba(self, X: Any, groups: Any = None) -> Floats:
        """Probabilities of the classes, shape ``(n, J)``, in the order of ``classes_``."""
        return self._predicted(X, groups, "response")

    def predict_log_proba(self, X: Any, groups: Any = None) -> Floats:
        """Logarithms of :meth:`predict_proba`."""
        return np.asarray(np.log(self.predict_proba(X, groups)))

    def decision_function(self, X: Any, groups: Any = None) -> Floats:
        """The linear predictor with its random effects.

        Shape ``(n,)`` for two classes: the log odds of the second. Shape ``(n, J)`` for more:
        0 for the baseline, log Pr(class)/Pr(baseline) for the others.
        """
        eta = self._predicted(X, groups, "link")
        if eta.shape[1] == 1:
            return np.ascontiguousarray(eta[:, 0])
        return np.column_stack([np.zeros(eta.shape[0]), eta])

    def score(self, X: Any, y: Any, sample_weight: Any = None, groups: Any = None) -> float:
        """Share of rows whose class is predicted."""
        return float(accuracy_score(y, self.predict(X, groups), sample_weight=sample_weight))

    def _predicted(self, X: Any, groups: Any, scale: Scale) -> Floats:
        """η, shape ``(n, J - 1)``, or probabilities, shape ``(n, J)``."""
        check_is_fitted(self)
        check_choice("new_groups", self.new_groups, _NEW_GROUPS)
        data = self._columns(X, groups, reset=False)
        rows = new_rows(self.result_, data, self._varying)
        model = prediction_model(self.result_)
        if self.new_groups == "error":
            _refuse_new_groups(rows, [effects.group for effects in self.result_.random])
        made = value(model, rows, "conditional", scale)
        return _averaged(made, model, rows, scale) if self.new_groups == "marginal" else made


# --- input -------------------------------------------------------------------------------------


def _given_groups(groups: Any) -> Iterator[tuple[str, Factor]]:
    """Grouping factors that are not in X: one column, or a table of them."""
    if groups is None:
        return
    if hasattr(groups, "columns") or isinstance(groups, Mapping):
        table = read_table(groups)
        yield from ((name, factor_of(table.column(name))) for name in table.names)
    elif np.ndim(groups) == 2:
        for k, column in enumerate(np.asarray(groups).T):
            yield f"groups{k}", _factor(column, f"groups{k}")
    else:
        name = str(getattr(groups, "name", None) or "groups")
        yield name, _factor(groups, name)


def _factor(values: Any, name: str) -> Factor:
    return factor_of(read_table({name: values}).column(name))


def _of_length(factors: dict[str, Factor], n: int) -> dict[str, Factor]:
    for name, factor in factors.items():
        if len(factor) != n:
            raise DataError(f"The groups {name!r} have {len(factor)} values, but X has {n} rows.")
    return factors


def _response(
    y: Any, sample_weight: Any, features: Floats
) -> tuple[Response, NDArray[Any], NDArray[np.int64] | None]:
    """The response, the classes, and the rows that have a weight (None: all)."""
    target = column_or_1d(y, warn=True)
    check_classification_targets(target)
    if target.shape[0] != features.shape[0]:
        raise DataError(f"X has {features.shape[0]} rows, but y has {target.shape[0]}.")
    weights, rows = _weights(sample_weight, features)
    target = target if rows is None else target[rows]
    classes, codes = np.unique(target, return_inverse=True)
    if classes.size < 2:
        named = ", ".join(map(repr, classes.tolist())) or "none"
        raise DataError(f"A classifier needs two classes or more; y has one class ({named}).")
    labels = tuple(map(label, classes.tolist()))
    if len(set(labels)) < len(labels):  # 1.0 and "1"
        labels = tuple(map(repr, classes.tolist()))
    counts = np.zeros((codes.size, classes.size - 1), order="F")
    others = np.flatnonzero(codes)
    counts[others, codes[others] - 1] = 1.0
    family: Family = "binomial" if classes.size == 2 else "multinomial"
    response = Response(family, "y", labels, counts, np.ones(codes.size), weights)
    return response, classes, rows


def _weights(
    sample_weight: Any, features: Floats
) -> tuple[Floats | None, NDArray[np.int64] | None]:
    """Weights and the rows that have one; None where all rows have the weight 1."""
    if sample_weight is None:
        return None, None
    weights = _check_sample_weight(
        sample_weight, features, dtype=np.float64, ensure_non_negative=True
    )
    rows = None
    if (weights == 0.0).any():
        rows = np.flatnonzero(weights)
        weights = weights[rows]
    return (None if (weights == 1.0).all() else weights), rows


# --- options -----------------------------------------------------------------------------------


def _prior(prior: Any, strength: Strength) -> Prior | BoundPrior | None:
    """The prior that two parameters describe."""
    if not isinstance(prior, str):
        if strength is not None:
            raise OptionError("strength= belongs to a prior given by its name.")
        return prior  # type: ignore[no-any-return]
    if prior not in PRIORS:
        named = ", ".join(map(repr, PRIORS))
        raise OptionError(f"prior={prior!r} is not available; choose one of {named}, or None.")
    if strength is None:
        return PRIORS[prior]()
    if not prior.endswith("entropy"):
        raise OptionError(f"prior={prior!r} has no strength; give ml.Normal(scale) and the like.")
    return PRIORS[prior](strength=strength)  # type: ignore[call-arg]


def _threads(n_jobs: int | None) -> int | None:
    """scikit-learn counts from the end where the number is negative."""
    if n_jobs is None:
        return 1
    return n_jobs if n_jobs > 0 else max(1, (os.cpu_count() or 1) + 1 + n_jobs)


# --- results -----------------------------------------------------------------------------------


def _coefficients(fit: Fit, names: Sequence[str]) -> tuple[Floats, Floats]:
    """β by class and feature, and the constants; 0 for a feature that depends on others."""
    labels = fit.labels
    beta = prediction_model(fit).beta
    place = {name: k for k, name in enumerate(labels.columns)}
    first = 0 if labels.n_logits == 1 else 1  # a row of zeros: the baseline
    coef = np.zeros((labels.n_logits + first, len(names)))
    intercept = np.zeros(labels.n_logits + first)
    for k, name in enumerate(names):
        if name in place:
            coef[first:, k] = beta[:, place[name]]
    if INTERCEPT in place:
        intercept[first:] = beta[:, place[INTERCEPT]]
    return coef, intercept


def _warn(fit: Fit) -> None:
    if not fit.converged:
        reasons = [str(noticed) for noticed in fit.diagnostics if noticed.severity == "error"]
        warnings.warn(" ".join(reasons), ConvergenceWarning, stacklevel=3)


def _refuse_new_groups(rows: Rows, names: Sequence[str]) -> None:
    for name, factor in zip(names, rows.factors, strict=True):
        new = np.flatnonzero(factor.codes < 0)
        if new.size:
            shown = ", ".join(map(str, new[:_SEVERAL_SHOWN]))
            raise DataError(
                f"Groups of {name!r} that were not in training, at the rows {shown}"
                f"{', ...' if new.size > _SEVERAL_SHOWN else ''}: use new_groups='population'."
            )


def _averaged(made: Floats, model: Model, rows: Rows, scale: Scale) -> Floats:
    """Rows none of whose groups is known are averaged over the distribution of groups."""
    if not rows.factors:
        return made
    new = np.flatnonzero(np.all([factor.codes < 0 for factor in rows.factors], axis=0))
    if not new.size:
        return made
    factors = tuple(
        FactorRows(tuple(column[new] for column in factor.columns), factor.codes[new])
        for factor in rows.factors
    )
    some = Rows(new.size, tuple(column[new] for column in rows.x), factors)
    made[new] = value(model, some, "marginal", scale)
    return made
