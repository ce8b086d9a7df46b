"""Of a saved model: what is kept of its data."""

from __future__ import annotations

import re
from typing import Any, cast

from multilogit.data.model_frame import Family
from multilogit.formula.spec import INTERCEPT, FormulaSpec
from multilogit.result.fields.training import Labels, TrainingRecord
from multilogit.storage.arrays import write_number
from multilogit.storage.node import Node

_COUNTS = ("n_rows", "n_obs")

_NUMBERS = ("n_trials", "log_coefficient", "null_loglik", "saturated_loglik")


_SHA256 = re.compile("[0-9a-f]{64}")


def write_training(training: TrainingRecord) -> dict[str, Any]:
    """The record; levels of grouping factors are with the design."""
    labels = training.labels
    return {
        "family": labels.family,
        "response": labels.response,
        "categories": list(labels.categories),
        "columns": list(labels.columns),
        "terms": list(labels.terms),
        **{name: getattr(training, name) for name in _COUNTS},
        **{name: write_number(getattr(training, name)) for name in _NUMBERS},
        "digest": training.digest,
    }


def read_training(node: Node) -> TrainingRecord:
    """The record; its labels lack the levels, which the design has."""
    names = ("family", "response", "categories", "columns", "terms")
    parts = node.record(*names, *_COUNTS, *_NUMBERS, "digest")
    family = cast(Family, parts["family"].choice("binomial", "multinomial"))
    labels = Labels(
        family=family,
        response=parts["response"].text(),
        categories=parts["categories"].texts(),
        columns=parts["columns"].texts(),
        terms=parts["terms"].texts(),
        levels={},
    )
    wrong = (len(labels.categories) == 2) != (family == "binomial")
    if wrong or len(set(labels.categories)) < max(len(labels.categories), 2):
        parts["categories"].fail("must be different texts, two of them for a binomial family.")
    if not _SHA256.fullmatch(parts["digest"].text()):
        parts["digest"].fail("must be 64 hexadecimal digits.")
    return TrainingRecord(
        labels=labels,
        n_rows=parts["n_rows"].count(1),
        n_obs=parts["n_obs"].count(1),
        n_trials=parts["n_trials"].number(least=0.0),
        log_coefficient=parts["log_coefficient"].number(),
        null_loglik=parts["null_loglik"].number(finite=False),
        saturated_loglik=parts["saturated_loglik"].number(finite=False),
        digest=parts["digest"].text(),
    )


def check_terms(node: Node, labels: Labels, spec: FormulaSpec) -> None:
    """Columns have different names and belong to terms of the formula."""
    if len(labels.terms) != len(labels.columns):
        node.child("terms", None).fail("must have one entry per column.")
    if len(set(labels.columns)) < len(labels.columns):
        node.child("columns", None).fail("must be different texts.")
    unknown = set(labels.terms) - {INTERCEPT, *spec.fixed.names()}
    if unknown:
        node.child("terms", None).fail(f"{min(unknown)[:80]!r} is not in the formula.")
