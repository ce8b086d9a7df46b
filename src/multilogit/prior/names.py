"""Priors by the names that a command line or a grid of parameters gives them."""

from __future__ import annotations

from multilogit.prior.jeffreys import Jeffreys
from multilogit.prior.normal import Normal
from multilogit.prior.relative_entropy import RelativeEntropy
from multilogit.prior.shannon import ShannonEntropy
from multilogit.prior.soft_penalty import SoftPenalty
from multilogit.prior.specification import Specification
from multilogit.prior.student import Cauchy, StudentT

PRIORS: dict[str, type[Specification]] = {
    "relative-entropy": RelativeEntropy,
    "shannon-entropy": ShannonEntropy,
    "normal": Normal,
    "student-t": StudentT,
    "cauchy": Cauchy,
    "jeffreys": Jeffreys,
    "soft-penalty": SoftPenalty,
}
