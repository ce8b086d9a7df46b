"""What the tests of the kernels share: random problems, and derivatives by differences."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, Protocol, Self

import numpy as np
from laplace_reference import central_differences, laplace_factors
from numpy.typing import NDArray

from multilogit.errors import Status
from multilogit.evaluation import Evaluation
from multilogit.likelihood.covariance import CovarianceStructure

Array = NDArray[np.float64]
Codes = NDArray[np.int32]
Blocks = tuple[tuple[int, ...], ...]
Response = tuple[Array, Array, Array | None]  # y or counts, trials, offset


def columns(matrix: Array) -> list[Array]:
    return [np.ascontiguousarray(column) for column in matrix.T]


def group_counts(codes: Iterable[Codes]) -> list[int]:
    """The number of groups of each factor."""
    return [int(of_factor.max()) + 1 for of_factor in codes]


def diagonal_blocks(matrix: Array, sizes: Iterable[int]) -> list[Array]:
    """Λ of each factor, from the Λ of all."""
    sizes = list(sizes)
    ends = np.cumsum(sizes)
    return [
        matrix[end - size : end, end - size : end] for size, end in zip(sizes, ends, strict=True)
    ]


# -- random responses -------------------------------------------------------------------------


def binomial_response(rng: np.random.Generator, n: int, extras: bool) -> Response:
    """With ``extras`` several trials, fractional weights and an offset; without, single trials."""
    m = rng.integers(1, 6, size=n) if extras else np.ones(n, dtype=int)
    weight = rng.integers(1, 4, size=n) / 2 if extras else np.ones(n)
    y = weight * rng.binomial(m, 0.4)
    return y, weight * m, rng.normal(size=n) / 2 if extras else None


def categorical_response(rng: np.random.Generator, n: int, n_logits: int, extras: bool) -> Response:
    """The same for counts of all categories but the baseline."""
    share = rng.dirichlet(np.full(n_logits + 1, 2.0))
    m = rng.integers(1, 4, n) if extras else np.ones(n, dtype=int)
    weight = rng.integers(1, 4, n) / 2 if extras else np.ones(n)
    counts = np.array([rng.multinomial(trials, share)[1:] for trials in m], dtype=float)
    return counts * weight[:, None], m * weight, rng.normal(size=n) / 2 if extras else None


def every_level(rng: np.random.Generator, levels: int, n: int) -> Codes:
    """Random codes of which each occurs."""
    codes = rng.integers(0, levels, n)
    codes[rng.choice(n, levels, replace=False)] = np.arange(levels)
    return codes.astype(np.int32)


# -- designs ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Rows:
    """A problem whose fields of these names have an element for every row."""

    def take(self, rows: NDArray[np.intp]) -> Self:
        """The same problem with these rows."""
        names = ("x", "z", "y", "counts", "trials", "offset", "codes")
        return replace(self, **{k: _pick(v, rows) for k, v in vars(self).items() if k in names})


def _pick(value: Any, rows: NDArray[np.intp]) -> Any:
    if isinstance(value, list):
        return [part[rows] for part in value]
    return None if value is None else value[rows]


@dataclass(frozen=True)
class Factors(Rows):
    """Columns, effects and groups of several factors, a binomial response, and a point ψ."""

    x: Array
    z: list[Array]
    blocks: Blocks
    y: Array
    trials: Array
    offset: Array | None
    codes: list[Codes]
    psi: Array

    @property
    def p(self) -> int:
        return self.x.shape[1]

    @property
    def structure(self) -> CovarianceStructure:
        return CovarianceStructure.of_blocks([size for sizes in self.blocks for size in sizes])

    def Lambdas(self) -> list[Array]:
        """Λ of each factor."""
        return diagonal_blocks(self.structure.Lambda(self.psi[self.p :]), map(sum, self.blocks))

    def dense_value(self) -> float:
        offset = np.zeros(self.y.size) if self.offset is None else self.offset
        factors = list(zip(self.z, self.codes, self.Lambdas(), strict=True))
        beta = self.psi[: self.p]
        return laplace_factors(self.x, factors, self.y, self.trials, offset, beta)


# -- derivatives ------------------------------------------------------------------------------


class Evaluates(Protocol):
    def evaluate(self, psi: Array) -> Evaluation: ...


def differences(likelihood: Evaluates, psi: Array) -> tuple[Array, Array]:
    """Gradient and Hessian by finite differences of the value and of the gradient."""
    gradient = central_differences(lambda at: likelihood.evaluate(at).value, psi)
    return gradient, central_differences(lambda at: likelihood.evaluate(at).gradient, psi)


def assert_derivatives(
    at: Evaluation,
    likelihood: Evaluates,
    psi: Array,
    tolerance: float = 1e-6,
) -> None:
    """``at`` holds the derivatives at ψ, to ``tolerance`` of the largest of them or of 1."""
    assert at.status is Status.OK
    gradient, hessian = differences(likelihood, psi)
    assert np.abs(at.gradient - gradient).max() <= tolerance * max(np.abs(gradient).max(), 1.0)
    assert np.abs(at.hessian - hessian).max() <= tolerance * max(np.abs(hessian).max(), 1.0)
