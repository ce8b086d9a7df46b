"""What cannot be done where data are read in chunks."""

from __future__ import annotations

from multilogit.errors import OptionError
from multilogit.estimate import Options
from multilogit.prior import Jeffreys, ShannonEntropy, SoftPenalty, SumPrior, needs_strength


def _looks_at_rows(prior: object) -> str | None:
    """The prior, or the part of a sum, that looks at every row."""
    for part in prior.parts if isinstance(prior, SumPrior) else (prior,):
        if isinstance(part, Jeffreys | SoftPenalty | ShannonEntropy):
            return type(part).__name__
    return None


def refuse_in_chunks(options: Options) -> None:
    """Refuse what needs all rows in memory.

    Raises
    ------
    OptionError
        A strength that is to be chosen from the data, a prior that looks at every row, or
        infinite estimates to be frozen.
    """
    looking = _looks_at_rows(options.prior)
    if looking:
        raise OptionError(
            f"{looking} looks at every row, and the data are not in memory: use "
            "prior=ml.RelativeEntropy() or ml.Normal(), or fit in memory."
        )
    if needs_strength(options.prior):
        raise OptionError(
            "strength='auto' and strength='cv' need the data in memory; give a number, such as one "
            "found from a sample of the groups."
        )
    if options.infinite == "freeze":
        raise OptionError("infinite='freeze' needs the data in memory; use a prior.")
