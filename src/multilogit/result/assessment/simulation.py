"""Responses drawn from a fit, as a table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import get_args

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from multilogit.assess import simulation
from multilogit.assess.model import Model
from multilogit.checks import check_choice, check_whole
from multilogit.errors import OptionError
from multilogit.result.arrays.assessment_model import new_model, simulated_model
from multilogit.result.arrays.user_rows import row_index
from multilogit.result.fields.measures import Measures


def simulate(
    fit: Measures,
    n: int,
    seed: int,
    level: simulation.Level,
    new: object,
    trials: object,
    offset: object,
) -> pd.DataFrame:
    """Simulated responses as :meth:`multilogit.Fit.simulate` describes them."""
    check_choice("level", level, get_args(simulation.Level))
    check_whole("n", n)
    check_whole("seed", seed, 0)
    if new is not None:
        model, index = new_model(fit, new, level, trials, offset)
    elif trials is None and offset is None:
        model = simulated_model(fit)
        index = row_index(fit._rows_for("simulate()"))
    else:
        raise OptionError("trials= and offset= belong to new data; give them as new=.")
    draws = simulation.simulate(model, range(n), seed, level)
    return _simulated_table(list(draws), model, index)


def _simulated_table(
    draws: Sequence[NDArray[np.float64]], model: Model, index: pd.Index
) -> pd.DataFrame:
    names = [f"sim_{k + 1}" for k in range(len(draws))]
    if model.response.family == "binomial":
        counts = np.column_stack([draw[:, 0] for draw in draws])
        return pd.DataFrame(counts.astype(np.int64), index=index, columns=names)
    trials = model.response.trials
    full = [np.column_stack([trials - draw.sum(axis=1), draw]) for draw in draws]
    columns = pd.MultiIndex.from_product([names, model.response.categories])
    return pd.DataFrame(np.hstack(full).astype(np.int64), index=index, columns=columns)
