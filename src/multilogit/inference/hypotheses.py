"""Linear hypotheses as people write them: ``"urban = 0, livch1 = livch2"``.

    hypotheses := equation {("," | ";") equation}
    equation   := sum {"=" sum}                    a sum alone is tested against 0
    sum        := product {("+" | "-") product}
    product    := factor {("*" | "/") factor}      linear: at most one factor is no number
    factor     := number | name | "`" name "`" | "(" sum ")" | ("+" | "-") factor

A name is the longest name of a coefficient that starts where the reader is, so that
``(Intercept)``, ``I(age**2)`` and ``logit[bus] price`` need no quotes; backticks name exactly
what is between them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from multilogit.errors import FormulaError
from multilogit.evaluation import Matrix, Vector

Indices = NDArray[np.intp]

_NUMBER = re.compile(r"(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?")
_SPACE = re.compile(r"\s*")
_WORD = re.compile(r"[^\s=,;+*/()`-]+")


Weights = Mapping[int, float]
"""A row of R without its zeros."""


@dataclass(frozen=True, slots=True)
class Hypotheses:
    """Rβ = r, R without its zeros: a term may have thousands of coefficients.

    Attributes
    ----------
    rows
        m rows of R.
    r
        Shape ``(m,)``.
    labels
        m texts, one per row.
    size
        k, the number of coefficients.
    """

    rows: tuple[Weights, ...]
    r: Vector
    labels: tuple[str, ...]
    size: int

    @property
    def used(self) -> Indices:
        """The coefficients that take part, in order."""
        return np.array(sorted(set().union(*self.rows)), dtype=np.intp)

    @property
    def selected(self) -> Indices | None:
        """Row by row the coefficient that it is about, if each is one, and another one."""
        chosen = [next(iter(row)) for row in self.rows if set(row.values()) == {1.0}]
        alone = all(len(row) == 1 for row in self.rows) and len(set(chosen)) == len(self.rows)
        return np.array(chosen, dtype=np.intp) if alone else None

    def among(self, columns: Indices) -> Matrix:
        """These columns of R, shape ``(m, len(columns))``."""
        place = {k: at for at, k in enumerate(columns.tolist())}
        R = np.zeros((len(self.rows), len(place)))
        for row, weights in zip(R, self.rows, strict=True):
            for k, weight in weights.items():
                row[place[k]] = weight
        return R

    @property
    def R(self) -> Matrix:
        """Shape ``(m, k)``."""
        return self.among(np.arange(self.size))


@dataclass(frozen=True, slots=True)
class _Linear:
    """weights'β + constant; ``term``: it is a whole term of the formula, which must be 0."""

    weights: Weights
    constant: float
    term: tuple[int, ...] = ()

    @property
    def is_number(self) -> bool:
        return not self.term and not self.weights

    def scaled(self, by: float) -> _Linear:
        weights = {k: by * weight for k, weight in self.weights.items()} if by else {}
        return _Linear(weights, by * self.constant)

    def __add__(self, other: _Linear) -> _Linear:
        weights = dict(self.weights)
        for k, weight in other.weights.items():
            weights[k] = weights.get(k, 0.0) + weight
        left = {k: weight for k, weight in weights.items() if weight}
        return _Linear(left, self.constant + other.constant)


def parse(
    text: str, names: Sequence[str], terms: Mapping[str, Sequence[int]] | None = None
) -> Hypotheses:
    """Read linear hypotheses on named coefficients.

    Parameters
    ----------
    text
        As above, such as ``"a = 0, b = c"``, ``"a + 2*b = 1"``, ``"a = b = c"``.
    names
        The k coefficients.
    terms
        Names of terms and the coefficients that belong to them: ``"livch = 0"`` says that all
        of them are 0. A coefficient of the same name goes first.

    Raises
    ------
    FormulaError
        With the position of the token that cannot be read.
    """
    return _Reader(text, names, terms or {}).hypotheses()


