"""Modules that are imported when they are first used.

The import of the package must not pay for what most programs never call, and a fit from the
command line not for packages that take longer to import than to fit. Imports stay at the top of a
module, where they can be checked; what is deferred is written in one place per room, and here for
packages of others: ``from multilogit.lazy import pd`` in what every fit imports.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Collection, Mapping
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd
    from scipy import linalg, special

__all__ = ["OnDemand", "linalg", "modules_of", "names_of", "pd", "special", "was_imported"]


class OnDemand(ModuleType):
    """A module that is imported when one of its attributes is first asked for."""

    def __getattr__(self, name: str) -> Any:
        value = getattr(importlib.import_module(self.__name__), name)
        setattr(self, name, value)  # the next time Python finds it by itself
        return value


if not TYPE_CHECKING:
    pd = OnDemand("pandas")  # 0.25 s
    linalg = OnDemand("scipy.linalg")  # 0.2 s, the next line included
    special = OnDemand("scipy.special")


def was_imported(package: str) -> bool:
    """Whether the program has imported a package: if not, no object can be one of its."""
    return sys.modules.get(package) is not None


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


def names_of(room: str, homes: Mapping[str, str]) -> Callable[[str], Any]:
    """A ``__getattr__`` (PEP 562) for a package whose names are defined in its modules.

    Parameters
    ----------
    room
        The package, e.g. ``"multilogit.prior"``.
    homes
        For every name the module that defines it, e.g. ``{"Normal": "normal"}``.
    """

    def __getattr__(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {room!r} has no attribute {name!r}")
        value = getattr(importlib.import_module(f"{room}.{homes[name]}"), name)
        setattr(sys.modules[room], name, value)
        return value

    return __getattr__
