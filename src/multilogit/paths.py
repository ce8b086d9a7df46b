"""Paths that a user gives: refused by name, before any work is done where that can be known."""

from __future__ import annotations

import os
import reprlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from multilogit.errors import InputError, OptionError


def as_path(path: object, option: str = "path", refused: type[InputError] = OptionError) -> Path:
    """The path that was given.

    Parameters
    ----------
    path
        What was given.
    option
        The name of the argument.
    refused
        What is raised.

    Raises
    ------
    OptionError
        Or ``refused``: it is no text and no ``pathlib.Path``, or one that no file can have.
    """
    text = os.fspath(path) if isinstance(path, str | os.PathLike) else None
    if not isinstance(text, str) or not text or "\0" in text:
        raise refused(
            f"{option}={reprlib.repr(path)}: give the path of a file, a text or a pathlib.Path."
        )
    return at_home(text)


def at_home(path: str | os.PathLike[str]) -> Path:
    """The path, with ``~`` as the home directory, where there is one."""
    given = Path(path)
    try:
        return given.expanduser()
    except RuntimeError:  # of a user who is not known
        return given


def as_target(path: object) -> Path:
    """The path of a file that is to be written, after work that would be lost if it cannot be.

    Raises
    ------
    OptionError
        See :func:`as_path`.
    InputError
        It is a directory, or in none.
    """
    target = as_path(path)
    if target.is_dir() or not target.absolute().parent.is_dir():
        reason = "it is a directory" if target.is_dir() else "there is no such directory"
        raise InputError(_cannot_write(target, reason))
    return target


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """What is written inside goes to ``path``: errors of the system are told with its name.

    Raises
    ------
    InputError
        The file cannot be written.
    """
    try:
        yield
    except OSError as error:
        raise InputError(_cannot_write(path, error.strerror or str(error))) from error


def _cannot_write(path: Path, reason: str) -> str:
    return f"Cannot write {str(path)!r} ({reason}); give another path."