class _Reader:
    def __init__(self, text: str, names: Sequence[str], terms: Mapping[str, Sequence[int]]) -> None:
        self.text = text
        self.names = list(names)
        self.terms = terms
        self.known = sorted({*terms, *names}, key=len, reverse=True)
        self.at = 0

    def hypotheses(self) -> Hypotheses:
        rows: list[_Linear] = []
        labels: list[str] = []
        while True:
            for row, label in self.equation():
                rows.append(row)
                labels.append(label)
            if self.peek() == "":
                break
            self.expect(",;", "after an equation comes a comma or the end")
        r = np.array([-row.constant for row in rows])
        weights = tuple(row.weights for row in rows)
        return Hypotheses(weights, r, tuple(labels), len(self.names))

    # -- grammar -------------------------------------------------------------------------

    def equation(self) -> list[tuple[_Linear, str]]:
        """Rows of one equation; a chain a = b = c has two."""
        start = self.skip()
        sides = [(self.sum(), start, self.at)]
        while self.peek() == "=":
            self.at += 1
            if self.peek() == "=":
                self.at += 1
            begin = self.skip()
            sides.append((self.sum(), begin, self.at))
        if len(sides) == 1:
            sides.append((self.number(0.0), self.at, self.at))
        found = []
        for (left, a, b), (right, c, d) in pairwise(sides):
            label = f"{self.text[a:b].strip()} = {self.text[c:d].strip() or '0'}"
            found += self.rows(left, right, label, a)
        return found

    def rows(self, left: _Linear, right: _Linear, label: str, at: int) -> list[tuple[_Linear, str]]:
        """left − right = 0; a term has a row for each of its coefficients."""
        if left.term or right.term:
            term, other = (left, right) if left.term else (right, left)
            if not other.is_number:
                raise self.error("a term can only be compared with a number", at)
            return [
                (_Linear({k: 1.0}, -other.constant), f"{self.names[k]} = {other.constant:g}")
                for k in term.term
            ]
        row = left + right.scaled(-1.0)
        if not row.weights:
            raise self.error("no coefficient is left in this equation", at)
        return [(row, label)]

    def sum(self) -> _Linear:
        total = self.product()
        while (sign := self.sign()) is not None:
            at = self.skip()
            part = self.product()
            if total.term or part.term:
                raise self.whole_term(at)
            total = total + part.scaled(sign)
        return total

    def sign(self) -> float | None:
        token = self.peek()
        if token in ("+", "-"):
            self.at += 1
            return 1.0 if token == "+" else -1.0
        return None

    def product(self) -> _Linear:
        total = self.factor()
        while (operator := self.peek()) in ("*", "/"):
            at = self.at
            self.at += 1
            other = self.factor()
            if operator == "/":
                if not other.is_number or other.constant == 0.0:
                    raise self.error("divide by a number other than 0", at)
                total = self.times(total, 1.0 / other.constant)
            elif other.is_number:
                total = self.times(total, other.constant)
            elif total.is_number:
                total = self.times(other, total.constant)
            else:
                raise self.error("a product of two coefficients is not linear", at)
        return total

    def times(self, linear: _Linear, by: float) -> _Linear:
        if linear.term:
            raise self.whole_term(self.at)
        return linear.scaled(by)

    def factor(self) -> _Linear:
        at = self.skip()
        if (sign := self.sign()) is not None:
            return self.times(self.factor(), sign)
        if self.peek() == "`":
            return self.quoted()
        name = self.name_here()
        if name is not None:
            self.at += len(name)
            return self.named(name)
        if number := _NUMBER.match(self.text, at):
            self.at = number.end()
            return self.number(float(number.group()))
        if self.peek() == "(":
            self.at += 1
            inside = self.sum()
            self.expect(")", "a parenthesis is not closed")
            return inside
        raise self.unknown(at)

    def quoted(self) -> _Linear:
        start = self.at
        end = self.text.find("`", start + 1)
        if end < 0:
            raise self.error("a backtick is not closed", start)
        name = self.text[start + 1 : end]
        if name not in self.known:
            raise self.error(f"there is no coefficient {name!r}; {self.choices()}", start)
        self.at = end + 1
        return self.named(name)

    # -- tokens --------------------------------------------------------------------------

    def name_here(self) -> str | None:
        """The longest name that starts here and ends at the end of a word."""
        for name in self.known:
            if self.text.startswith(name, self.at) and self.ends_at(self.at + len(name), name):
                return name
        return None

    def ends_at(self, end: int, name: str) -> bool:
        """Whether a name may end here: not in the middle of a longer word."""
        following = self.text[end : end + 1]
        return not (following.isalnum() or following in ("_", ".", ":", "[")) or not (
            name[-1].isalnum() or name[-1] in "_."
        )

    def named(self, name: str) -> _Linear:
        """A coefficient, or a term; a term of one coefficient is that coefficient."""
        members = [self.names.index(name)] if name in self.names else list(self.terms[name])
        if len(members) > 1:
            return _Linear({}, 0.0, tuple(members))
        return _Linear({members[0]: 1.0}, 0.0)

    def number(self, value: float) -> _Linear:
        return _Linear({}, value)

    def skip(self) -> int:
        """Move over white space; where that leads."""
        space = _SPACE.match(self.text, self.at)
        assert space is not None
        self.at = space.end()
        return self.at

    def peek(self) -> str:
        self.skip()
        return self.text[self.at : self.at + 1]

    def expect(self, tokens: str, otherwise: str) -> None:
        token = self.peek()
        if not token or token not in tokens:
            raise self.error(otherwise, self.at)
        self.at += 1

    # -- errors --------------------------------------------------------------------------

    def error(self, message: str, at: int) -> FormulaError:
        return FormulaError(f"Hypothesis: {message}.", self.text, at)

    def unknown(self, at: int) -> FormulaError:
        word = _WORD.match(self.text, at)
        if word is None:
            what = "a coefficient or a number is missing here"
            return self.error(what, at)
        return self.error(f"there is no coefficient {word.group()!r}; {self.choices()}", at)

    def whole_term(self, at: int) -> FormulaError:
        return self.error(
            "a term of several coefficients can only stand alone, as in 'term = 0'; name its "
            "coefficients",
            at,
        )

    def choices(self) -> str:
        shown = ", ".join(self.names[:12]) + (", ..." if len(self.names) > 12 else "")
        return f"the model has {shown}"
