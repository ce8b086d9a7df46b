"""The Laplace log marginal likelihood of a model with crossed grouping factors.

    η = Xβ + o + Σ_f Z_f b_f,   b_fl = Λ_f(θ)u_fl,   u_fl ~ N(0, I),   ψ = (β, θ)

The factor with the most effects is eliminated level by level; what remains is one symmetric
matrix over the effects of all other factors, dense or sparse. Value and gradient are exact.
The Hessian is exact where that costs little; elsewhere one term of it, tr(H⁻¹H_k H⁻¹H_l), is
computed for pairs of θ alone, which is what Newton's steps need, and
:meth:`CrossedLaplace.information` completes it. Formulas are named in ``core/crossed.hpp``.
"""

from __future__ import annotations

import contextlib
import math
import os
from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from multilogit import _core
from multilogit.errors import DataError, Status
from multilogit.evaluation import Evaluation, Matrix, Vector
from multilogit.likelihood.columns import response_matrix, root_mean_square
from multilogit.likelihood.common import OrderedEffects
from multilogit.likelihood.covariance import CovarianceStructure
from multilogit.likelihood.mixed import Column, Order

Codes = NDArray[np.int32]
Remainder = Literal["best", "dense", "sparse"]

_USABLE = 0.95
"""Part of the available memory that may be planned for."""


class CrossedLaplace(OrderedEffects):
    """ℓ(ψ) for any number of grouping factors: a
    :class:`~multilogit.likelihood.mixed.MixedLikelihood`.

    Parameters
    ----------
    x
        p columns of X, each contiguous float64 of shape ``(n,)``.
    z_by_factor
        For each factor the columns of its Z.
    blocks_by_factor
        For each factor the sizes of its blocks of correlated effects, in the order of its columns.
    y, trials
        Shape ``(n,)``: successes and trials, frequency weights multiplied in. With
        ``logits`` ``y`` has shape ``(n, C)``: counts of the categories but the baseline.
    codes_by_factor
        For each factor, shape ``(n,)`` int32 in ``0 .. n_levels - 1``.
    n_levels_by_factor
        For each factor its number of levels.
    offset
        Shape ``(n,)``, the same for every logit, or None.
    logits
        For each factor the logit of each effect, 0 … C − 1, for a categorical response. None:
        binomial.
    threads
        Worker threads at most; the result does not depend on it.
    memory
        Bytes that may be used; None: what the machine has left, but for a twentieth.
    remainder
        How the matrix over the effects of all factors but the eliminated one is kept.
        ``"best"``: as a sparse Cholesky factor where that is faster or nothing else fits.

    Raises
    ------
    DataError
        If ``memory`` does not suffice; the message says what is needed.

    Notes
    -----
    The value leaves out the binomial coefficients. The modes û found by one evaluation are the
    start of the next, so values at the same ψ may differ in the last digits when reached along
    different ways.
    """

    whole_hessian = False

    def __init__(
        self,
        x: Sequence[Column],
        z_by_factor: Sequence[Sequence[Column]],
        blocks_by_factor: Sequence[Sequence[int]],
        y: Column | Matrix,
        trials: Column,
        codes_by_factor: Sequence[Codes],
        n_levels_by_factor: Sequence[int],
        *,
        offset: Column | None = None,
        logits: Sequence[Sequence[int]] | None = None,
        threads: int = 1,
        memory: float | None = None,
        remainder: Remainder = "best",
    ) -> None:
        self.p = len(x) if logits is None else len(x) * y.shape[1]
        blocks = [size for sizes in blocks_by_factor for size in sizes]
        self.structure = CovarianceStructure.of_blocks(blocks)
        self.threads = threads
        columns = [column for of_factor in z_by_factor for column in of_factor]
        effects = [len(of_factor) for of_factor in z_by_factor]
        ends = list(accumulate(effects))
        self._factors = tuple(slice(end - q, end) for end, q in zip(ends, effects, strict=True))
        self.z_scale = np.array([root_mean_square(column) for column in columns])
        self._data = _core.CrossedData(
            list(x),
            columns,
            [0] * len(columns) if logits is None else [c for each in logits for c in each],
            response_matrix(y),
            trials,
            offset,
            list(codes_by_factor),
            list(n_levels_by_factor),
            effects,
            logits is not None,
            memory := _USABLE * available_memory() if memory is None else memory,
            remainder,
        )
        if self._data.bytes > memory:
            raise DataError(_too_large(self._data.bytes, memory, n_levels_by_factor))
        self.order: Order = ()
        self._whole: tuple[Vector, Evaluation] | None = None  # the last one, if it is complete
        self.restart()

    def evaluate(self, psi: Vector, /) -> Evaluation:
        """ℓ(ψ), its gradient, and its Hessian or what Newton's steps need of it.

        ``INNER_FAILED`` where modes were not found.
        """
        return self._evaluate(psi, full=False)

    def information(self, psi: Vector) -> Evaluation:
        """ℓ(ψ), its gradient and the whole Hessian, for standard errors."""
        if self._whole is not None and np.array_equal(self._whole[0], psi):
            return self._whole[1]
        return self._evaluate(psi, full=True)

    def correction(self, psi: Vector) -> float:
        """What the next term of the expansion of the integral adds to ℓ(ψ); NaN without modes.

        Shun & McCullagh (1995), *JRSS B* 57, 749–760; Raudenbush, Yang & Yosef (2000), *JCGS* 9,
        141–157. A sum over pairs of rows in it is taken over rows of one level, approximately.
        Modes are those at ``psi`` afterwards.
        """
        return self._data.correction(psi, self.threads)

    @property
    def bytes(self) -> float:
        """Memory that the likelihood takes."""
        return self._data.bytes

    def _evaluate(self, psi: Vector, full: bool) -> Evaluation:
        value, gradient, hessian, found, whole, _ = self._data.evaluate(psi, full, self.threads)
        status = Status.OK if found else Status.INNER_FAILED
        evaluation = Evaluation(value, gradient, hessian, status)
        self._whole = (psi.copy(), evaluation) if found and whole else None
        return evaluation

    def factors(self) -> tuple[slice, ...]:
        """The effects of each grouping factor."""
        return self._factors

    def reorder(self, order: Order, turn: Matrix | None = None) -> None:
        self.order = order
        self._whole = None
        if turn is None:
            rows, columns = self.structure.rows.tolist(), self.structure.columns.tolist()
            self._data.set_structure(list(order), rows, columns)
        else:
            self._data.turn(list(order), np.ascontiguousarray(turn))

    def set_response(self, y: Column | Matrix, trials: Column) -> None:
        """Replace the response; design, grouping and modes stay."""
        self._whole = None
        self._data.set_response(response_matrix(y), trials)

    def modes(self) -> tuple[Matrix, ...]:
        """û of the last evaluation: per factor, shape ``(n_levels, q_f)``."""
        return tuple(self._data.modes(f)[0] for f in range(len(self._factors)))

    def mode_covariance(self) -> tuple[NDArray[np.float64], ...]:
        """ΛH⁻¹Λ' of the last evaluation: per factor, shape ``(n_levels, q_f, q_f)``."""
        return tuple(self._data.modes(f)[1] for f in range(len(self._factors)))

    def moments(self, beta: Vector) -> tuple[tuple[Matrix, NDArray[np.float64]], ...]:
        """Per factor Z'r, ``(n_levels, q_f)``, and Z'WZ, ``(n_levels, q_f, q_f)``, at b = 0."""
        return tuple(self._data.moments(beta, f) for f in range(len(self._factors)))


