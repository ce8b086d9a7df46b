"""Saved models: the record of a fit, without its data, and the fit of a record.

The file is JSON. ``schema`` is the version of its layout: it grows with every change that an
older reader could misunderstand, and every schema that was ever released stays readable
(tests/data holds a file of each). A reader is strict: what it does not know it refuses.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from multilogit._version import __version__
from multilogit.data.model_frame import Family
from multilogit.estimate import Options
from multilogit.formula.spec import INTERCEPT, FormulaSpec
from multilogit.inference.variance import positions
from multilogit.likelihood.levels import LevelModes
from multilogit.newton import Solution
from multilogit.predict.modes import ModeUncertainty
from multilogit.result.arrays.aliasing import aliasing_of
from multilogit.result.description.estimates import Estimates
from multilogit.result.fields.level_effects import LevelEffects
from multilogit.result.fields.parameter_names import logit_names
from multilogit.result.fields.random_effects import RandomEffects
from multilogit.result.fields.robust_covariance import RobustCovariance
from multilogit.result.fields.spec import Spec
from multilogit.result.fields.training import Labels, TrainingRecord
from multilogit.storage.arrays import read_array, write_array, write_number
from multilogit.storage.designs import read_design, read_formula, write_design
from multilogit.storage.node import Node
from multilogit.storage.priors import read_prior, write_prior
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
from multilogit.storage.values import LeftOut, read_value, write_value

FORMAT = "multilogit model"
SCHEMA = 1
_MODES = ("alpha", "information", "slopes")
_DATA_OPTIONS = ("weights", "offset", "trials")
"""Options that may hold one number per row: data, which are not saved."""


def record_of(fit: Estimates) -> dict[str, Any]:
    """Everything about a fit but its data, as JSON can hold it."""
    same = fit.likelihood is fit.solution.evaluation
    return {
        "format": FORMAT,
        "schema": SCHEMA,
        "multilogit": __version__,
        "spec": _write_spec(fit.spec),
        "design": write_design(fit.design),
        "training": _write_training(TrainingRecord.of(fit.training)),
        "solution": write_solution(_of_others(fit)),
        "likelihood": None if same else write_evaluation(fit.likelihood),
        "boundary": write_array(fit.boundary),
        "random": [_write_effects(effects) for effects in fit.random],
        "aliased": list(fit.aliased),
        "diagnostics": write_diagnostics(fit.diagnostics),
        "seconds": write_number(fit.seconds),
        "far": None if fit.far is None else write_array(fit.far),
        "evidence": write_evidence(fit.evidence),
        "options": _write_options(fit.options),
        "robust": _write_robust(fit.robust),
        "modes": _write_modes(fit),
        **_write_relation(fit),
        **_write_levels(fit.levels),
    }


def fields_of(document: Any) -> dict[str, Any]:
    """The fields of the fit that :func:`record_of` has recorded.

    Raises
    ------
    ModelFileError
        It is no such record, or one of a later version.
    """
    parts = _checked_header(Node(document))
    training = _read_training(parts["training"])
    design = read_design(parts["design"])
    labels = replace(
        training.labels,
        levels={name: levels.labels() for name, levels in design.learnt.groups.items()},
    )
    _check_terms(parts["training"], labels, design.spec)
    levels = _read_levels(parts, labels)
    first = labels.n_logits * len(labels.columns) - (0 if levels is None else levels.places.size)
    random, size = _read_random(parts["random"], labels, first)
    likelihood, far = parts["likelihood"], parts["far"]
    solution = read_solution(parts["solution"], size, finite=far.value is None)
    psi = solution.psi if levels is None else levels.coefficients(solution.psi)
    return {
        "spec": _read_spec(parts["spec"]),
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
        "options": _read_options(parts["options"]),
        "robust": _read_robust(parts["robust"], size),
        "modes": _read_modes(parts["modes"], random, size),
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


# --- what was asked for ------------------------------------------------------------------------


def _write_spec(spec: Spec) -> dict[str, Any]:
    options = {}
    for name, value in spec.options.items():
        if name == "prior":
            options[name] = {"prior": write_prior(value)}
        elif name in _DATA_OPTIONS and not isinstance(value, str | LeftOut):
            options[name] = write_value(LeftOut(int(np.size(value))))
        else:
            options[name] = write_value(value)
    return {"formula": spec.formula, "options": options}


def _read_spec(node: Node) -> Spec:
    parts = node.record("formula", "options")
    read_formula(parts["formula"])
    options = parts["options"].mapping()
    values = {
        name: read_prior(item.record("prior")["prior"]) if name == "prior" else read_value(item)
        for name, item in options.items()
    }
    return Spec(parts["formula"].text(), values)


_PLAIN_OPTIONS = ("max_iterations", "tolerance", "nodes", "starts", "infinite")


def _write_options(options: Options) -> dict[str, Any]:
    """The options of the search but for those of the machine: threads, callback."""
    plain = {name: getattr(options, name) for name in _PLAIN_OPTIONS}
    return {**plain, "start": write_value(options.start), "prior": write_prior(options.prior)}


def _read_options(node: Node) -> Options:
    parts = node.record(*_PLAIN_OPTIONS, "start", "prior")
    start = read_value(parts["start"])
    if not (start is None or isinstance(start, np.ndarray) or start in ("zero", "ols")):
        parts["start"].fail("must be null, 'zero', 'ols' or an array.")
    return Options(
        start=start,
        max_iterations=parts["max_iterations"].count(),
        tolerance=parts["tolerance"].number(least=0.0),
        nodes=parts["nodes"].count(1),
        starts=parts["starts"].count(1),
        infinite=cast(Any, parts["infinite"].choice("report", "freeze")),
        prior=read_prior(parts["prior"]),
    )


# --- what is kept of the data ------------------------------------------------------------------

_COUNTS = ("n_rows", "n_obs")
_NUMBERS = ("n_trials", "log_coefficient", "null_loglik", "saturated_loglik")
_SHA256 = re.compile("[0-9a-f]{64}")


def _write_training(training: TrainingRecord) -> dict[str, Any]:
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


def _read_training(node: Node) -> TrainingRecord:
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


def _check_terms(node: Node, labels: Labels, spec: FormulaSpec) -> None:
    """Columns have different names and belong to terms of the formula."""
    if len(labels.terms) != len(labels.columns):
        node.child("terms", None).fail("must have one entry per column.")
    if len(set(labels.columns)) < len(labels.columns):
        node.child("columns", None).fail("must be different texts.")
    unknown = set(labels.terms) - {INTERCEPT, *spec.fixed.names()}
    if unknown:
        node.child("terms", None).fail(f"{min(unknown)[:80]!r} is not in the formula.")


# --- random effects ----------------------------------------------------------------------------


def _write_effects(effects: RandomEffects) -> dict[str, Any]:
    return {
        "group": effects.group,
        "names": list(effects.names),
        "blocks": list(effects.blocks),
        "Lambda": write_array(effects.Lambda),
        "modes": write_array(effects.modes),
        "mode_covariance": write_array(effects.mode_covariance),
    }


def _read_random(node: Node, labels: Labels, first: int) -> tuple[tuple[RandomEffects, ...], int]:
    """The random effects, whose θ follow ``first`` fixed effects, and the length of ψ."""
    found: list[RandomEffects] = []
    for item in node.items():
        effects = _read_effects(item, labels, first)
        if effects.group in [other.group for other in found]:
            item.fail(f"the factor {effects.group[:80]!r} occurs twice.")
        first = effects.theta.stop
        found.append(effects)
    return tuple(found), first


def _read_effects(node: Node, labels: Labels, first: int) -> RandomEffects:
    parts = node.record("group", "names", "blocks", "Lambda", "modes", "mode_covariance")
    group, names = parts["group"].text(), parts["names"].texts()
    if group not in labels.levels:
        parts["group"].fail("is not in the formula.")
    blocks = tuple(size.count(1) for size in parts["blocks"].items())
    n, q = len(labels.levels[group]), len(names)
    if sum(blocks) != q:
        parts["blocks"].fail(f"must add up to the {q} names.")
    prefixes = tuple(f"logit[{logit}] " if logit else "" for logit in logit_names(labels))
    if not all(name.startswith(prefixes) for name in names):
        parts["names"].fail("must name the logits of the effects.")
    return RandomEffects(
        group=group,
        names=names,
        blocks=blocks,
        theta=slice(first, first + _triangles(blocks)),
        Lambda=read_array(parts["Lambda"], q, q),
        modes=read_array(parts["modes"], n, q),
        mode_covariance=read_array(parts["mode_covariance"], n, q, q, finite=False),
    )


def _write_modes(fit: Estimates) -> Any:
    """What standard errors of conditional predictions need, if the estimates are numbers."""
    unknown = not fit.has_data and fit.modes is None  # of a fit to data that were read in chunks
    if unknown or not fit.random or not np.isfinite(fit.solution.evaluation.value):
        return None
    modes = fit.mode_uncertainty
    return {
        "rows": write_array(modes.rows),
        "columns": write_array(modes.columns),
        "values": write_array(modes.values),
        "derivatives": [write_array(of_factor) for of_factor in modes.derivatives],
    }


def _read_modes(node: Node, random: Sequence[RandomEffects], size: int) -> ModeUncertainty | None:
    if node.value is None:
        return None
    parts = node.record("rows", "columns", "values", "derivatives")
    rows = read_array(parts["rows"], None, dtype="int32")
    columns = read_array(parts["columns"], rows.size, dtype="int32")
    n_effects = sum(effects.modes.size for effects in random)
    if ((columns < 0) | (columns > rows) | (rows >= n_effects)).any():
        node.fail(f"rows and columns must be in the lower triangle of {n_effects} effects.")
    derivatives = tuple(
        read_array(item, *effects.modes.shape, size)
        for item, effects in zip(parts["derivatives"].items(len(random)), random, strict=True)
    )
    return ModeUncertainty(rows, columns, read_array(parts["values"], rows.size), derivatives)


def _triangles(blocks: Sequence[int]) -> int:
    """Free elements of Λ."""
    return len(positions(blocks))


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


# --- very many levels --------------------------------------------------------------------------


def _of_others(fit: Estimates) -> Solution:
    """The solution without the coefficients of very many levels, which are recorded apart."""
    if fit.levels is None:
        return fit.solution
    return replace(fit.solution, psi=fit.solution.psi[fit.levels.others])


def _write_levels(levels: LevelEffects | None) -> dict[str, Any]:
    """What was estimated of a factor without columns, where there is one."""
    if levels is None:
        return {}
    found = {
        "term": levels.term,
        "places": write_array(levels.places.astype(np.int32)),
        "contrasts": levels.contrasts,
        **{name: write_array(getattr(levels.modes, name)) for name in _MODES},
    }
    return {"levels": found}


def _read_levels(parts: dict[str, Node], labels: Labels) -> LevelEffects | None:
    if "levels" not in parts:
        return None
    fields = parts["levels"].record("term", "places", "contrasts", *_MODES)
    places = read_array(fields["places"], None, dtype="int32").astype(np.intp)
    n = len(labels.columns)
    inside = places.size and places.min() >= 0 and places.max() < n
    if not inside or np.unique(places).size < places.size or labels.n_logits > 1:
        fields["places"].fail("must be different places among the coefficients of one logit.")
    if fields["contrasts"].value not in (True, False):
        fields["contrasts"].fail("must be true or false.")
    modes = LevelModes(
        read_array(fields["alpha"], places.size, finite=False),
        read_array(fields["information"], places.size, finite=False),
        read_array(fields["slopes"], places.size, n - places.size, finite=False),
    )
    return LevelEffects(fields["term"].text(), places, bool(fields["contrasts"].value), modes)


# --- dropped columns ---------------------------------------------------------------------------


def _write_relation(fit: Estimates) -> dict[str, Any]:
    """How dropped columns depended on the others, where there are any and it is known."""
    found = aliasing_of(fit)
    return {} if found is None or found.known is None else {"relation": write_array(found.known)}


def _read_relation(parts: dict[str, Node], labels: Labels) -> NDArray[np.float64] | None:
    if "relation" not in parts:
        return None
    return read_array(parts["relation"], len(labels.columns), len(parts["aliased"].texts()))
