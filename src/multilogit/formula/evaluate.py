"""Values of single expressions: the left-hand side, offsets, factors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from multilogit.data.columns import Column, Factor, Numeric, is_finite
from multilogit.errors import DataError
from multilogit.formula.functions import FACTORS, NAMESPACE, OF_NEW_DATA
from multilogit.formula.safety import alias
from multilogit.formula.spec import Variable
from multilogit.lazy import pd

Floats = NDArray[np.float64]
State = dict[str, Any]
COMPUTING = (ArithmeticError, AttributeError, LookupError, MemoryError, TypeError, ValueError)
"""What arithmetic and transforms raise where their arguments do not suit them."""


@dataclass(frozen=True, slots=True)
class Environment:
    """What expressions are evaluated in.

    Attributes
    ----------
    columns
        The columns they may read, without missing values.
    n_rows
        Their common length.
    rows
        Row numbers in the user's data, or None where all are there.
    states
        What has been learnt, by expression: plain values, filled in training.
    training
        Whether there is something to learn, or to be used.
    """

    columns: Mapping[str, Column]
    n_rows: int
    rows: NDArray[np.int64] | None = None
    states: dict[str, State] = field(default_factory=dict)
    training: bool = True

    def row(self, index: int) -> int:
        """Row number in the user's data."""
        return index if self.rows is None else int(self.rows[index])

    def refuse(self, name: str, values: Floats, bad: NDArray[np.bool_], why: str = ".") -> None:
        """Raise a DataError that points at the first row that is bad, if there is one."""
        rows = np.flatnonzero(bad)
        if rows.size:
            place = f"{values[rows[0]]:g} at row {self.row(int(rows[0]))}"
            raise DataError(f"{name} is {place}{why}")


def as_value(column: Column, booleans: bool = False) -> Any:
    """A column as expressions see it: float64 (or bool), or a pandas categorical of texts."""
    if isinstance(column, Numeric):
        return column.values.astype(bool) if booleans and column.boolean else column.floats()
    try:
        return pd.Categorical.from_codes(column.codes, list(column.labels()), validate=False)
    except ValueError:  # 1 and "1"
        return pd.Categorical(np.array(column.labels(), dtype=object)[column.codes])


def evaluate(variable: Variable, environment: Environment) -> Column:
    """The value of a checked expression that learns nothing.

    Raises
    ------
    DataError
        A factor in arithmetic, or arguments that a function rejects.
    """
    if variable.kind == "column":
        return environment.columns[variable.columns[0].text]
    factor = variable.expression.partition("(")[0] in FACTORS  # of truth values: FALSE, TRUE
    columns = {c.text: environment.columns[c.text] for c in variable.columns}
    names = {alias(name): as_value(column, factor) for name, column in columns.items()}
    known = NAMESPACE if environment.training else OF_NEW_DATA
    try:
        with np.errstate(all="ignore"):  # non-finite results are looked for afterwards
            made = eval(variable.expression, {"__builtins__": {}, **known}, names)
            if isinstance(made, Factor):
                return made
            values = np.asarray(made)
            if values.dtype.kind == "b":
                return Numeric(values, boolean=True)
            return Numeric(np.ascontiguousarray(values, dtype=np.float64))
    except (DataError, *COMPUTING) as error:
        raise not_computed(variable, environment, error) from None


def numbers(variable: Variable, environment: Environment, name: str = "") -> Floats:
    """The finite values of an expression; ``name`` is its name in errors.

    Raises
    ------
    DataError
        It is categorical, or not finite.
    """
    value = evaluate(variable, environment)
    if not isinstance(value, Numeric):
        raise DataError(f"{name or repr(variable.name)} is not numeric.")
    values = value.floats()
    if not is_finite(values):
        environment.refuse(name or repr(variable.name), values, ~np.isfinite(values))
    return values


def not_computed(variable: Variable, environment: Environment, error: BaseException) -> DataError:
    """What went wrong in the evaluation of a variable."""
    for name in variable.columns:
        column = environment.columns[name.text]
        if variable.kind != "factor" and isinstance(column, Factor):
            return DataError(
                f"Column {name.text!r} is categorical: {variable.name!r} cannot be computed."
            )
    text = str(error)
    if "extrapolation" in text:  # formulaic's words do not say what to write
        text = (
            "values lie outside of the range that the spline was fitted on. Write "
            'extrapolation="clip" among its arguments to take them at its ends, or "extend" to go '
            "on with its polynomials."
        )
    return DataError(f"{variable.name!r} cannot be computed: {text}")
