"""Numbers as R prints them: common decimals in a column, significant digits, p-values."""

from __future__ import annotations

import math
from collections.abc import Sequence

EPSILON = 2.220446049250313e-16
"""Smaller p-values are printed as ``<2e-16``."""


def _digits_needed(x: float, digits: int) -> tuple[int, int]:
    """Significant digits (at most ``digits``) and decimal exponent that show ``x``."""
    mantissa, _, exponent = f"{abs(x):.{digits - 1}e}".partition("e")
    return len(mantissa.replace(".", "").rstrip("0")) or 1, int(exponent)


def column(values: Sequence[float], digits: int = 4) -> list[str]:
    """Format numbers together: R's ``format(values, digits=)``.

    As many common decimals as the value that needs most of them for ``digits`` significant
    digits; scientific notation where that is narrower. Not finite: ``NA``, ``Inf``, ``-Inf``.
    """
    finite = [float(x) for x in values if math.isfinite(x)]
    needed = [_digits_needed(x, digits) for x in finite]
    decimals = max((max(0, sig - 1 - exponent) for sig, exponent in needed), default=0)
    fixed = [f"{x:.{decimals}f}" for x in finite]
    mantissa = max((sig - 1 for sig, _ in needed), default=0)
    scientific = [f"{x:.{mantissa}e}" for x in finite]
    wide = max(map(len, fixed), default=0) > max(map(len, scientific), default=0)
    shown = iter(scientific if wide else fixed)
    return [next(shown) if math.isfinite(x) else _not_finite(x) for x in values]


def _not_finite(x: float) -> str:
    return "NA" if math.isnan(x) else ("Inf" if x > 0 else "-Inf")


def estimates(
    estimate: Sequence[float], std_error: Sequence[float], digits: int = 4
) -> tuple[list[str], list[str]]:
    """Estimates and standard errors with common decimals, as R's ``printCoefmat``."""
    both = [float(x) for x in (*estimate, *std_error)]
    sizes = [abs(x) for x in both if math.isfinite(x) and x != 0.0]
    smallest = math.floor(math.log10(min(sizes))) + 1 if sizes else 1
    decimals = max(1, digits - smallest)
    rounded = [round(x, decimals) if math.isfinite(x) else x for x in both]
    shown = column(rounded, digits)
    return shown[: len(estimate)], shown[len(estimate) :]


def statistics(values: Sequence[float], digits: int = 4) -> list[str]:
    """Test statistics: three decimals at most."""
    return column([round(x, 3) + 0.0 if math.isfinite(x) else x for x in values], digits)


def p_values(values: Sequence[float], digits: int = 3) -> list[str]:
    """P-values as R's ``format.pval``: large ones and small ones formatted apart."""
    out = ["NA"] * len(values)
    usual = [k for k, p in enumerate(values) if p >= 1e-4]
    small = [k for k, p in enumerate(values) if EPSILON <= p < 1e-4]
    for group in (usual, small):
        for k, text in zip(group, column([values[k] for k in group], digits), strict=True):
            out[k] = text
    for k, p in enumerate(values):
        if p < EPSILON:
            out[k] = "<2e-16"
    return out


def stars(p: float) -> str:
    """Significance code of a p-value, as R's."""
    for limit, code in ((0.001, "***"), (0.01, "**"), (0.05, "*"), (0.1, ".")):
        if p < limit:
            return code
    return ""


STARS_LEGEND = "Signif. codes:  0 '***' 0.001 '**' 0.01 '*' 0.05 '.' 0.1 ' ' 1"


def significant(x: float, digits: int = 5) -> str:
    """One number to ``digits`` significant digits; in scientific notation only if tiny."""
    if not math.isfinite(x):
        return _not_finite(x)
    exponent = math.floor(math.log10(abs(x))) if x else 0
    if exponent < -4:
        return f"{x:.{digits - 1}e}"
    return f"{x:.{max(0, digits - 1 - exponent)}f}"
