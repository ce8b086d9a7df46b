"""Saved models: the record of a fit, without its data, and the fit of a record.

The file is JSON. ``schema`` is the version of its layout: it grows with every change that an
older reader could misunderstand, and every schema that was ever released stays readable
(tests/saved holds a file of each). A reader is strict: what it does not know it refuses.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from multilogit._version import __version__
from multilogit.result.arrays.aliasing import aliasing_of
from multilogit.result.description.estimates import Estimates
from multilogit.result.fields.robust_covariance import RobustCovariance
from multilogit.result.fields.training import Labels, TrainingRecord
from multilogit.result.persistence.asked import read_options, read_spec, write_options, write_spec
from multilogit.result.persistence.effects import (
    read_levels,
    read_modes,
    read_random,
    solution_of_others,
    write_effects,
    write_levels,
    write_modes,
)
from multilogit.result.persistence.training import check_terms, read_training, write_training
from multilogit.storage.arrays import read_array, write_array, write_number
from multilogit.storage.designs import read_design, write_design
from multilogit.storage.node import Node
from multilogit.storage.searches import (
    read_diagnostics,
    read_evaluation,
    read_evidence,
    read_solution,
    write_diagnostics,
    write_evaluation,
    write_evidence,
    write_solution,
)

FORMAT = "multilogit model"
SCHEMA = 1


def record_of(fit: Estimates) -> dict[str, Any]:
    """Everything about a fit but its data, as JSON can hold it."""
    same = fit.likelihood is fit.solution.evaluation
    return {
        "format": FORMAT,
        "schema": SCHEMA,
        "multilogit": __version__,
        "spec": write_spec(fit.spec),
        "design": write_design(fit.design),
        "training": write_training(TrainingRecord.of(fit.training)),
        "solution": write_solution(solution_of_others(fit)),
        "likelihood": None if same else write_evaluation(fit.likelihood),
        "boundary": write_array(fit.boundary),
        "random": [write_effects(effects) for effects in fit.random],
        "aliased": list(fit.aliased),
        "diagnostics": write_diagnostics(fit.diagnostics),
        "seconds": write_number(fit.seconds),
        "far": None if fit.far is None else write_array(fit.far),
        "evidence": write_evidence(fit.evidence),
        "options": write_options(fit.options),
        "robust": _write_robust(fit.robust),
        "modes": write_modes(fit),
        **_write_relation(fit),
        **write_levels(fit.levels),
    }


def fields_of(document: Any) -> dict[str, Any]:
    """The fields of the fit that :func:`record_of` has recorded.

    Raises
    ------
    ModelFileError
        It is no such record, or one of a later version.
    """
    parts = _checked_header(Node(document))
    training = read_training(parts["training"])
    design = read_design(parts["design"])
    labels = replace(
        training.labels,
        levels={name: levels.labels() for name, levels in design.learnt.groups.items()},
    )
    check_terms(parts["training"], labels, design.spec)
    levels = read_levels(parts, labels)
    first = labels.n_logits * len(labels.columns) - (0 if levels is None else levels.places.size)
    random, size = read_random(parts["random"], labels, first)
    likelihood, far = parts["likelihood"], parts["far"]
    solution = read_solution(parts["solution"], size, finite=far.value is None)
    psi = solution.psi if levels is None else levels.coefficients(solution.psi)
    return {
        "spec": read_spec(parts["spec"]),
        "design": design,
        "training": replace(training, labels=labels),
        "solution": replace(solution, psi=psi),
        "likelihood": solution.evaluation
        if likelihood.value is None
        else read_evaluation(likelihood, size),
        "boundary": read_array(parts["boundary"], psi.size, dtype="bool"),
        "random": random,
        "aliased": parts["aliased"].texts(),
        "diagnostics": read_diagnostics(parts["diagnostics"]),
        "seconds": parts["seconds"].number(least=0.0),
        "far": None if far.value is None else read_array(far, size),
        "evidence": read_evidence(parts["evidence"]),
        "options": read_options(parts["options"]),
        "robust": _read_robust(parts["robust"], size),
        "modes": read_modes(parts["modes"], random, size),
        "relation": _read_relation(parts, labels),
        "levels": levels,
    }


def _checked_header(node: Node) -> dict[str, Node]:
    """The parts of a document, if it is a model of a version that can be read."""
    found = node.value if isinstance(node.value, dict) else {}
    if found.get("format") != FORMAT:
        node.fail("is not a model saved by multilogit.")
    schema = node.child("schema", found.get("schema")).count(1)
    if schema > SCHEMA:
        written = str(found.get("multilogit"))[:20]
        node.fail(
            f"was written by multilogit {written} in schema {schema}; this is multilogit "
            f"{__version__}, which reads schemas up to {SCHEMA}. Install a newer version."
        )
    return node.record(
        *("format", "schema", "multilogit", "spec", "design", "training", "solution"),
        *("likelihood", "boundary", "random", "aliased", "diagnostics", "seconds", "far"),
        *("evidence", "options", "robust", "modes"),
        optional=("relation", "levels"),
    )


def _write_robust(robust: RobustCovariance | None) -> Any:
    if robust is None:
        return None
    return {
        "kind": robust.kind,
        "matrix": write_array(robust.matrix),
        "groups": robust.groups,
        "n_groups": robust.n_groups,
    }


def _read_robust(node: Node, size: int) -> RobustCovariance | None:
    if node.value is None:
        return None
    parts = node.record("kind", "matrix", "groups", "n_groups")
    return RobustCovariance(
        parts["kind"].text(),
        read_array(parts["matrix"], size, size, finite=False),
        parts["groups"].text(),
        parts["n_groups"].count(),
    )


def _write_relation(fit: Estimates) -> dict[str, Any]:
    """How dropped columns depended on the others, where there are any and it is known."""
    found = aliasing_of(fit)
    return {} if found is None or found.known is None else {"relation": write_array(found.known)}


def _read_relation(parts: dict[str, Node], labels: Labels) -> NDArray[np.float64] | None:
    if "relation" not in parts:
        return None
    return read_array(parts["relation"], len(labels.columns), len(parts["aliased"].texts()))
