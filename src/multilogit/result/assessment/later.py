"""What the methods that assess are made of, imported when one is first called."""

from __future__ import annotations

from typing import TYPE_CHECKING

from multilogit.lazy import modules_of

if TYPE_CHECKING:
    from multilogit.result.arrays import prediction_rows as prediction_rows
    from multilogit.result.assessment import accuracy as accuracy
    from multilogit.result.assessment import augmented_rows as augmented_rows
    from multilogit.result.assessment import influence as influence
    from multilogit.result.assessment import residuals as residuals
    from multilogit.result.assessment import simulation as simulation
    from multilogit.result.description import explained_variance as explained_variance
    from multilogit.result.prediction import predictions as predictions

__getattr__ = modules_of(
    "multilogit.result",
    {
        "arrays.prediction_rows",
        "assessment.accuracy",
        "assessment.augmented_rows",
        "assessment.influence",
        "assessment.residuals",
        "assessment.simulation",
        "description.explained_variance",
        "prediction.predictions",
    },
)
