"""What a command needs, imported when it is asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from multilogit.lazy import modules_of

if TYPE_CHECKING:
    from multilogit import _version as _version
    from multilogit.cli import demonstration as demonstration
    from multilogit.cli import document as document
    from multilogit.cli import fitting as fitting
    from multilogit.cli import models as models
    from multilogit.cli import separation as separation
    from multilogit.cli import studies as studies
    from multilogit.prior import names as names

__getattr__ = modules_of(
    "multilogit",
    {
        "_version",
        "cli.demonstration",
        "cli.document",
        "cli.fitting",
        "cli.models",
        "cli.separation",
        "cli.studies",
        "prior.names",
    },
)
