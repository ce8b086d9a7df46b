"""Rows as the user counts them: their labels, and what is given for each of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from multilogit.data.ingest import check_aligned, read_table
from multilogit.data.model_frame import Column, ModelFrame
from multilogit.errors import DataError
from multilogit.formula.design import column_or_array


def of_used_rows(frame: ModelFrame, given: Any, what: str) -> NDArray[Any]:
    """What was given for every row of the user's data, or of the fit, for those of the fit.

    Raises
    ------
    DataError
        A pandas Series with another index than the data.
    """
    values = np.asarray(given)
    if frame.rows is not None and values.shape == (frame.n_input_rows,):
        check_aligned(given, frame.index, what)
        return values[frame.rows]
    check_aligned(given, None if frame.index is None else row_index(frame), what)
    return values


def coded_rows(
    frame: ModelFrame, given: Any, what: str
) -> tuple[NDArray[np.int64], NDArray[np.object_]]:
    """One label for every row, as codes from 0, shape ``(n,)``, and the labels, sorted.

    Raises
    ------
    DataError
        The wrong length, a missing label, or a pandas Series with another index than the data.
    """
    labels = of_used_rows(frame, given, what)
    n = frame.response.trials.size
    if labels.shape != (n,):
        raise DataError(
            f"{what} has shape {labels.shape}; give one label for each of the "
            f"{frame.n_input_rows or n} rows of the data."
        )
    codes, levels = pd.factorize(labels, sort=True)
    if (codes < 0).any():
        raise DataError(f"{what} has no label in row {int(np.argmax(codes < 0))}.")
    return codes.astype(np.int64), np.asarray(levels, dtype=object)


def trials_of(new: object, trials: object) -> Column:
    """Trials of new data: a column name, one number, or one per row; shape ``(n,)``.

    Raises
    ------
    DataError
        No such column, the wrong length, a negative number.
    """
    given = column_or_array(trials, "trials", read_table(new)).floats()
    if (given < 0).any():
        raise DataError("trials= must not be negative.")
    return given


def row_index(frame: ModelFrame) -> pd.Index:
    """Labels of the rows that were used: the index of the user's data, or row numbers."""
    if frame.index is not None:
        return frame.index if frame.rows is None else frame.index[frame.rows]
    n = frame.response.trials.shape[0]
    return pd.RangeIndex(n) if frame.rows is None else pd.Index(frame.rows)
