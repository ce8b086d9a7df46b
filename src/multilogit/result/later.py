"""What shows and keeps a fit, imported when a method is first called."""

from __future__ import annotations

from typing import TYPE_CHECKING

from multilogit.lazy import modules_of

if TYPE_CHECKING:
    from multilogit.result.persistence import files as files
    from multilogit.result.pictures import plots as plots
    from multilogit.result.reporting import write as write

__getattr__ = modules_of(
    "multilogit.result",
    {
        "persistence.files",
        "pictures.plots",
        "reporting.write",
    },
)
