"""What the methods that assess are made of, imported when one is first called."""

from __future__ import annotations

from typing import TYPE_CHECKING

from multilogit.lazy import modules_of

if TYPE_CHECKING:
    from multilogit.result.assessment import accuracy as accuracy
    from multilogit.result.assessment import augmented_rows as augmented_rows
    from multilogit.result.assessment import goodness_of_fit as goodness_of_fit
    from multilogit.result.assessment import influence as influence
    from multilogit.result.assessment import judged as judged
    from multilogit.result.assessment import residuals as residuals
    from multilogit.result.assessment import simulation as simulation
    from multilogit.result.prediction import predictions as predictions

__getattr__ = modules_of(
    "multilogit.result",
    {
        "assessment.accuracy",
        "assessment.augmented_rows",
        "assessment.goodness_of_fit",
        "assessment.influence",
        "assessment.judged",
        "assessment.residuals",
        "assessment.simulation",
        "prediction.predictions",
    },
)
