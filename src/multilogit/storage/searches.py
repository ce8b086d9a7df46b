"""Records of how the maximum was found: evaluations, the trace, evidence, diagnostics."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple, fields
from typing import Any, cast

from multilogit.errors import Diagnostic, Severity, Status
from multilogit.evaluation import Evaluation
from multilogit.evidence.strength import EvidenceCurve
from multilogit.newton import Solution, TraceRow
from multilogit.storage.arrays import read_array, write_array, write_number
from multilogit.storage.node import Node
from multilogit.storage.values import read_value, write_value

_STATUSES = {status.value: status for status in Status}


def write_evaluation(evaluation: Evaluation) -> dict[str, Any]:
    """The record of an evaluation."""
    return {
        "value": write_number(evaluation.value),
        "gradient": write_array(evaluation.gradient),
        "hessian": write_array(evaluation.hessian),
        "status": evaluation.status.value,
    }


def read_evaluation(node: Node, size: int) -> Evaluation:
    """An evaluation at a point of ``size`` elements; it may be NaN where a fit has failed."""
    parts = node.record("value", "gradient", "hessian", "status")
    return Evaluation(
        parts["value"].number(finite=False),
        read_array(parts["gradient"], size, finite=False),
        read_array(parts["hessian"], size, size, finite=False),
        _read_status(parts["status"]),
    )


def _read_status(node: Node) -> Status:
    return _STATUSES[node.choice(*_STATUSES)]


def write_solution(solution: Solution) -> dict[str, Any]:
    """The record of a solution; the trace is a table, one row per iteration."""
    return {
        "psi": write_array(solution.psi),
        "evaluation": write_evaluation(solution.evaluation),
        "status": solution.status.value,
        "n_evaluations": solution.n_evaluations,
        "trace": write_trace(solution.trace),
    }


def read_solution(node: Node, size: int, *, finite: bool = True) -> Solution:
    """A solution of ``size`` parameters; unless ``finite``, some may be infinite or unknown."""
    parts = node.record("psi", "evaluation", "status", "n_evaluations", "trace")
    return Solution(
        read_array(parts["psi"], size, finite=finite),
        read_evaluation(parts["evaluation"], size),
        _read_status(parts["status"]),
        read_trace(parts["trace"]),
        parts["n_evaluations"].count(),
    )


def write_trace(trace: Sequence[TraceRow]) -> dict[str, Any]:
    """The record of a trace, as a table."""
    rows = [astuple(row) for row in trace]
    return {
        "columns": [field.name for field in fields(TraceRow)],
        "rows": [[step, *map(write_number, values)] for step, *values in rows],
    }


def read_trace(node: Node) -> tuple[TraceRow, ...]:
    """A trace that :func:`write_trace` has written."""
    table = node.record("columns", "rows")
    names = tuple(field.name for field in fields(TraceRow))
    if table["columns"].texts() != names:
        table["columns"].fail(f"must be {', '.join(names)}.")
    rows = []
    for row in table["rows"].items():
        step, *values = row.items(len(names))
        rows.append(TraceRow(step.count(), *(value.number(finite=False) for value in values)))
    return tuple(rows)


# --- evidence ----------------------------------------------------------------------------------

_CURVES = ("kappa", "score", "error", "objective")


def write_evidence(curve: EvidenceCurve | None) -> Any:
    """The record of the curve that a strength was chosen from."""
    if curve is None:
        return None
    return {
        "criterion": curve.criterion,
        **{name: write_array(getattr(curve, name)) for name in _CURVES},
        "chosen": write_number(curve.chosen),
        "bounds": [write_number(bound) for bound in curve.bounds],
        "status": curve.status,
        "design_error": [write_number(error) for error in curve.design_error],
    }


def read_evidence(node: Node) -> EvidenceCurve | None:
    """A curve that :func:`write_evidence` has written."""
    if node.value is None:
        return None
    parts = node.record("criterion", *_CURVES, "chosen", "bounds", "status", "design_error")
    kappa = read_array(parts["kappa"], None, finite=False)
    score, error, objective = (
        read_array(parts[name], kappa.size, finite=False) for name in _CURVES[1:]
    )
    return EvidenceCurve(
        criterion=cast(Any, parts["criterion"].choice("evidence", "cv")),
        kappa=kappa,
        score=score,
        error=error,
        objective=objective,
        chosen=parts["chosen"].number(finite=False),
        bounds=_pair(parts["bounds"]),
        status=cast(
            Any, parts["status"].choice("interior", "lower bound", "upper bound", "failed")
        ),
        design_error=_pair(parts["design_error"]),
    )


def _pair(node: Node) -> tuple[float, float]:
    first, second = node.items(2)
    return first.number(finite=False), second.number(finite=False)


# --- diagnostics -------------------------------------------------------------------------------


def write_diagnostics(diagnostics: Sequence[Diagnostic]) -> list[dict[str, Any]]:
    """The records of diagnostics."""
    return [
        {
            "code": noticed.code,
            "severity": noticed.severity,
            "message": noticed.message,
            "remedy": noticed.remedy,
            "facts": {str(key): write_value(fact) for key, fact in noticed.facts.items()},
        }
        for noticed in diagnostics
    ]


def read_diagnostics(node: Node) -> tuple[Diagnostic, ...]:
    """Diagnostics that :func:`write_diagnostics` has written."""
    found = []
    for item in node.items():
        parts = item.record("code", "severity", "message", "remedy", "facts")
        severity = cast(Severity, parts["severity"].choice("info", "warning", "error"))
        facts = {key: read_value(fact) for key, fact in parts["facts"].mapping().items()}
        texts = (parts["message"].text(), parts["remedy"].text())
        found.append(Diagnostic(parts["code"].text(), severity, *texts, facts))
    return tuple(found)
