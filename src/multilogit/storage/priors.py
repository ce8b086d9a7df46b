"""Records of priors.

A prior of the package is its name and its options. A prior that is an object of the user's own
is code, which a file does not hold: it is recorded by its text, and what is read back can be
shown, but not evaluated. Nothing but another fit needs it.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, NoReturn

from multilogit.errors import OptionError
from multilogit.evaluation import Evaluation, Vector
from multilogit.prior import (
    BoundPrior,
    Cauchy,
    CovarianceRelativeEntropy,
    Jeffreys,
    Normal,
    Prior,
    RelativeEntropy,
    ShannonEntropy,
    SoftPenalty,
    Specification,
    StudentT,
    SumPrior,
    Wishart,
)
from multilogit.storage.node import Node
from multilogit.storage.values import read_value, write_value

_KNOWN: dict[str, type[Specification]] = {
    kind.__name__: kind
    for kind in (
        Cauchy,
        CovarianceRelativeEntropy,
        Jeffreys,
        Normal,
        RelativeEntropy,
        ShannonEntropy,
        SoftPenalty,
        StudentT,
        Wishart,
    )
}
_NOTE = "An object of the user's own, which a file cannot restore; predictions do not need it."


@dataclass(frozen=True, slots=True)
class LostPrior:
    """Stands for a prior that was an object of the user's own.

    Attributes
    ----------
    text
        How it called itself.
    """

    text: str

    def __repr__(self) -> str:
        return self.text

    def evaluate(self, psi: Vector, /) -> Evaluation:
        """Refuses: what it computed is not known.

        Raises
        ------
        OptionError
            Always.
        """
        self._refuse()

    def _refuse(self) -> NoReturn:
        raise OptionError(
            f"The prior {self.text} was an object of the user's own, which a saved model does not "
            "contain: fit the model again with it."
        )


def write_prior(prior: Prior | BoundPrior | None) -> Any:
    """The record of a prior."""
    if prior is None:
        return None
    if type(prior) is SumPrior:
        return {"kind": "sum", "parts": [write_prior(part) for part in prior.parts]}
    name = type(prior).__name__
    if type(prior) is not _KNOWN.get(name):
        return {"kind": "user", "text": repr(prior), "note": _NOTE}
    options = {option.name: getattr(prior, option.name) for option in fields(prior)}  # type: ignore[arg-type]
    nested = {key: write_prior(value) for key, value in options.items() if _is_prior(value)}
    plain = {key: write_value(value) for key, value in options.items() if key not in nested}
    return {"kind": name, **plain, **nested}


def _is_prior(value: object) -> bool:
    return isinstance(value, Prior | BoundPrior)


def read_prior(node: Node) -> Prior | BoundPrior | None:
    """A prior that :func:`write_prior` has written."""
    if node.value is None:
        return None
    parts = node.mapping()
    kind = parts["kind"].text() if "kind" in parts else ""
    if kind == "sum":
        return SumPrior(_summands(node.record("kind", "parts")["parts"]))
    if kind == "user":
        return LostPrior(node.record("kind", "text", "note")["text"].text())
    if kind not in _KNOWN:
        node.fail(f"is a prior of the unknown kind {kind[:40]!r}.")
    known = _KNOWN[kind]
    options = node.record("kind", optional=[option.name for option in fields(known)])  # type: ignore[arg-type]
    values = {key: _read_option(item) for key, item in options.items() if key != "kind"}
    try:
        return known(**values)
    except (OptionError, TypeError, ValueError) as error:
        node.fail(str(error))


def _summands(node: Node) -> tuple[Prior | BoundPrior, ...]:
    found = [read_prior(item) for item in node.items()]
    parts = tuple(part for part in found if part is not None)
    if not parts or len(parts) < len(found):
        node.fail("must be a list of priors.")
    return parts


def _read_option(node: Node) -> Any:
    """A prior of the covariance matrix, or a plain value."""
    if isinstance(node.value, dict) and "kind" in node.value:
        return read_prior(node)
    return read_value(node)
