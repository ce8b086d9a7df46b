"""Estimators that studies compare, by name."""

from multilogit.study.estimators.base import Estimated, Estimator, Settings
from multilogit.study.estimators.registry import ESTIMATORS, estimator_named

__all__ = ["ESTIMATORS", "Estimated", "Estimator", "Settings", "estimator_named"]
