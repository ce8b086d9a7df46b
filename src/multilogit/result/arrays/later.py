"""What the estimates need of this room, imported when it is first asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from multilogit.lazy import modules_of

if TYPE_CHECKING:
    from multilogit.result.arrays import mode_uncertainty as mode_uncertainty

__getattr__ = modules_of("multilogit.result.arrays", {"mode_uncertainty"})
