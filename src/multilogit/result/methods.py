"""All that a fit computes; what shows a fit (pictures, the report) builds on this."""

from __future__ import annotations

from dataclasses import dataclass

from multilogit.result.assessed import Assessed
from multilogit.result.inferred import Inferred
from multilogit.result.predicted import Predicted


@dataclass(frozen=True, eq=False, repr=False)
class Methods(Predicted, Assessed, Inferred):
    """Predictions, assessment, inference."""
