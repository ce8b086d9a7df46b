"""Predictions from columns and estimates, with their uncertainty: pure functions of arrays."""

from multilogit.predict.linear import (
    Kind,
    Level,
    Matrix,
    NewGroups,
    Vector,
    fixed_predictor,
    most_probable,
    probabilities,
    random_predictor,
)

__all__ = [
    "Kind",
    "Level",
    "Matrix",
    "NewGroups",
    "Vector",
    "fixed_predictor",
    "most_probable",
    "probabilities",
    "random_predictor",
]
