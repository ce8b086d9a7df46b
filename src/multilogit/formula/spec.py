"""A parsed formula: plain, hashable values that depend on no data."""

from __future__ import annotations

from itertools import chain
from typing import Literal, NamedTuple

INTERCEPT = "(Intercept)"


class Name(NamedTuple):
    """A column that the formula reads, and where its name stands."""

    text: str
    start: int


class Variable(NamedTuple):
    """One factor of the terms: a column, or a checked expression of columns.

    Attributes
    ----------
    name
        As the user wrote it.
    expression
        Checked Python, in which columns go by their aliases (:func:`.safety.alias`).
    columns
        The columns that it reads.
    kind
        ``"column"``: nothing but a column; ``"factor"``: truth values, or a factor; ``"number"``:
        arithmetic; ``"transform"``: it learns from the data, or has several columns.
    contrast
        How a factor is coded; empty: treatment contrasts.
    width
        At most how many columns a transform makes.
    """

    name: str
    expression: str
    columns: tuple[Name, ...]
    kind: Literal["column", "factor", "number", "transform"]
    contrast: str = ""
    width: int = 1

    @property
    def key(self) -> tuple[str, str]:
        """Variables of the same key are the same."""
        return self.expression, self.contrast


class Terms(NamedTuple):
    """A sum of terms, by degree; a term is the variables that it multiplies."""

    terms: tuple[tuple[Variable, ...], ...]
    intercept: bool

    @property
    def variables(self) -> tuple[Variable, ...]:
        """The different variables."""
        return tuple({v.key: v for v in chain(*self.terms)}.values())

    def names(self) -> tuple[str, ...]:
        """The terms as R labels them, e.g. ``"age:urban"``."""
        return tuple(label(term) for term in self.terms)


def label(term: tuple[Variable, ...]) -> str:
    """A term as R labels it."""
    return ":".join(variable.name for variable in term)


class GroupFactor(NamedTuple):
    """A grouping factor: one column, or the combination of several (``a:b``)."""

    name: str
    columns: tuple[Name, ...]


class Bar(NamedTuple):
    """``(terms | group)``; ``a/b`` on the right has become two bars, ``a`` and ``a:b``."""

    terms: Terms
    group: GroupFactor
    correlated: bool
    start: int


class ResponseSpec(NamedTuple):
    """The left-hand side: one expression, or the columns of ``cbind()``."""

    name: str
    parts: tuple[Variable, ...]
    bound: bool


class FormulaSpec(NamedTuple):
    """A parsed formula."""

    text: str
    response: ResponseSpec
    fixed: Terms
    bars: tuple[Bar, ...]
    offsets: tuple[Variable, ...]

    def right_columns(self) -> tuple[Name, ...]:
        """Columns that fixed terms, effects and offsets read (not the grouping factors)."""
        return tuple(column for v in self.right_variables() for column in v.columns)

    def right_variables(self) -> tuple[Variable, ...]:
        """Variables of fixed terms, effects and offsets."""
        sums = (self.fixed, *(bar.terms for bar in self.bars))
        return tuple(chain(*(terms.variables for terms in sums), self.offsets))

    def group_columns(self) -> tuple[Name, ...]:
        """Columns that grouping factors read."""
        return tuple(column for bar in self.bars for column in bar.group.columns)
