"""Formula and data to a model frame."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from multilogit.data.columns import Column, Factor, Numeric
from multilogit.data.grouping import group
from multilogit.data.ingest import Table, read_table
from multilogit.data.model_frame import Grouping, ModelFrame, Response
from multilogit.errors import DataError, Diagnostic, FormulaError, OptionError
from multilogit.formula.design import (
    Design,
    Learnt,
    Variables,
    build_design,
    column_or_array,
    complete_rows,
    read_columns,
    total_offset,
)
from multilogit.formula.evaluate import Environment
from multilogit.formula.parse import parse
from multilogit.formula.response import build_response, check_weights
from multilogit.formula.spec import FormulaSpec
from multilogit.formula.tokens import tokenize

KEYWORDS = ("weights", "offset", "trials")


def build_frame(
    formula: str,
    data: Any,
    *,
    weights: Any = None,
    offset: Any = None,
    trials: Any = None,
    baseline: object = None,
    missing: str = "drop",
    compact: bool = False,
) -> tuple[ModelFrame, Design]:
    """Turn a formula and data into columns for estimation, and a design for new data.

    Parameters
    ----------
    formula
        ``response ~ terms + (effects | group)``; see :mod:`multilogit.formula.parse`. Only
        arithmetic and the functions of :mod:`multilogit.formula.functions` are evaluated.
    data
        A table, or the path of one: see :func:`multilogit.data.read_table`. Numeric columns
        are read in place where they are contiguous float64.
    weights, offset, trials
        The name of a column, or one number per row. ``weights``: frequencies, not negative
        (weight 2 is the row twice). ``offset``: added to the linear predictor. ``trials``: the
        response counts successes out of this number.
    baseline
        Reference category of the response; default: its first level.
    missing
        ``"drop"`` leaves out rows with a missing value in any column in use, and says so in a
        diagnostic; ``"raise"`` refuses them.
    compact
        Whether a factor of very many levels may be kept without columns, in a binomial model
        without random effects: ``frame.fixed.levels``.

    Returns
    -------
    frame
        The data as estimation sees them.
    design
        Rebuilds the columns for new data.

    Raises
    ------
    FormulaError
        The formula has an error, or asks for something that is not allowed.
    DataError
        A column, row, level or value cannot be used.
    OptionError
        An option has a value that is not allowed.
    """
    if missing not in ("drop", "raise"):
        raise OptionError(f"missing={missing!r}: use 'drop' or 'raise'.")
    table = read_table(data)
    given = {"weights": weights, "offset": offset, "trials": trials}
    spec = parse_for(formula, table, given)
    columns, rows, diagnostics = _read(spec, table, given, missing)
    frame, learnt = learn_frame(spec, columns, table.n_rows, rows, baseline, compact)
    frame = replace(frame, diagnostics=(*diagnostics, *frame.diagnostics), index=table.index)
    return frame, Design(spec, learnt, remembered_offset(offset))


def learn_frame(
    spec: FormulaSpec,
    columns: Mapping[str, Column],
    n_rows: int,
    rows: NDArray[np.int64] | None = None,
    baseline: object = None,
    compact: bool = False,
) -> tuple[ModelFrame, Learnt]:
    """The frame of columns without missing values, and what they have taught.

    Parameters
    ----------
    spec
        The parsed formula.
    columns
        All that are in use, as :func:`columns_in_use` reads them; those of ``rows`` only.
    n_rows, rows
        As in :class:`~multilogit.data.model_frame.ModelFrame`.
    baseline, compact
        As in :func:`build_frame`.
    """
    n = n_rows if rows is None else rows.shape[0]
    columns, keywords = split_keywords(columns)
    learnt = Learnt()
    environment = Environment(columns, n, rows, learnt.states)
    if "weights" in keywords:
        check_weights(keywords["weights"], environment)
    ones = np.ones(n)
    response, more = build_response(
        spec.response,
        environment,
        ones=ones,
        trials=keywords.get("trials"),
        weights=keywords.get("weights"),
        baseline=baseline,
    )
    compact = compact and response.family == "binomial" and not spec.bars
    fixed, random = build_design(spec, environment, compact=compact, ones=ones)
    groupings, warned = _groupings(spec, environment, learnt, response)
    extra = Numeric(keywords["offset"]) if "offset" in keywords else None
    return ModelFrame(
        response=response,
        fixed=fixed,
        random=random,
        groupings=groupings,
        offset=total_offset(spec.offsets, environment, extra),
        rows=rows,
        n_input_rows=n_rows,
        variables=_variables(spec, columns, extra, n),
        diagnostics=(
            *_unused_levels(columns, spec),
            *_numbers_as_text(environment, spec),
            *more,
            *rare_categories(response, len(fixed.columns)),
            *warned,
        ),
    ), learnt


def remembered_offset(offset: Any) -> str | bool | None:
    """``Design.offset``: the name of a column, True for an array, or None."""
    return offset if isinstance(offset, str) else (True if offset is not None else None)


def _variables(
    spec: FormulaSpec, columns: Mapping[str, Column], offset: Numeric | None, n: int
) -> Variables:
    """The columns that the design was made from."""
    names = (*spec.right_columns(), *spec.group_columns())
    return Variables({name.text: columns[name.text] for name in names}, offset, n)


def parse_for(formula: str, table: Table, given: Mapping[str, Any]) -> FormulaSpec:
    """The parsed formula; ``.`` is written out: all columns that have no other part in it."""
    if not isinstance(formula, str):
        raise FormulaError(f"The formula must be a text, not {type(formula).__name__}.")
    spec = parse(formula)
    if all(column.text != "." for column in spec.right_columns()):
        return spec
    outside = [v.columns for v in (*spec.response.parts, *spec.offsets)]
    taken = {column.text for columns in (*outside, spec.group_columns()) for column in columns}
    taken |= {value for value in given.values() if isinstance(value, str)}
    others = " + ".join(f"`{name}`" for name in table.names if name not in taken)
    for token in reversed(tokenize(formula)):
        if token.kind == "name" and token.text == ".":
            formula = f"{formula[: token.start]}({others or 1}){formula[token.end :]}"
    return parse(formula)


def slot(keyword: str) -> str:
    """Key of a keyword's values among the columns; no column can be called so."""
    return f"\0{keyword}="


