"""The application: what all commands share."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import typer

from multilogit._version import __version__
from multilogit.errors import InputError, MultilogitError
from multilogit.newton import TraceRow
from multilogit.result import Fit

CONVERGED, NOT_TRUSTED, BAD_INPUT = 0, 1, 2
_QUIET_SECONDS = 1.0

app = typer.Typer(
    name="multilogit",
    help="Multilevel and multinomial logistic regression by exact Newton-Raphson.",
    epilog="Exit code 0: done; 1: done, but the model is not to be trusted (the diagnostics say "
    "why); 2: the input cannot be used. 'multilogit COMMAND --help' describes a command.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(asked: bool) -> None:
    if asked:
        typer.echo(f"multilogit {__version__}")
        raise typer.Exit


@app.callback()
def _main(
    version: bool = typer.Option(
        False, "--version", callback=_show_version, is_eager=True, help="Print the version."
    ),
) -> None:
    """Multilevel and multinomial logistic regression by exact Newton-Raphson."""


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
