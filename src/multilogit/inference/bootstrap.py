"""Replicates of a bootstrap: computed by threads, kept in a file, the same whoever computes them.

Replicate k is a function of k alone, so that neither the number of workers nor an interruption
changes the result.
"""

from __future__ import annotations

import json
import os
import threading
import time
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from multilogit.errors import DataError, Status
from multilogit.estimate import Estimate
from multilogit.evaluation import Matrix, Vector
from multilogit.progress import Progress

STATUSES = tuple(Status)
"""Statuses are kept by their number in this list."""

_NOT_DONE = -1
_SAVE_SECONDS = 5.0
_FORMAT = 1

Result = TypeVar("Result")
Result_contra = TypeVar("Result_contra", contravariant=True)
Replicate = Callable[[int], Result]
"""From the number of a replicate to its result."""


class Store(Protocol[Result_contra]):
    """Where results go."""

    @property
    def done(self) -> NDArray[np.bool_]:
        """Which replicates have been computed."""

    def put(self, k: int, result: Result_contra, /) -> None:
        """Write the result of replicate k."""


@dataclass(frozen=True, slots=True)
class Replicates:
    """Estimates of replicates.

    Attributes
    ----------
    psi
        Shape ``(n, d)``.
    value
        Shape ``(n,)``: the maximum of the objective.
    status
        Shape ``(n,)``: index into :data:`STATUSES`; −1 where there is no estimate yet.
    """

    psi: Matrix
    value: Vector
    status: NDArray[np.int8]

    @classmethod
    def empty(cls, n: int, d: int) -> Replicates:
        """No estimates yet."""
        return cls(np.full((n, d), np.nan), np.full(n, np.nan), np.full(n, _NOT_DONE, np.int8))

    @property
    def done(self) -> NDArray[np.bool_]:
        """Which replicates have been computed."""
        return np.asarray(self.status != _NOT_DONE)

    @property
    def converged(self) -> NDArray[np.bool_]:
        """Which of them converged."""
        return np.asarray(self.status == STATUSES.index(Status.CONVERGED))

    def put(self, k: int, estimate: Estimate) -> None:
        """Write one estimate."""
        self.psi[k] = estimate.solution.psi
        self.value[k] = estimate.solution.evaluation.value
        self.status[k] = STATUSES.index(estimate.solution.status)  # last: now it is done


@dataclass(frozen=True, slots=True)
class Ratios:
    """Likelihood ratios of replicates.

    Attributes
    ----------
    statistic
        Shape ``(n,)``: 2(ℓ₁ − ℓ₀); NaN where a search failed.
    finished
        Shape ``(n,)``: which have been computed.
    """

    statistic: Vector
    finished: NDArray[np.bool_]

    @classmethod
    def empty(cls, n: int) -> Ratios:
        """None computed yet."""
        return cls(np.full(n, np.nan), np.zeros(n, dtype=bool))

    @property
    def done(self) -> NDArray[np.bool_]:
        """Which have been computed."""
        return self.finished

    def put(self, k: int, statistic: float) -> None:
        """Write one statistic."""
        self.statistic[k] = statistic
        self.finished[k] = True

    def p_value(self, observed: float) -> float:
        """(1 + number of statistics that reach the observed one) / (1 + number of statistics).

        Davison & Hinkley (1997), eq. 4.11. NaN if there are none.
        """
        found = self.statistic[np.isfinite(self.statistic)]
        if not found.size:
            return float("nan")
        return float((1 + (found >= observed).sum()) / (1 + found.size))


def run(
    replicates: Store[Result],
    make: Sequence[Callable[[], Replicate[Result]]],
    bar: Progress,
    store: Callable[[], None] | None = None,
) -> bool:
    """Compute the replicates that are missing.

    Parameters
    ----------
    replicates
        Filled in place.
    make
        One function per worker, which makes its own way to compute a replicate.
    bar
        Advances with every replicate.
    store
        Called every few seconds and at the end.

    Returns
    -------
    complete
        False if it was interrupted (Ctrl-C); what is finished by then is kept.

    Raises
    ------
    Exception
        Whatever a worker raises.
    """
    team = _Team(replicates, np.flatnonzero(~replicates.done))
    bar.advance(int(replicates.done.sum()))
    threads = [threading.Thread(target=team.work, args=(each,), daemon=True) for each in make]
    for thread in threads:
        thread.start()
    try:
        _watch(team, threads, bar, store)
    except KeyboardInterrupt:
        team.stop.set()
    finally:
        team.stop.set()
        for thread in threads:
            thread.join()
        if store is not None:
            store()
    if team.errors:
        raise team.errors[0]
    return bool(replicates.done.all())


