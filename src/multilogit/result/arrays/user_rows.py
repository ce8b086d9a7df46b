"""Rows as the user counts them: their labels, and what is given for each of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from multilogit.data.ingest import read_table
from multilogit.data.model_frame import Column, ModelFrame
from multilogit.errors import DataError
from multilogit.formula.design import column_or_array


def of_used_rows(frame: ModelFrame, values: NDArray[Any]) -> NDArray[Any]:
    """Values of the rows of the fit, where there is one for every row of the user's data."""
    if frame.rows is not None and values.shape == (frame.n_input_rows,):
        return values[frame.rows]
    return values


def trials_of(new: object, trials: object) -> Column:
    """Trials of new data: a column name, one number, or one per row; shape ``(n,)``.

    Raises
    ------
    DataError
        No such column, the wrong length, a negative number.
    """
    table = read_table(new)
    if np.ndim(trials) == 0 and not isinstance(trials, str):  # type: ignore[arg-type]
        trials = np.full(table.n_rows, trials)
    given = column_or_array(trials, "trials", table).floats()
    if (given < 0).any():
        raise DataError("trials= must not be negative.")
    return given


def row_index(frame: ModelFrame) -> pd.Index:
    """Row numbers in the user's data of the rows that were used."""
    n = frame.response.trials.shape[0]
    return pd.RangeIndex(n) if frame.rows is None else pd.Index(frame.rows)
