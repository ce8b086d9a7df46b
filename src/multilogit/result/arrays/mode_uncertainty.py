"""The uncertainty of the conditional modes of a fit."""

from __future__ import annotations

from typing import TYPE_CHECKING

from multilogit.errors import OptionError
from multilogit.predict.modes import ModeUncertainty, mode_uncertainty
from multilogit.predict.tangent import value
from multilogit.result.arrays.prediction_model import prediction_model
from multilogit.result.arrays.prediction_rows import fitted_rows

if TYPE_CHECKING:
    from multilogit.result.fields.measures import Measures

_WITHOUT_DATA = (
    "Standard errors at level='population' and level='marginal' need no data. Those of conditional "
    "predictions need a fit to data in memory (a table, without memory= and client=), which keeps "
    "this uncertainty when it is saved."
)


def uncertainty_of(fit: Measures) -> ModeUncertainty:
    """H and ∂b̂/∂ψ from the data of a fit with random effects.

    Raises
    ------
    DataNotSavedError
        If the fit has no data.
    OptionError
        If it has no random effects.
    """
    if not fit.random:
        raise OptionError("This is a single-level model: it has no random effects.")
    frame = fit._frame_for("The uncertainty of the random effects", _WITHOUT_DATA)
    rows, model = fitted_rows(fit, "conditional").rows, prediction_model(fit)
    counts, trials = frame.response.weighted()
    eta = value(model, rows, "conditional", "link")
    return mode_uncertainty(rows.x, model.factors, rows.factors, counts, trials, eta, model.size)