def split_keywords(
    columns: Mapping[str, Column],
) -> tuple[dict[str, Column], dict[str, NDArray[np.float64]]]:
    """Columns of the formula, and the values of weights, offset and trials where given."""
    slots = {slot(key): key for key in KEYWORDS}
    named = {name: column for name, column in columns.items() if name not in slots}
    values = {
        slots[name]: np.asarray(column.values)  # type: ignore[union-attr]
        for name, column in columns.items()
        if name in slots
    }
    return named, values


def columns_in_use(spec: FormulaSpec, table: Table, given: Mapping[str, Any]) -> dict[str, Column]:
    """Every column that the formula and the keywords read."""
    left = [column for part in spec.response.parts for column in part.columns]
    names = [*left, *spec.right_columns(), *spec.group_columns()]
    columns = read_columns(table, names, spec.text)
    for key, value in given.items():
        if value is not None:
            columns[slot(key)] = column_or_array(value, key, table)
    return columns


def _read(
    spec: FormulaSpec, table: Table, given: Mapping[str, Any], missing: str
) -> tuple[dict[str, Column], NDArray[np.int64] | None, tuple[Diagnostic, ...]]:
    """All columns in use, without the rows that miss a value."""
    columns = columns_in_use(spec, table, given)
    rows, masks = complete_rows(columns, table.n_rows)
    if rows is None:
        return columns, None, ()
    counts = {name.lstrip("\0"): int(mask.sum()) for name, mask in masks.items()}
    shown = _shown_counts(counts)
    if missing == "raise":
        name, mask = next(iter(masks.items()))
        first = np.flatnonzero(mask)[:5].tolist()
        raise DataError(
            f"Missing values in {shown}; the first rows of {name.lstrip(chr(0))!r}: "
            f"{', '.join(map(str, first))}. Remove or fill them, or use missing='drop'."
        )
    dropped = rows_dropped(table.n_rows - rows.shape[0], table.n_rows, counts)
    return {name: column.take(rows) for name, column in columns.items()}, rows, (dropped,)


def rows_dropped(dropped: int, n_rows: int, counts: Mapping[str, int]) -> Diagnostic:
    """What is said of rows with missing values, so many in each column.

    Raises
    ------
    DataError
        No rows are left.
    """
    shown = _shown_counts(counts)
    if dropped == n_rows:
        raise DataError(
            f"No rows are left: all {dropped} have a missing value. Missing values in {shown}."
        )
    return Diagnostic(
        "rows-dropped",
        "info",
        f"{dropped} of {n_rows} rows were dropped: missing values in {shown}.",
        facts={"dropped": dropped, "rows": n_rows, "columns": dict(counts)},
    )


def _shown_counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name!r} ({count})" for name, count in counts.items())


def _groupings(
    spec: FormulaSpec, environment: Environment, learnt: Learnt, response: Response
) -> tuple[dict[str, Grouping], list[Diagnostic]]:
    groupings: dict[str, Grouping] = {}
    diagnostics: list[Diagnostic] = []
    for bar in spec.bars:
        name = bar.group.name
        if name in groupings:
            continue
        names = [column.text for column in bar.group.columns]
        columns = [environment.columns[text] for text in names]
        groupings[name], learnt.groups[name] = group(name, names, columns)
        n_levels = groupings[name].levels.shape[0]
        most_trials = float(response.trials.max())
        diagnostics += group_diagnostics(name, n_levels, environment.n_rows, most_trials)
    return groupings, diagnostics


