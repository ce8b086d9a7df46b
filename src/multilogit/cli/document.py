"""A fit, or a finding of separation, as one JSON document of plain values."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from multilogit._version import __version__
from multilogit.comparison import Comparison
from multilogit.errors import Diagnostic
from multilogit.evidence.strength import EvidenceCurve
from multilogit.result import Fit
from multilogit.sensitivity_analysis import prior_strength
from multilogit.separability import Separation


def plain(value: object) -> Any:
    """``value`` as JSON knows it: NaN and infinities become null, numpy scalars numbers."""
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, np.ndarray)):
        return [plain(item) for item in value]
    if isinstance(value, (np.bool_, np.integer)):
        return value.item()
    if isinstance(value, (float, np.floating)):
        return float(value) if math.isfinite(value) else None
    return value if value is None or isinstance(value, (bool, int, str)) else str(value)


def records(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows of a table."""
    return [plain(row) for row in table.to_dict(orient="records")]


def _diagnostic(diagnostic: Diagnostic) -> dict[str, Any]:
    return {
        "code": diagnostic.code,
        "severity": diagnostic.severity,
        "message": diagnostic.message,
        "remedy": diagnostic.remedy,
        "facts": plain(diagnostic.facts),
    }


def document(fit: Fit) -> dict[str, Any]:
    """Everything that a program wants to know about a fit.

    Keys: ``multilogit`` (version), ``formula``, ``options``, ``family``, ``categories`` (the
    baseline first), ``status``, ``converged``, ``glance``, ``tidy``, ``variance_components``,
    ``n_groups``, ``diagnostics``, ``trace``. Numbers that are not finite are null.

    The prior: ``prior`` (as in Python, with the strength that was chosen), ``strength``
    (pseudo-observations of an entropy prior), ``evidence`` (the curve that the strength was
    chosen from), ``log_prior``, ``effective_df``, ``posterior_sd`` (by coefficient) and
    ``se_source``. Without one the first three are null, and ``posterior_sd`` are the standard
    errors.
    """
    return {
        "multilogit": __version__,
        "formula": fit.spec.formula,
        "options": plain(fit.spec.options),
        "family": fit.labels.family,
        "categories": list(fit.labels.categories),
        "status": fit.status.value,
        "converged": fit.converged,
        "glance": records(fit.glance())[0],
        "tidy": records(fit.tidy()),
        "variance_components": records(fit.variance_components),
        "n_groups": fit.n_groups,
        **_prior(fit),
        "diagnostics": [_diagnostic(diagnostic) for diagnostic in fit.diagnostics],
        "trace": records(fit.trace),
    }


def _prior(fit: Fit) -> dict[str, Any]:
    """The prior and what it did."""
    prior = fit.options.prior
    return {
        "prior": None if prior is None else repr(prior),
        "strength": prior_strength(fit),
        "evidence": None if fit.evidence is None else _curve(fit.evidence),
        "log_prior": plain(fit.log_prior),
        "effective_df": plain(fit.effective_df),
        "posterior_sd": {name: plain(sd) for name, sd in fit.posterior_sd.items()},
        "se_source": fit.se_source,
    }


def _curve(curve: EvidenceCurve) -> dict[str, Any]:
    return {field.name: plain(getattr(curve, field.name)) for field in fields(curve)}


def separation_document(found: Separation) -> dict[str, Any]:
    """What :func:`multilogit.separation` found.

    Keys: ``multilogit`` (version), ``formula``, ``kind``, ``infinite`` and ``direction`` (by
    coefficient), ``rows`` and ``boundary_rows`` (row numbers from 0), ``aliased``,
    ``diagnostics``.
    """
    return {
        "multilogit": __version__,
        "formula": found.formula,
        "kind": found.kind,
        "infinite": found.infinite.to_dict(),
        "direction": plain(found.direction.to_dict()),
        "rows": plain(found.rows),
        "boundary_rows": plain(found.boundary_rows),
        "aliased": list(found.aliased),
        "diagnostics": [_diagnostic(diagnostic) for diagnostic in found.diagnostics],
    }


def comparison_document(found: Comparison, files: Mapping[str, str]) -> dict[str, Any]:
    """What :func:`multilogit.compare` found.

    Keys: ``multilogit`` (version), ``table`` (a row per model, from the smallest on, with its
    ``name``, ``file`` and ``formula``), ``notes``.
    """
    rows = []
    for row in records(found.table.reset_index(names="name")):
        name = row.pop("name")
        rows.append({"name": name, "file": files[name], "formula": found.formulas[name]} | row)
    return {"multilogit": __version__, "table": rows, "notes": list(found.notes)}


def prediction_document(fit: Fit, table: pd.DataFrame, *, kind: str, level: str) -> dict[str, Any]:
    """Predictions as columns.

    Keys: ``multilogit`` (version), ``formula``, ``converged``, ``kind``, ``level``, ``n``,
    ``predictions``: a list of n values for each column; for several categories and quantities
    an object of them for each quantity.
    """
    columns: dict[str, Any] = {}
    for name, column in table.items():
        *outer, last = name if isinstance(name, tuple) else (name,)
        place = columns
        for key in outer:
            place = place.setdefault(str(key), {})
        place[str(last)] = plain(column.tolist())
    return {
        "multilogit": __version__,
        "formula": fit.spec.formula,
        "converged": fit.converged,
        "kind": kind,
        "level": level,
        "n": len(table),
        "predictions": columns,
    }


def report_document(fit: Fit, output: Path) -> dict[str, Any]:
    """What was written.

    Keys: ``multilogit`` (version), ``formula``, ``converged``, ``report`` (the file).
    """
    return {
        "multilogit": __version__,
        "formula": fit.spec.formula,
        "converged": fit.converged,
        "report": str(output.resolve()),
    }


def to_json(result: Fit | Separation) -> str:
    """The document as text; numbers are written so that they read back exactly."""
    found = separation_document(result) if isinstance(result, Separation) else document(result)
    return dumped(found)


def dumped(found: dict[str, Any]) -> str:
    """A document as text."""
    return json.dumps(found, indent=2, ensure_ascii=False, allow_nan=False)
