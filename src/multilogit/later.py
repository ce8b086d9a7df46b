"""What few fits need, imported when one does."""

from __future__ import annotations

from typing import TYPE_CHECKING

from multilogit.lazy import modules_of

if TYPE_CHECKING:
    from multilogit import many_levels as many_levels

__getattr__ = modules_of("multilogit", {"many_levels"})
