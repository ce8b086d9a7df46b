"""The compiled core: loads the kernels built for the best instruction level of this machine.

``MULTILOGIT_LEVEL`` in the environment chooses another level, for tests and comparisons.
The classes of the kernels are documented in ``__init__.pyi``.
"""

from __future__ import annotations

import importlib
import os
from types import ModuleType

from multilogit._core import _cpu
from multilogit.errors import OptionError


def _choose(supported: list[str], wanted: str | None) -> str:
    """The level to load: ``wanted``, or the fastest of ``supported`` (fastest last)."""
    if not supported:
        raise ImportError(
            "multilogit needs a processor with at least the x86-64-v2 instructions (2009 or later)."
        )
    if not wanted:
        return supported[-1]
    if wanted not in supported:
        raise OptionError(
            f"MULTILOGIT_LEVEL={wanted!r} is not available here. "
            f"Possible values: {', '.join(supported)}; or unset it."
        )
    return wanted


def _load() -> ModuleType:
    level = _choose(_cpu.supported_levels(), os.environ.get("MULTILOGIT_LEVEL"))
    return importlib.import_module(f"multilogit._core._core_{level}")


_kernels = _load()
globals().update({name: item for name, item in vars(_kernels).items() if name[0] != "_"})
