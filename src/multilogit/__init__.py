"""Multilevel and multinomial logistic regression by exact Newton–Raphson.

``import multilogit as ml``; then ``ml.fit("y ~ x + (1 + x | group)", data)``.

Names are loaded when they are first used, so that the import itself costs next to nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from multilogit._version import __version__
    from multilogit.comparison import Comparison, compare
    from multilogit.dropped_terms import drop_terms
    from multilogit.errors import (
        CheckpointError,
        DataError,
        DataNotSavedError,
        Diagnostic,
        FormulaError,
        InputError,
        ModelFileError,
        MultilogitError,
        OptionError,
        Status,
        WorkersLostError,
    )
    from multilogit.extras import MissingExtraError
    from multilogit.fitting import fit
    from multilogit.prior import (
        Cauchy,
        CovarianceRelativeEntropy,
        Jeffreys,
        Normal,
        RelativeEntropy,
        ShannonEntropy,
        SoftPenalty,
        StudentT,
        Wishart,
    )
    from multilogit.refit import Refitter
    from multilogit.result import Fit, load
    from multilogit.sensitivity_analysis import sensitivity
    from multilogit.separability import Separation, separation
    from multilogit.sklearn import MultilevelLogisticRegression as MultilevelLogisticRegression

_HOME = {
    "Cauchy": "prior",
    "CheckpointError": "errors",
    "Comparison": "comparison",
    "CovarianceRelativeEntropy": "prior",
    "DataError": "errors",
    "DataNotSavedError": "errors",
    "Diagnostic": "errors",
    "Fit": "result",
    "FormulaError": "errors",
    "InputError": "errors",
    "Jeffreys": "prior",
    "MissingExtraError": "extras",
    "ModelFileError": "errors",
    "MultilevelLogisticRegression": "sklearn",
    "MultilogitError": "errors",
    "Normal": "prior",
    "OptionError": "errors",
    "Refitter": "refit",
    "RelativeEntropy": "prior",
    "Separation": "separability",
    "ShannonEntropy": "prior",
    "SoftPenalty": "prior",
    "Status": "errors",
    "StudentT": "prior",
    "Wishart": "prior",
    "WorkersLostError": "errors",
    "__version__": "_version",
    "compare": "comparison",
    "drop_terms": "dropped_terms",
    "fit": "fitting",
    "load": "result",
    "sensitivity": "sensitivity_analysis",
    "separation": "separability",
}
"""Module that each public name lives in."""

__all__ = [
    "Cauchy",
    "CheckpointError",
    "Comparison",
    "CovarianceRelativeEntropy",
    "DataError",
    "DataNotSavedError",
    "Diagnostic",
    "Fit",
    "FormulaError",
    "InputError",
    "Jeffreys",
    "MissingExtraError",
    "ModelFileError",
    "MultilogitError",
    "Normal",
    "OptionError",
    "Refitter",
    "RelativeEntropy",
    "Separation",
    "ShannonEntropy",
    "SoftPenalty",
    "Status",
    "StudentT",
    "Wishart",
    "WorkersLostError",
    "__version__",
    "compare",
    "drop_terms",
    "fit",
    "load",
    "sensitivity",
    "separation",
]
# MultilevelLogisticRegression is not among them: "import *" must not need scikit-learn.


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*_HOME, *(name for name in globals() if name.startswith("__"))})