class _Team(Generic[Result]):
    """Workers that take the next replicate from one list."""

    def __init__(self, replicates: Store[Result], missing: NDArray[np.intp]) -> None:
        self.replicates = replicates
        self.missing = iter(missing.tolist())
        self.lock = threading.Lock()
        self.stop = threading.Event()
        self.finished = 0
        self.errors: list[Exception] = []

    def work(self, make: Callable[[], Replicate[Result]]) -> None:
        try:
            replicate = make()
            while not self.stop.is_set():
                with self.lock:
                    k = next(self.missing, None)
                if k is None:
                    return
                self.replicates.put(k, replicate(k))
                with self.lock:
                    self.finished += 1
        except Exception as error:  # told to whoever waits
            self.errors.append(error)
            self.stop.set()


def _watch(
    team: _Team[Result],
    threads: Sequence[threading.Thread],
    bar: Progress,
    store: Callable[[], None] | None,
) -> None:
    """Wait for the workers; show progress and save now and then."""
    shown, saved = 0, time.monotonic()
    while any(thread.is_alive() for thread in threads):
        threads[0].join(0.02) if threads[0].is_alive() else time.sleep(0.02)
        finished = team.finished
        bar.advance(finished - shown)
        shown = finished
        if store is not None and time.monotonic() - saved > _SAVE_SECONDS:
            store()
            saved = time.monotonic()
    bar.advance(team.finished - shown)


# ---------------------------------------------------------------------- the file


def save(path: Path, about: Mapping[str, object], replicates: Replicates) -> None:
    """Write the replicates, in place of what there was, at once or not at all."""
    kept = np.flatnonzero(replicates.done)
    temporary = path.with_name(path.name + ".part")
    with temporary.open("wb") as file:
        np.savez(
            file,
            about=np.array(json.dumps({"format": _FORMAT, **about})),
            number=kept,
            psi=replicates.psi[kept],
            value=replicates.value[kept],
            status=replicates.status[kept],
        )
    os.replace(temporary, path)


def load(path: Path, about: Mapping[str, object], replicates: Replicates) -> None:
    """Fill in the replicates that a file holds; those beyond the ones asked for are left out.

    Raises
    ------
    DataError
        If it is no such file, or was written for another bootstrap; ``about`` says which.
    """
    try:
        with path.open("rb") as raw, zipfile.ZipFile(raw) as file:
            written = json.loads(str(_array(file, "about")))
            number, psi = _array(file, "number"), _array(file, "psi")
            value, status = _array(file, "value"), _array(file, "status")
    except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise DataError(f"{str(path)!r} is not a file of a bootstrap: {error}.") from None
    _check_same(path, written, {"format": _FORMAT, **about})
    n, d = replicates.psi.shape
    sound = number.ndim == 1 and psi.shape == (number.size, d) and number.dtype.kind == "i"
    sound = sound and value.shape == status.shape == number.shape
    sound = sound and bool(((status >= 0) & (status < len(STATUSES)) & (number >= 0)).all())
    if not sound:
        raise DataError(f"{str(path)!r} is damaged; remove it to start again.")
    asked = number < n
    replicates.psi[number[asked]] = psi[asked]
    replicates.value[number[asked]] = value[asked]
    replicates.status[number[asked]] = status[asked]


def _array(file: zipfile.ZipFile, name: str) -> NDArray[Any]:
    """One array of an .npz file; nothing in it is executed."""
    with file.open(f"{name}.npy") as raw:
        return np.lib.format.read_array(raw, allow_pickle=False)


def _check_same(path: Path, written: object, about: Mapping[str, object]) -> None:
    found = written if isinstance(written, dict) else {}
    other = [key for key, value in about.items() if found.get(key) != value]
    if other:
        raise DataError(
            f"{str(path)!r} belongs to another bootstrap: its {', '.join(other)} differs. Give "
            "another path, or remove the file."
        )


# ---------------------------------------------------------------------- intervals


def percentile_interval(values: Vector, level: float) -> tuple[float, float]:
    """Quantiles (1 − level)/2 and (1 + level)/2 of the replicates."""
    low, high = np.quantile(values, [0.5 - 0.5 * level, 0.5 + 0.5 * level])
    return float(low), float(high)


def basic_interval(
    estimate: float, values: Vector, level: float, bounds: tuple[float, float]
) -> tuple[float, float]:
    """The percentile interval mirrored at the estimate, within the range of the parameter."""
    low, high = percentile_interval(values, level)
    return (
        min(max(2.0 * estimate - high, bounds[0]), bounds[1]),
        min(max(2.0 * estimate - low, bounds[0]), bounds[1]),
    )
