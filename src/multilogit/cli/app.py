"""What all commands share."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import typer

from multilogit.errors import InputError, MultilogitError
from multilogit.newton import TraceRow
from multilogit.result import Fit

CONVERGED, NOT_TRUSTED, BAD_INPUT = 0, 1, 2
_QUIET_SECONDS = 1.0


@contextmanager
def one_message() -> Iterator[None]:
    """Bad input ends with its message on stderr and exit code 2, without a traceback."""
    try:
        yield
    except MultilogitError as error:
        label = "Error" if isinstance(error, InputError) else type(error).__name__
        typer.echo(f"{label}: {error}", err=True)
        raise typer.Exit(BAD_INPUT) from None


def exit_code(*fits: Fit) -> int:
    """0 if all fits are to be trusted, else 1."""
    return CONVERGED if all(fit.converged for fit in fits) else NOT_TRUSTED


def on_terminal() -> bool:
    """Whether somebody is watching."""
    return sys.stderr.isatty()


@contextmanager
def working(what: str) -> Iterator[Callable[[TraceRow], None]]:
    """Show on a terminal that work goes on once it has taken a second.

    Yields a function that shows a Newton iteration.
    """
    shown = _Shown(what)
    timer = threading.Timer(_QUIET_SECONDS, shown.start)
    timer.daemon = True
    if on_terminal():
        timer.start()
    try:
        yield shown.iteration
    finally:
        timer.cancel()
        shown.stop()


class _Shown:
    """A spinner on stderr and what it says; other threads may start it."""

    def __init__(self, what: str) -> None:
        self.what = what
        self._lock = threading.Lock()
        self._status: Any = None
        self._ended = False

    def start(self) -> None:
        from rich.console import Console

        with self._lock:
            if not self._ended:
                self._status = Console(stderr=True).status(self.what)
                self._status.start()

    def iteration(self, row: TraceRow) -> None:
        self.what = f"Newton iteration {row.iteration}, {row.decrement:.1e} standard errors to go"
        with self._lock:
            if self._status is not None:
                self._status.update(self.what)

    def stop(self) -> None:
        with self._lock:
            self._ended = True
            if self._status is not None:
                self._status.stop()
