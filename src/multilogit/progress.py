"""A progress bar for work that takes more than a second: rich's if it is installed.

Nothing is shown for work that is over sooner.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any

_QUIET_SECONDS = 1.0
_LINE_SECONDS = 5.0

Show = bool | Callable[[int, int], None]
"""Whether to show a bar; or a function that is called with (steps done, steps in all)."""


class Progress:
    """Counts steps, and shows how many there are left.

    Parameters
    ----------
    what
        Name of the work.
    total
        Steps in all.
    show
        False: nothing. True: a bar (or lines, without rich) on standard error. A function: it
        is called after every step.
    """

    def __init__(self, what: str, total: int, show: Show) -> None:
        self.what = what
        self.total = total
        self.show = show
        self.done = 0
        self._bar: Any = None
        self._task: Any = None
        self._next = time.monotonic() + _QUIET_SECONDS

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def advance(self, steps: int = 1, label: str = "") -> None:
        """Some steps are done; ``label`` names what comes next."""
        self.done += steps
        if callable(self.show):
            self.show(self.done, self.total)
        elif self.show and (self._bar is not None or time.monotonic() >= self._next):
            self._draw(label)

    def _draw(self, label: str) -> None:
        text = f"{self.what} {label}".rstrip()
        if self._bar is None:
            self._bar = _rich_bar()
            if self._bar is None:
                print(f"{text}: {self.done} of {self.total}", file=sys.stderr)
                self._next = time.monotonic() + _LINE_SECONDS
                return
            self._task = self._bar.add_task(text, total=self.total)
            self._bar.start()
        self._bar.update(self._task, completed=self.done, description=text)


def _rich_bar() -> Any:
    """A bar on standard error, or None without rich."""
    try:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as Bar
    except ModuleNotFoundError:
        return None
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    return Bar(*columns, TimeRemainingColumn(), console=Console(stderr=True), transient=True)
