"""All that a fit computes; what shows a fit (pictures, the report) builds on this."""

from __future__ import annotations

from multilogit.result.assessment.methods import Assessed
from multilogit.result.description.methods import Described
from multilogit.result.inference.methods import Inferred
from multilogit.result.prediction.methods import Predicted


class Methods(Described, Predicted, Assessed, Inferred):
    """Description, predictions, assessment, inference."""
