"""The options of the command line that describe a prior."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from multilogit.cli import later
from multilogit.errors import OptionError
from multilogit.prior import Specification


class PriorName(StrEnum):
    """The priors that the command line knows."""

    NONE = "none"
    RELATIVE_ENTROPY = "relative-entropy"
    SHANNON_ENTROPY = "shannon-entropy"
    NORMAL = "normal"
    STUDENT_T = "student-t"
    CAUCHY = "cauchy"
    JEFFREYS = "jeffreys"
    SOFT_PENALTY = "soft-penalty"


_SCALED = (PriorName.NORMAL, PriorName.STUDENT_T, PriorName.CAUCHY)
_TAKES: dict[str, tuple[PriorName, ...]] = {
    "strength": (PriorName.RELATIVE_ENTROPY, PriorName.SHANNON_ENTROPY),
    "reference": (PriorName.RELATIVE_ENTROPY,),
    "scale": _SCALED,
    "df": (PriorName.STUDENT_T,),
}
_OPTIONS = {
    "strength": "--strength",
    "reference": "--reference",
    "scale": "--prior-scale",
    "df": "--prior-df",
}


@dataclass(frozen=True, slots=True)
class PriorOptions:
    """The options as they were given; None: not given.

    Attributes
    ----------
    name
        ``--prior``.
    strength
        ``--strength``: a number, ``auto`` or ``cv``.
    reference
        ``--reference``: a name, a probability, or shares with commas between.
    scale
        ``--prior-scale``.
    df
        ``--prior-df``.
    """

    name: PriorName | None
    strength: str | None = None
    reference: str | None = None
    scale: float | None = None
    df: float | None = None

    def prior(self) -> Specification | None:
        """The prior that they describe; None: maximum likelihood.

        Raises
        ------
        OptionError
            If an option does not belong to the prior, or has a value that cannot be used.
        """
        name = self.name or PriorName.NONE
        given = {
            "strength": None if self.strength is None else number_or_word(self.strength),
            "reference": None if self.reference is None else _shares(self.reference),
            "scale": self.scale,
            "df": self.df,
        }
        arguments = {key: value for key, value in given.items() if value is not None}
        for key in arguments:
            if name not in _TAKES[key]:
                priors = " or ".join(f"--prior {prior.value}" for prior in _TAKES[key])
                raise OptionError(f"{_OPTIONS[key]} belongs to {priors}; got --prior {name.value}.")
        if name is PriorName.NONE:
            return None
        if name is PriorName.STUDENT_T and self.df is None:
            raise OptionError("--prior student-t needs its degrees of freedom: give --prior-df.")
        return later.names.PRIORS[name.value](**arguments)


def number_or_word(text: str) -> float | str:
    """A number where the text is one, else the text."""
    try:
        return float(text)
    except ValueError:
        return text


def _shares(text: str) -> float | str | tuple[float, ...]:
    """A name, a probability, or shares with commas between."""
    if "," not in text:
        return number_or_word(text)
    try:
        return tuple(map(float, text.split(",")))
    except ValueError:
        raise OptionError(
            f"--reference {text!r}: give numbers with commas between, such as 0.5,0.3,0.2."
        ) from None
