"""Separation: which coefficients have no finite maximum likelihood estimate, and why.

:func:`separation` answers before any fit; :mod:`multilogit.divergence` recognises a fit that
suffers from it. The linear programs are in :mod:`multilogit.estimate.recession`. (The module is
not called ``separation``: importing it would hide the function ``multilogit.separation``.)
"""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from multilogit.divergence.finding import find_separated
from multilogit.divergence.joint import joint_diagnostics
from multilogit.errors import Diagnostic, OptionError
from multilogit.estimate.recession import (
    Kind,
)
from multilogit.formula import build_frame

_WIDTH = 88


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
    trials: str | NDArray[np.float64] | float | None = None,
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
    finding = find_separated(frame)
    infinite = pd.Series(finding.limits(), index=finding.names, name="infinite")
    joint = () if finding.recession.kind != "overlap" else joint_diagnostics(frame)
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


# -- in words ----------------------------------------------------------------------------------


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