def memory_estimate(
    x_columns: int,
    blocks_by_factor: Sequence[Sequence[int]],
    codes_by_factor: Sequence[Codes],
    n_levels_by_factor: Sequence[int],
    memory: float | None = None,
    *,
    n_logits: int = 1,
) -> float:
    """Bytes that :class:`CrossedLaplace` would take, from a look at the grouping factors alone.

    Parameters
    ----------
    x_columns
        Number of columns of X.
    blocks_by_factor, codes_by_factor, n_levels_by_factor, memory
        As in :class:`CrossedLaplace`.
    n_logits
        C; 1 for a binomial response.
    """
    effects = [sum(sizes) for sizes in blocks_by_factor]
    limit = _USABLE * available_memory() if memory is None else memory
    codes, levels = list(codes_by_factor), list(n_levels_by_factor)
    return _core.crossed_plan(x_columns, n_logits, codes, levels, effects, limit)[0]


def available_memory() -> float:
    """Bytes that can be had without swapping, as far as the system tells; else infinity."""
    limits = [_control_group_memory()]
    try:
        fields = Path("/proc/meminfo").read_text().split()
        limits.append(1024.0 * float(fields[fields.index("MemAvailable:") + 1]))
    except (OSError, ValueError):
        with contextlib.suppress(AttributeError, OSError, ValueError):  # half of all there is
            limits.append(0.5 * os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    return min(limits)


def _control_group_memory() -> float:
    """What the control group (version 2) of a container leaves; cached files make room."""
    group = Path("/sys/fs/cgroup")
    try:
        most = float((group / "memory.max").read_text())
        used = float((group / "memory.current").read_text())
        fields = (group / "memory.stat").read_text().split()
        return most - used + float(fields[fields.index("inactive_file") + 1])
    except (OSError, ValueError):
        return math.inf


def _too_large(need: float, memory: float, n_levels: Sequence[int]) -> str:
    sizes = " × ".join(str(n) for n in n_levels)
    return (
        f"Crossed grouping factors with {sizes} levels need {need / 1e9:.3g} GB of memory, but "
        f"{memory / 1e9:.3g} GB are available: the factors but the largest meet in a matrix that "
        "is nearly full. Drop or merge levels of the smaller factors, or use a machine with more "
        "memory."
    )
