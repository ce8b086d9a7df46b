"""Formulas: ``response ~ terms + (effects | group)`` to columns, and back for new data."""

from multilogit.formula.design import Design, Learnt, NewColumns, Variables
from multilogit.formula.frame import build_frame
from multilogit.formula.parse import parse
from multilogit.formula.spec import FormulaSpec

__all__ = [
    "Design",
    "FormulaSpec",
    "Learnt",
    "NewColumns",
    "Variables",
    "build_frame",
    "parse",
]
