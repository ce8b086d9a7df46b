"""What the description of a fit is made of, imported when it is first asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from multilogit.lazy import modules_of

if TYPE_CHECKING:
    from multilogit.result.description import explained_variance as explained_variance
    from multilogit.result.description import odds_ratios as odds_ratios
    from multilogit.result.description import summary_content as summary_content

__getattr__ = modules_of(
    "multilogit.result",
    {
        "description.explained_variance",
        "description.odds_ratios",
        "description.summary_content",
    },
)
