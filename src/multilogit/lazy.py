"""Modules that are imported when they are first used.

The import of the package must not pay for what most programs never call. Imports stay at the
top of a module, where they can be checked; what is deferred is written in one place per room.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Collection
from types import ModuleType


def modules_of(room: str, names: Collection[str]) -> Callable[[str], ModuleType]:
    """A ``__getattr__`` (PEP 562) for a module whose attributes are the modules of a room.

    Parameters
    ----------
    room
        The package that holds them, e.g. ``"multilogit.result"``.
    names
        Of its modules. ``"a.b"`` is module b of its sub-package a, handed out as ``b``.
    """
    paths = {name.rpartition(".")[2]: f"{room}.{name}" for name in names}

    def __getattr__(name: str) -> ModuleType:
        if name not in paths:
            raise AttributeError(f"{room} hands out no module {name!r} on demand")
        return importlib.import_module(paths[name])

    return __getattr__
