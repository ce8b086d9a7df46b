"""What only fits that diverge need, imported when one does."""

from __future__ import annotations

from typing import TYPE_CHECKING

from multilogit.lazy import modules_of

if TYPE_CHECKING:
    from multilogit.divergence import explanation as explanation
    from multilogit.divergence import joint as joint

__getattr__ = modules_of("multilogit.divergence", {"explanation", "joint"})