def group_diagnostics(
    name: str, n_levels: int, n_rows: int, most_trials: float
) -> list[Diagnostic]:
    """What is said of a grouping factor with very few or very many levels."""
    found = [_one_level(name)] if n_levels < 2 else []
    if n_levels == n_rows and most_trials <= 1:
        found.append(_one_row_per_group(name, n_levels))
    return found


def _one_level(name: str) -> Diagnostic:
    """Maximum likelihood refuses it; a prior on the variance makes it a model."""
    return Diagnostic(
        "one-level",
        "warning",
        f"The grouping factor {name!r} has one level: its variance comes from the prior alone.",
        "Remove its bar from the formula, unless the prior is meant.",
        {"group": name},
    )


def _one_row_per_group(name: str, n_levels: int) -> Diagnostic:
    return Diagnostic(
        "one-row-per-group",
        "warning",
        f"The grouping factor {name!r} has as many levels ({n_levels}) as there are rows: with one "
        "observation per group its variance cannot be told from the data.",
        "Remove the bar, or group by a column whose levels have several rows.",
        {"group": name, "levels": n_levels},
    )


def rare_categories(response: Response, p: int) -> list[Diagnostic]:
    """Of more than two categories those seen once, or less often than a logit has coefficients."""
    if response.family == "binomial":
        return []
    counts, trials = response.weighted()
    baseline = float(trials.sum()) - float(counts.sum())
    totals = [baseline, *counts.sum(axis=0).tolist()]
    found = []
    for category, total in zip(response.categories, totals, strict=True):
        if total > 1.0 and total >= p:
            continue
        is_baseline = category == response.categories[0]
        found.append(
            Diagnostic(
                "rare-category",
                "warning",
                f"The {'baseline ' * is_baseline}category {category!r} of {response.name!r} was "
                f"observed {_times(total)}, fewer than would tell the {p} coefficient"
                f"{'s' * (p > 1)} of {'any' if is_baseline else 'its'} logit.",
                "Merge it with another category, use fewer predictors, or a prior such as "
                "prior=ml.RelativeEntropy(), which keeps estimates finite.",
                {"category": category, "observations": total, "coefficients": p},
            )
        )
    return found


def _times(total: float) -> str:
    return "once" if total == 1.0 else f"{total:.10g} times"


def _unused_levels(columns: Mapping[str, Column], spec: FormulaSpec) -> list[Diagnostic]:
    """Declared categories of the predictors that no row has: they get no coefficient."""
    found = []
    for name in dict.fromkeys(column.text for column in spec.right_columns()):
        column = columns[name]
        if not isinstance(column, Factor):
            continue
        used = set(column.used().levels)
        if len(used) < len(column.levels):
            unused = [str(level) for level in column.levels if level not in used]
            found.append(
                Diagnostic(
                    "unused-levels",
                    "info",
                    f"No row has the level{'s' * (len(unused) > 1)} "
                    f"{', '.join(map(repr, unused[:10]))} of {name!r}; no coefficient is made.",
                    facts={"column": name, "levels": unused},
                )
            )
    return found


_FEWEST_NUMBERS = 10


def _numbers_as_text(environment: Environment, spec: FormulaSpec) -> list[Diagnostic]:
    """Predictors that are categories only because a few of their many levels are no numbers.

    One ``.`` or ``n/a`` makes a column text, and then each number has a coefficient. Ten numbers
    for each other level tell that from levels such as 0, 1, 2, 3+; ``C(x)`` says they are meant.
    """
    found = []
    plain = [v.columns[0].text for v in spec.right_variables() if v.kind == "column"]
    for name in dict.fromkeys(plain):
        column = environment.columns[name]
        if not isinstance(column, Factor) or len(column.levels) <= _FEWEST_NUMBERS:
            continue
        most = len(column.levels) // (_FEWEST_NUMBERS + 1)
        strange = (k for k, level in enumerate(column.levels) if not _is_number(level))
        others = list(islice(strange, most + 1))  # thousands of names are not all tried
        if 0 < len(others) <= most:
            found.append(_read_as_text(name, column, others, environment))
    return found


def _is_number(level: object) -> bool:
    try:
        float(level)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return False
    return True


def _read_as_text(
    name: str, column: Factor, others: Sequence[int], environment: Environment
) -> Diagnostic:
    texts = [str(column.levels[k]) for k in others]
    row = int(np.argmax(column.codes == others[0]))
    row = row if environment.rows is None else int(environment.rows[row])
    return Diagnostic(
        "numbers-as-text",
        "warning",
        f"Column {name!r} is text, so that each of its {len(column.levels)} values is a category; "
        f"all but {', '.join(map(repr, texts[:5]))} (first in row {row}) are numbers.",
        "Correct these values or leave them empty, and make the column numeric; where categories "
        f"are meant, write C({name}).",
        {"column": name, "texts": texts, "row": row},
    )
