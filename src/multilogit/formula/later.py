"""What only derivatives of a design need, imported when they are first asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from multilogit.lazy import modules_of

if TYPE_CHECKING:
    from multilogit.formula import derivative as derivative

__getattr__ = modules_of("multilogit.formula", {"derivative"})
