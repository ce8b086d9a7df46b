"""A formula's text to its structure: response, fixed terms, bars, offsets.

The language is R's (Wilkinson & Rogers 1973; lme4's bars), with Python's ``**`` for ``^``::

    response ~ a + b*c + I(x^2) + offset(z) + (1 + x | g) + (1 | a/b)

The two sides, the bars and the offsets are found here; formulaic's parser expands the terms, but
for plain sums of columns, which need no expansion (nor the import of formulaic).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple, NoReturn

from multilogit.errors import FormulaError
from multilogit.formula.bridge import expand
from multilogit.formula.limits import MAX_POWER
from multilogit.formula.safety import check
from multilogit.formula.spec import (
    INTERCEPT,
    Bar,
    FormulaSpec,
    GroupFactor,
    Name,
    ResponseSpec,
    Terms,
    Variable,
)
from multilogit.formula.tokens import Token, brackets, tokenize

_FACTORS = ("*", "/", ":", "^", "**", "%in%")
_POWERS = tuple(map(str, range(1, MAX_POWER + 1)))


@lru_cache(maxsize=256)
def parse(formula: str) -> FormulaSpec:
    """Parse and check a two-sided formula.

    Parameters
    ----------
    formula
        The text. ``.`` is read as the name of a column.

    Raises
    ------
    FormulaError
        Syntax, an unknown function, or a formula beyond the limits of :mod:`.limits`; it
        points at the token.
    """
    reader = _Reader(formula)
    end = len(reader.tokens) - 1
    if not end:
        raise FormulaError("The formula is empty. Write: response ~ terms.")
    tildes = reader.find(0, end, "~")
    if not tildes:
        reader.error("Expected '~': write response ~ terms.", end)
    if len(tildes) > 1:
        reader.error("Unexpected '~'.", tildes[1])
    if tildes[0] == 0:
        reader.error("The left-hand side is missing. Write: response ~ terms.", 0)
    response = reader.response(0, tildes[0])
    fixed, bars, offsets = reader.right_side(tildes[0] + 1, end)
    spec = FormulaSpec(formula, response, fixed, bars, offsets)
    _refuse_response_on_the_right(spec)
    return spec


def _refuse_response_on_the_right(spec: FormulaSpec) -> None:
    if spec.response.bound:
        return
    response = spec.response.parts[0]
    for variable in spec.right_variables():
        if variable.key == response.key:
            what = f"{variable.name!r} is on both sides."
            raise FormulaError(what, spec.text, variable.columns[0].start)
    for column in spec.group_columns():
        if response.kind == "column" and column.text == response.columns[0].text:
            raise FormulaError(
                f"The grouping factor {column.text!r} is the response itself, which its random "
                "effects would predict without error. Group by what the rows have in common.",
                spec.text,
                column.start,
            )


class _Unit(NamedTuple):
    """A piece of a sum of terms: a token, or the variable that several tokens stand for."""

    token: Token
    variable: Variable | None = None


class _Reader:
    """Finds the parts of one formula; ``i, j`` are the tokens from i to before j."""

    def __init__(self, formula: str) -> None:
        self.formula = formula
        self.tokens = tokenize(formula)
        self.closing = brackets(self.tokens, formula)

    def error(self, what: str, k: int) -> NoReturn:
        raise FormulaError(what, self.formula, self.tokens[k].start)

    def find(self, i: int, j: int, *operators: str) -> list[int]:
        """Where these operators stand outside of brackets."""
        found = []
        while i < j:
            found += [i] * self.tokens[i].is_op(*operators)
            i = self.closing.get(i, i) + 1
        return found

    def split(self, i: int, j: int, *operators: str) -> list[tuple[int, int]]:
        """The ranges between these operators."""
        cuts = self.find(i, j, *operators)
        return list(zip([i, *(k + 1 for k in cuts)], [*cuts, j], strict=True))

    def is_call(self, i: int, j: int, *functions: str) -> bool:
        """Whether the range is one call of one of these functions."""
        named = i < j and self.tokens[i].kind == "name" and self.tokens[i].text in functions
        return named and self.closing.get(i + 1) == j - 1

    def unwrapped(self, i: int, j: int) -> tuple[int, int]:
        """The range without parentheses around it."""
        while i < j and self.tokens[i].is_op("(") and self.closing[i] == j - 1:
            i, j = i + 1, j - 1
        return i, j

    def shown(self, i: int, j: int) -> str:
        """The text of a range, as the user wrote it."""
        return " ".join(self.formula[self.tokens[i].start : self.tokens[j - 1].end].split())

    def variable(self, i: int, j: int) -> Variable:
        """The variable that a range stands for: ``x``, ``log(x)``, ``{x + z}``."""
        if i >= j:
            self.error("An expression is expected here.", i)
        tokens, name = self.tokens[i:j], self.shown(i, j)
        if tokens[0].is_op("{") and self.closing[i] == j - 1 and j - i > 2:
            tokens = tokens[1:-1]
        return check(self.formula, tokens, name)

    def expression(self, i: int, j: int) -> Variable:
        """An expression outside of the terms."""
        variable = self.variable(i, j)
        if variable.kind == "transform":
            self.error("What learns from the data (splines, scaling) must be among the terms.", i)
        return variable

    def response(self, i: int, j: int) -> ResponseSpec:
        self.no_bar_on_the_left(i, j)
        if self.is_call(i, j, "cbind"):
            parts = [self.expression(*part) for part in self.split(i + 2, j - 1, ",")]
            if len(parts) < 2:
                self.error("cbind() needs two or more columns of counts.", i)
            return ResponseSpec(self.shown(i, j), tuple(parts), True)
        variable = self.expression(i, j)
        return ResponseSpec(variable.name, (variable,), False)

    def no_bar_on_the_left(self, i: int, j: int) -> None:
        """Refuse ``(1 | g)`` there; between columns ``|`` is "or"."""
        for k in range(i, j):
            number = self.tokens[k].is_op("(") and self.tokens[k + 1].text in ("0", "1")
            if number and self.find(k + 1, self.closing[k], "|", "||"):
                self.error("Random effects belong on the right-hand side, after '~'.", k)

    def right_side(self, i: int, j: int) -> tuple[Terms, tuple[Bar, ...], tuple[Variable, ...]]:
        if self.find(i, j, "|", "||"):
            self.error("Put bars in parentheses: (1 | group).", i)
        kept: list[_Unit] = []
        bars: list[Bar] = []
        offsets: list[Variable] = []
        for sign, a, b in self.pieces(i, j):
            minus, inner = any(token.text == "-" for token in sign), self.unwrapped(a, b)
            bar, offset = bool(self.find(*inner, "|", "||")), self.is_call(a, b, "offset")
            if minus and (bar or offset):
                self.error("A bar or an offset can be added, but not taken away.", a)
            if bar:
                bars += self.bars(*inner)
            elif offset:
                offsets.append(self.expression(a + 2, b - 1))
            else:
                kept += [*map(_Unit, sign), *self.units(*((a, b) if minus else inner))]
        fixed = self.terms(kept, j) if kept or not bars + offsets else Terms((), True)
        if not fixed.terms and not fixed.intercept:
            self.error("The model has no fixed effects; keep at least the intercept.", i)
        self.no_effect_twice(bars)
        return fixed, tuple(bars), tuple(offsets)

    def pieces(self, i: int, j: int) -> Iterator[tuple[list[Token], int, int]]:
        """``a + b - c``: the sign (if there is one) and the range of each."""
        cuts = [k for k in self.find(i, j, "+", "-") if k == i or not self.is_operator(k - 1)]
        if i not in cuts:
            yield [], i, min([*cuts, j])
        for k, end in pairwise([*cuts, j]):
            yield [self.tokens[k]], k + 1, end

    def is_operator(self, k: int) -> bool:
        return self.tokens[k].kind == "op" and not self.tokens[k].is_op(")", "]", "}")

    # --- bars ---

    def bars(self, i: int, j: int) -> list[Bar]:
        middle, *more = self.find(i, j, "|", "||")
        if more:
            self.error(f"Unexpected {self.tokens[more[0]].text!r}.", more[0])
        terms = self.terms(list(self.units(i, middle)), middle)
        if not terms.terms and not terms.intercept:
            self.error("This bar has no effects.", i)
        correlated, start = self.tokens[middle].text == "|", self.tokens[i].start
        groups = self.groups(*self.unwrapped(middle + 1, j))
        return [Bar(terms, group, correlated, start) for group in groups]

    def groups(self, i: int, j: int) -> Iterator[GroupFactor]:
        """``g``, ``a:b``, and ``a/b``, which is ``a`` and ``a:b``."""
        columns: tuple[Name, ...] = ()
        for outer in self.split(i, j, "/"):
            for a, b in self.split(*outer, ":"):
                made = b - a == 4 and self.is_call(a, b, "C", "factor")  # it is a factor anyway
                variable = self.variable(a, b) if made or b - a == 1 else None
                if variable is None:
                    what = "A grouping factor is a column, a combination a:b, or nested a/b."
                    self.error(what, i)
                columns += variable.columns
            yield GroupFactor(":".join(column.text for column in columns), columns)

    def no_effect_twice(self, bars: Sequence[Bar]) -> None:
        seen: set[tuple[str, str]] = set()
        for bar in bars:
            for effect in [*[INTERCEPT] * bar.terms.intercept, *bar.terms.names()]:
                if (bar.group.name, effect) in seen:
                    what = f"The effect {effect!r} of group {bar.group.name!r} is in two bars; "
                    what += "leave it out of one, e.g. (0 + x | group)."
                    raise FormulaError(what, self.formula, bar.start)
                seen.add((bar.group.name, effect))

    # --- sums of terms ---

    def units(self, i: int, j: int) -> Iterator[_Unit]:
        """The pieces of a sum of terms."""
        while i < j:
            token, end = self.tokens[i], i + 1
            self.check_unit(token, i)
            if token.kind == "name" and self.tokens[end].is_op("("):
                end = self.closing[end] + 1
            elif token.is_op("{"):
                end = self.closing[i] + 1
            if token.kind in ("name", "quoted") or token.is_op("{"):
                yield _Unit(token, self.variable(i, end))
            else:
                yield _Unit(token)
            i = end

    def check_unit(self, token: Token, k: int) -> None:
        """Refuse what has no meaning among terms."""
        if self.tokens[k - 1].is_op("^", "**"):
            if token.text not in _POWERS:
                what = f"The power of terms must be an integer from 1 to {MAX_POWER};"
                self.error(f"{what} for the power of a number write I(x^2).", k)
        elif token.kind == "string":
            self.error("A text is not a term.", k)
        elif token.kind == "number":
            factor = self.tokens[k - 1].is_op(*_FACTORS) or self.tokens[k + 1].is_op(*_FACTORS)
            if factor or token.text not in ("0", "1"):
                what = "Among the terms, only the numbers 0 and 1 have a meaning: added, or taken"
                self.error(f"{what} away.", k)
        elif token.is_op("|", "||"):
            self.error("A bar must be a term of its own, in parentheses.", k)
        elif token.kind == "op" and not token.is_op("(", ")", "{", "+", "-", *_FACTORS):
            self.error(f"{token.text!r} has no meaning among terms; wrap arithmetic in I( ).", k)

    def terms(self, units: Sequence[_Unit], end: int) -> Terms:
        """The terms of a sum, by degree; the variables of each in order of appearance."""
        if not units:
            self.error("A term is expected here.", end)
        words: dict[tuple[str, str], str] = {}
        variables: dict[str, Variable] = {}
        tokens = []
        for token, variable in units:
            if variable is not None:
                plain = variable.kind == "column" and not variable.name.isidentifier()
                name = f"`{variable.name}`" if plain else variable.name
                word = words.setdefault(variable.key, name)
                variables.setdefault(word, variable)
                token = token._replace(kind="name", text=word)
            tokens.append(token)
        pattern = "".join("s" if t.is_op("+", "-") else t.kind[0] for t in tokens)
        expansion = _plain_sum if re.fullmatch("s?n(sn)*", pattern) else expand
        terms, intercept = expansion(tokens, self.formula)
        order = {word: k for k, word in enumerate(variables)}
        made = [tuple(variables[w] for w in sorted(term, key=order.__getitem__)) for term in terms]
        return Terms(tuple(sorted(made, key=len)), intercept)


def _plain_sum(tokens: Sequence[Token], _formula: str) -> tuple[list[tuple[str, ...]], bool]:
    """``a + b - c``, which needs no expansion."""
    found: dict[str, None] = {}
    intercept, sign = True, "+"
    for token in tokens:
        if token.kind == "op":
            sign = token.text
        elif token.kind == "number":
            intercept = (token.text == "1") == (sign == "+")
        elif sign == "-":
            found.pop(token.text, None)
        else:
            found[token.text] = None
    return [(word,) for word in found], intercept
