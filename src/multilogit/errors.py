"""Exceptions, statuses and diagnostics: the ground floor, which knows nothing else.

Three kinds of bad news, three types:

* an exception says that nothing was fitted and what to change in the input;
* a :class:`Status` says how an iteration ended;
* a :class:`Diagnostic` says what a reader of a finished fit must know.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import Any, Literal


class MultilogitError(Exception):
    """Base of every exception that the package raises on purpose."""


class InputError(MultilogitError, ValueError):
    """The input cannot be used. The message names the culprit and a remedy."""


class DataError(InputError):
    """A column, row, level or value of the data cannot be used."""


class DataNotSavedError(DataError):
    """Something needs the data of a fit that has none: a saved one, or one to data in parts.

    Parameters
    ----------
    what
        What needs them.
    remedy
        What to do instead.
    """

    def __init__(
        self,
        what: str = "This",
        remedy: str = "Pass new data where that is possible, or fit the model again.",
    ) -> None:
        reason = (
            f"{what} needs the data of the fit, which a saved model does not contain, nor one that "
            "was fitted to data in parts or with a factor of very many levels."
        )
        super().__init__(f"{reason} {remedy}")


class ModelFileError(InputError):
    """A file is not a saved model, is damaged, or comes from a later version."""


class CheckpointError(InputError):
    """A file is not a checkpoint, is damaged, or belongs to another fit."""


class NotEstimableWarning(UserWarning):
    """Something was asked for that the data of a rank-deficient design do not determine."""


class WorkersLostError(MultilogitError):
    """The workers of a cluster are lost faster than their work can be done again."""


class OptionError(InputError):
    """An argument or option has a value that cannot be used."""


class FormulaError(InputError):
    """The formula cannot be parsed, or asks for something that is not allowed.

    Parameters
    ----------
    message
        What is wrong and what to do.
    formula
        The whole formula text, shown under the message.
    position
        Offset of the offending token in ``formula``; a caret points at it.
    """

    def __init__(self, message: str, formula: str = "", position: int | None = None) -> None:
        self.reason = message
        self.formula = formula
        self.position = position
        if formula and position is not None:
            start = max(0, position - 60)
            shown = formula[start : position + 60].replace("\n", " ")
            message = f"{message}\n  {shown}\n  {' ' * (position - start)}^"
        super().__init__(message)


class Status(enum.Enum):
    """How an iteration, or one evaluation of an objective, ended."""

    OK = "ok"
    """The evaluation is exact to rounding."""
    CONVERGED = "converged"
    """Gradient and Newton decrement are both below their tolerances."""
    MAX_ITERATIONS = "max_iterations"
    """The iteration limit was reached first."""
    LINE_SEARCH_FAILED = "line_search_failed"
    """No step along the search direction increases the objective."""
    NOT_FINITE = "not_finite"
    """The objective or a derivative is NaN or infinite at the current point."""
    INNER_FAILED = "inner_failed"
    """The conditional modes of some group were not found."""
    DIVERGING = "diverging"
    """Parameters grow without bound: the maximum is at infinity."""
    INTERRUPTED = "interrupted"
    """The user stopped the iteration."""

    @property
    def at_supremum(self) -> bool:
        """Whether the objective reached its supremum: at a maximum, or to rounding at infinity."""
        return self in (Status.CONVERGED, Status.DIVERGING)


Severity = Literal["info", "warning", "error"]


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One thing that a reader of the fit must know.

    Attributes
    ----------
    code
        Stable, machine-readable name, e.g. ``"aliased-columns"``.
    severity
        ``"info"``: worth knowing. ``"warning"``: part of the answer needs care.
        ``"error"``: the fit is not to be trusted (then ``fit.converged`` is False).
    message
        One sentence that names the columns, rows, terms or parameters concerned.
    remedy
        What to do about it; empty where nothing needs doing.
    facts
        The same information as plain values, for programs.
    """

    code: str
    severity: Severity
    message: str
    remedy: str = ""
    facts: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.message} {self.remedy}".strip()
