"""What few fits need, imported when one does."""

from __future__ import annotations

from typing import TYPE_CHECKING

from multilogit.lazy import modules_of

if TYPE_CHECKING:
    from multilogit import many_levels as many_levels
    from multilogit import strength as strength
    from multilogit.divergence import finding as finding
    from multilogit.estimate import freeze as freeze

__getattr__ = modules_of(
    "multilogit", {"divergence.finding", "estimate.freeze", "many_levels", "strength"}
)
