"""The options of a search as a user gives them: refused by name before any work is done."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Literal, cast

import numpy as np
from numpy.typing import NDArray

from multilogit.checks import check_whole
from multilogit.errors import OptionError
from multilogit.estimate import Options
from multilogit.newton import TraceRow
from multilogit.prior import BoundPrior, Prior

Progress = bool | Callable[[TraceRow], None]

_MOST_NODES = 151


def search_options(
    prior: Prior | BoundPrior | None = None,
    nodes: int | Literal["auto"] = 1,
    start: NDArray[np.float64] | Literal["zero", "ols"] | None = None,
    starts: int = 1,
    infinite: Literal["report", "freeze"] = "report",
    max_iterations: int = 100,
    tolerance: float = 1e-8,
    threads: int | None = None,
    progress: Progress = False,
) -> Options:
    """The options of the search, checked, as :func:`multilogit.fit` describes them.

    Raises
    ------
    OptionError
        If one has a value that cannot be used.
    """
    if infinite not in ("report", "freeze"):
        raise OptionError(f"infinite={infinite!r}: use 'report' or 'freeze'.")
    if infinite == "freeze" and prior is not None:
        raise OptionError("infinite='freeze' is for maximum likelihood; leave it out with prior=.")
    if not (isinstance(progress, bool) or callable(progress)):
        raise OptionError(f"progress={progress!r}: give True, False or a function.")
    return Options(
        start=_checked_start(start),
        max_iterations=check_whole("max_iterations", max_iterations, 0),
        tolerance=_checked_tolerance(tolerance),
        threads=_processors()
        if threads is None
        else check_whole("threads", threads, other="None for all"),
        nodes="auto" if nodes == "auto" else check_whole("nodes", nodes, 1, _MOST_NODES, "'auto'"),
        starts=check_whole("starts", starts),
        infinite=infinite,
        prior=prior,
        callback=_print_row if progress is True else (progress or None),
    )


def _checked_tolerance(tolerance: object) -> float:
    if isinstance(tolerance, (int, float, np.floating)) and 0.0 < tolerance < 1.0:
        return float(tolerance)
    raise OptionError(f"tolerance={tolerance!r}: give a number between 0 and 1.")


def _checked_start(start: object) -> NDArray[np.float64] | Literal["zero", "ols"] | None:
    if start is None:
        return None
    if isinstance(start, str):
        if start in ("zero", "ols"):
            return cast('Literal["zero", "ols"]', start)
        raise OptionError(f"start={start!r}: use 'zero', 'ols', or an array of values.")
    try:
        values = np.ascontiguousarray(start, dtype=np.float64)
    except (TypeError, ValueError):
        raise OptionError(f"start={start!r}: give one vector of numbers.") from None
    if values.ndim != 1 or not np.isfinite(values).all():
        raise OptionError("start must be one vector of finite numbers.")
    return values


def _processors() -> int:
    """Processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _print_row(row: TraceRow) -> None:
    print(
        f"iteration {row.iteration:3d}  objective {row.objective:.6f}  "
        f"decrement {row.decrement:.2e}  step {row.step:.3g}",
        file=sys.stderr,
    )
