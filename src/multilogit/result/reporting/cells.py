"""Tables of a report: cells as texts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from multilogit.page.document import Table
from multilogit.report import numbers

_SYMBOLS = {"NA": "–", "Inf": "∞", "-Inf": "−∞"}


def table(
    header: Sequence[str], columns: Sequence[Sequence[str]], left: int = 1, caption: str = ""
) -> Table:
    """A table from its columns."""
    return Table(tuple(header), tuple(zip(*columns, strict=True)), left, caption)


def texts(values: Iterable[object]) -> list[str]:
    """Names; nothing for what is missing."""
    return ["" if value is None or value != value else str(value) for value in values]


def column(values: Any, digits: int = 4) -> list[str]:
    """Numbers with common decimals; unknown ones are a dash, infinite ones a symbol."""
    shown = numbers.column(np.asarray(values, dtype=float).tolist(), digits)
    return [typeset(text) for text in shown]


def typeset(number: str) -> str:
    """A number as it is printed in a book: a dash where it is not known, ∞, a minus sign."""
    return _SYMBOLS.get(number, number.replace("-", "−"))


def with_error(data: pd.DataFrame) -> list[list[str]]:
    """Estimates, standard errors and intervals, row by row to two digits of the error."""
    named = ["estimate", "se", "lower", "upper"]
    shown = [_to_error(*map(float, row)) for row in data[named].itertuples(index=False)]
    return [list(texts) for texts in zip(*shown, strict=True)]


def _to_error(estimate: float, se: float, low: float, high: float) -> tuple[str, str, str]:
    known = np.isfinite(se) and se > 0.0
    decimals = int(np.clip(1 - np.floor(np.log10(se)), 0, 12)) if known else 3
    a, b, c, d = (
        typeset(f"{x:.{decimals}f}") if np.isfinite(x) else "–" for x in (estimate, se, low, high)
    )
    return a, b, f"{c} to {d}"


def p_values(values: Any) -> list[str]:
    """P-values to three decimals."""
    return ["–" if np.isnan(p) else "<0.001" if p < 0.001 else f"{p:.3f}" for p in values]


def limits(data: pd.DataFrame, low: str = "lower", high: str = "upper") -> list[str]:
    """Intervals; a dash where there is none."""
    low_text, high_text = column(data[low], 3), column(data[high], 3)
    return [
        "–" if a == b == "–" else f"{a} to {b}" for a, b in zip(low_text, high_text, strict=True)
    ]


def percent(share: float) -> str:
    """A share in words."""
    return f"{100 * share:.1f} %"


def count(n: float) -> str:
    """A whole number with thin spaces between thousands."""
    return f"{n:,.10g}".replace(",", "\u202f")


def code(name: object) -> str:
    """A name as code, which has no backtick in it."""
    return "`" + str(name).replace("`", "'") + "`"
