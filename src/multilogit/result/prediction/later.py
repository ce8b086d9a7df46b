"""What the methods that predict are made of, imported when one is first called."""

from __future__ import annotations

from typing import TYPE_CHECKING

from multilogit.lazy import modules_of

if TYPE_CHECKING:
    from multilogit.result.prediction import marginal_effects as marginal_effects
    from multilogit.result.prediction import margins as margins
    from multilogit.result.prediction import predictions as predictions

__getattr__ = modules_of(
    "multilogit.result",
    {
        "prediction.marginal_effects",
        "prediction.margins",
        "prediction.predictions",
    },
)
