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

from multilogit.errors import FormulaError
from multilogit.evaluation import Matrix, Vector

_NUMBER = re.compile(r"(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?")
_SPACE = re.compile(r"\s*")
_WORD = re.compile(r"[^\s=,;+*/()`-]+")


@dataclass(frozen=True, slots=True)
class Hypotheses:
    """Rβ = r.

    Attributes
    ----------
    R
        Shape ``(m, k)``.
    r
        Shape ``(m,)``.
    labels
        m texts, one per row.
    """

    R: Matrix
    r: Vector
    labels: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Linear:
    """weights'β + constant; ``term``: it is a whole term of the formula, which must be 0."""

    weights: Vector
    constant: float
    term: tuple[int, ...] = ()

    @property
    def is_number(self) -> bool:
        return not self.term and not self.weights.any()

    def scaled(self, by: float) -> _Linear:
        return _Linear(by * self.weights, by * self.constant)

    def __add__(self, other: _Linear) -> _Linear:
        return _Linear(self.weights + other.weights, self.constant + other.constant)


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
        R = np.array([row.weights for row in rows])
        r = np.array([-row.constant for row in rows])
        return Hypotheses(R, r, tuple(labels))

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
            unit = np.eye(len(self.names))
            return [
                (_Linear(unit[k], -other.constant), f"{self.names[k]} = {other.constant:g}")
                for k in term.term
            ]
        row = left + right.scaled(-1.0)
        if not row.weights.any():
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
            return _Linear(np.zeros(len(self.names)), 0.0, tuple(members))
        return _Linear(np.eye(len(self.names))[members[0]], 0.0)

    def number(self, value: float) -> _Linear:
        return _Linear(np.zeros(len(self.names)), value)

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
