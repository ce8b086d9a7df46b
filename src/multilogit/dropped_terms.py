"""``drop_terms``: what each term of a model contributes, by a fit without it (R's ``drop1``)."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pandas as pd

from multilogit.errors import OptionError
from multilogit.fitting import fit_frame
from multilogit.formula.spec import Terms, Variable, label
from multilogit.inference.likelihood_ratio import ratio_test
from multilogit.result import Fit
from multilogit.result.fields.level_effects import refuse_many_levels

Term = tuple[Variable, ...]


def drop_terms(fit: Fit) -> pd.DataFrame:
    """Likelihood ratio tests of the terms of the fixed effects: each model without one of them.

    A term stays where another contains it: ``a`` and ``b`` cannot be dropped from ``a * b``
    without changing what ``a:b`` means (R's ``drop1``, ``test = "Chisq"``). Everything else of the
    fit is kept: rows, weights, offset, random effects, nodes.

    Parameters
    ----------
    fit
        A fit by maximum likelihood, with its data.

    Returns
    -------
    DataFrame
        The model itself as ``(none)``, then a row per term: ``npar`` and ``aic`` of the model
        without it, ``chisq`` (twice the fall of the log-likelihood), ``df`` and ``p_value``. NaN
        where the search of the smaller model did not reach a maximum.

    Raises
    ------
    OptionError
        A prior; a fit that did not converge; nothing that could be dropped.
    DataNotSavedError
        The fit was loaded from a file, or its data were not kept.

    Examples
    --------
    >>> import multilogit as ml
    >>> data = {"y": [0, 1, 0, 1, 1, 0], "x": [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]}
    >>> ml.drop_terms(ml.fit("y ~ x", data))["df"].tolist()
    [<NA>, 1]
    """
    _check(fit)
    terms = list(_droppable(fit.design.spec.fixed))
    if not terms:
        raise OptionError("The model has no terms that could be dropped.")
    rows = {"(none)": _row(fit, fit)} | {
        label(term): _row(fit, _without(fit, term)) for term in terms
    }
    table = pd.DataFrame.from_dict(rows, orient="index").rename_axis("term")
    return table.astype({"npar": int, "df": "Int64"})


def _check(fit: Fit) -> None:
    refuse_many_levels(fit.levels, "drop_terms()")
    fit._frame_for("drop_terms()")
    if fit.penalised:
        raise OptionError(
            "Likelihood ratio tests need maximum likelihood, and this fit has a prior. Fit without "
            "prior=, or use fit.test_terms()."
        )
    if not fit.status.at_supremum:
        raise OptionError(
            f"The fit did not converge ({fit.status.value}): its log-likelihood is not the maximum."
        )


def _droppable(fixed: Terms) -> Iterator[Term]:
    """The terms that no other contains."""
    if len(fixed.terms) == 1 and not fixed.intercept:
        return  # nothing would be left
    variables = [{variable.key for variable in term} for term in fixed.terms]
    for term, own in zip(fixed.terms, variables, strict=True):
        if not any(own < other for other in variables):
            yield term


def _without(fit: Fit, term: Term) -> Fit:
    """The model of a fit without a term, coded anew: its factors may have been coded by it."""
    design, frame = fit.design, fit.frame
    fixed = design.spec.fixed
    kept = Terms(tuple(other for other in fixed.terms if other != term), fixed.intercept)
    text = f"{fit.spec.formula} - {label(term)}"
    smaller = replace(design, spec=design.spec._replace(text=text, fixed=kept))
    made = smaller.columns(frame.variables, random=False, groups=False)
    options = replace(fit.options, start=None, callback=None)
    spec = replace(fit.spec, formula=text)
    data = replace(frame, fixed=made.fixed)
    return fit_frame(data, smaller, spec, options, time.perf_counter())


def _row(fit: Fit, smaller: Fit) -> dict[str, object]:
    row: dict[str, object] = {"npar": smaller.n_parameters, "aic": smaller.aic}
    df = fit.n_parameters - smaller.n_parameters
    if not df:
        return row | {"chisq": np.nan, "df": pd.NA, "p_value": np.nan}
    if not smaller.status.at_supremum:
        return row | {"aic": np.nan, "chisq": np.nan, "df": df, "p_value": np.nan}
    tested = ratio_test(2.0 * (fit.loglik - smaller.loglik), df, 0)
    return row | {"chisq": tested.statistic, "df": df, "p_value": tested.p_value}
