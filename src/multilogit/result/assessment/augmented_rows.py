"""The rows of a fit with what the model says of them."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from multilogit.assess.model import Model
from multilogit.assess.residuals import all_counts, deviance_residuals, pearson_residuals
from multilogit.predict import probabilities
from multilogit.result.arrays.assessment_model import assessment_model
from multilogit.result.arrays.user_rows import row_index
from multilogit.result.assessment.influence import influence
from multilogit.result.description.estimates import Estimates


def augment(fit: Estimates) -> pd.DataFrame:
    """The table that :meth:`multilogit.Fit.augment` describes."""
    frame = fit._frame_for("augment()")
    model = assessment_model(fit, "augment()")
    columns = _data(fit, model)
    eta = model.eta()
    pi, counts = probabilities(eta), all_counts(model.response)
    resid, pearson = deviance_residuals(counts, pi), pearson_residuals(counts, pi)
    if fit.labels.family == "binomial":
        if fit.random:
            columns[".fixed"] = model.fixed[:, 0]
        columns |= {".fitted": eta[:, 0], ".mu": pi[:, 1]}
        columns |= {".resid": resid, ".pearson": pearson[:, 1]}
    else:
        columns |= _by_category(fit, model, eta, pi, pearson)
        columns[".resid"] = resid
    if not fit.random:
        table = influence(fit, None).table
        columns |= {".hat": table["hat"].to_numpy(), ".cooksd": table["cooks_distance"].to_numpy()}
    return pd.DataFrame(columns, index=row_index(frame))


def _data(fit: Estimates, model: Model) -> dict[str, NDArray[np.generic]]:
    """Response, trials, weights and groups."""
    response, counts = model.response, all_counts(model.response)
    several = bool(np.any(response.trials != 1.0))
    columns: dict[str, NDArray[np.generic]] = {}
    if response.family == "binomial" and not several:
        columns[response.name] = np.array(response.categories, dtype=object)[
            counts[:, 1].astype(np.int64)
        ]
    else:
        columns |= {name: counts[:, j] for j, name in enumerate(response.categories)}
    if several:
        columns[".trials"] = response.trials
    if response.weights is not None:
        columns[".weights"] = response.weights
    for name, grouping in fit.frame.groupings.items():
        free = name if name not in columns else f"{name} (group)"
        columns[free] = grouping.levels[grouping.codes]
    return columns


def _by_category(
    fit: Estimates,
    model: Model,
    eta: NDArray[np.float64],
    pi: NDArray[np.float64],
    pearson: NDArray[np.float64],
) -> dict[str, NDArray[np.float64]]:
    names = fit.labels.categories
    columns: dict[str, NDArray[np.float64]] = {}
    if fit.random:
        columns |= {f".fixed[{name}]": model.fixed[:, c] for c, name in enumerate(names[1:])}
    columns |= {f".fitted[{name}]": eta[:, c] for c, name in enumerate(names[1:])}
    columns |= {f".mu[{name}]": pi[:, j] for j, name in enumerate(names)}
    return columns | {f".pearson[{name}]": pearson[:, j] for j, name in enumerate(names)}
