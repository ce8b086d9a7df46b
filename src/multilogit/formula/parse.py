"""A formula's text to its structure: response, fixed terms, bars, offsets.

The language is R's (Wilkinson & Rogers 1973; lme4's bars), with Python's ``**`` for ``^``::

    response ~ a + b*c + I(x^2) + offset(z) + (1 + x | g) + (1 | a/b)

Terms are expanded as ``terms.formula`` of R does: a term is a set of variables, kept as the
bits of an integer, and terms are ordered by degree, then by appearance.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from multilogit.errors import FormulaError
from multilogit.formula.limits import MAX_POWER, MAX_TERMS
from multilogit.formula.safety import Apply, Checked, canonical, checked, column_names
from multilogit.formula.syntax import (
    Binary,
    Call,
    Group,
    Name,
    Node,
    Number,
    Parser,
    Sum,
    Text,
    Unary,
    ungrouped,
)

INTERCEPT = "(Intercept)"


@dataclass(frozen=True, slots=True)
class Variable:
    """One factor of the terms: a column, or a function of columns.

    Attributes
    ----------
    name
        As the user wrote it.
    key
        Without spaces, powers spelt ``^``: two variables of the same key are the same.
    node
        The checked expression.
    columns
        The columns that it reads.
    """

    name: str
    key: str
    node: Checked
    columns: tuple[Name, ...]


@dataclass(frozen=True, slots=True)
class Terms:
    """A sum of terms: bit k of a term stands for ``variables[k]``."""

    variables: tuple[Variable, ...]
    terms: tuple[int, ...]
    intercept: bool

    def names(self) -> tuple[str, ...]:
        """The terms as R labels them, e.g. ``"age:urban"``."""
        return tuple(":".join(v.name for v in self.members(term)) for term in self.terms)

    def members(self, term: int) -> tuple[Variable, ...]:
        """The variables of a term, in order of appearance in the formula."""
        return tuple(self.variables[k] for k in bits(term))


def bits(term: int) -> list[int]:
    """The variables of a term, by number."""
    found = []
    while term:
        lowest = term & -term
        found.append(lowest.bit_length() - 1)
        term ^= lowest
    return found


@dataclass(frozen=True, slots=True)
class GroupFactor:
    """A grouping factor: one column, or the combination of several (``a:b``)."""

    name: str
    columns: tuple[Name, ...]


@dataclass(frozen=True, slots=True)
class Bar:
    """``(terms | group)``; ``a/b`` on the right has become two bars, ``a`` and ``a:b``."""

    terms: Terms
    group: GroupFactor
    correlated: bool
    start: int


@dataclass(frozen=True, slots=True)
class ResponseSpec:
    """The left-hand side: one expression, or the columns of ``cbind()``."""

    name: str
    parts: tuple[Variable, ...]
    bound: bool
    start: int


@dataclass(frozen=True, slots=True)
class FormulaSpec:
    """A parsed formula. Plain and hashable: nothing in it depends on data."""

    text: str
    response: ResponseSpec
    fixed: Terms
    bars: tuple[Bar, ...]
    offsets: tuple[Variable, ...]

    def right_columns(self) -> tuple[Name, ...]:
        """Columns that fixed terms, effects and offsets read (not the grouping factors)."""
        variables = [*self.fixed.variables, *self.offsets]
        for bar in self.bars:
            variables += bar.terms.variables
        return tuple(column for v in variables for column in v.columns)

    def group_columns(self) -> tuple[Name, ...]:
        """Columns that grouping factors read."""
        return tuple(column for bar in self.bars for column in bar.group.columns)


@lru_cache(maxsize=256)
def parse(formula: str, dot: tuple[str, ...] | None = None) -> FormulaSpec:
    """Parse and check a two-sided formula.

    Parameters
    ----------
    formula
        The text.
    dot
        The columns that ``.`` stands for; None where they are not known.

    Raises
    ------
    FormulaError
        Syntax, an unknown function, or a formula beyond the limits of :mod:`.limits`; it
        points at the token.
    """
    parser = Parser(formula)
    if parser.next.kind == "end":
        raise FormulaError("The formula is empty. Write: response ~ terms.")
    if parser.at("~"):
        raise parser.error("The left-hand side is missing. Write: response ~ terms.")
    left = parser.expression()
    parser.take("~")
    right = parser.expression()
    rest = parser.next
    if rest.kind != "end":
        raise parser.error(f"Unexpected {parser.shown(rest)}.")
    builder = _Builder(formula, dot)
    response = builder.response(left)
    fixed, bars, offsets = builder.right_side(right)
    for variable in fixed.variables:
        if not response.bound and variable.key == response.parts[0].key:
            raise FormulaError(
                f"{variable.name!r} is on both sides.", formula, variable.columns[0].start
            )
    return FormulaSpec(formula, response, fixed, bars, offsets)


@lru_cache(maxsize=256)
def has_dot(formula: str) -> bool:
    """Whether ``.`` (all other columns) occurs in a formula."""
    return "." in formula and any(
        token.kind == "name" and token.text == "." for token in Parser(formula).tokens
    )


class _Builder:
    """Turns the two sides of one formula into their parts."""

    def __init__(self, formula: str, dot: tuple[str, ...] | None) -> None:
        self.formula = formula
        self.dot = dot

    def error(self, message: str, node: Node) -> FormulaError:
        return FormulaError(message, self.formula, node.start)

    def variable(self, node: Node) -> Variable:
        expression = checked(node, self.formula)
        columns = tuple(column_names(expression))
        if isinstance(expression, Name):
            return Variable(expression.text, f"`{expression.text}`", expression, columns)
        if not columns:
            raise self.error("A term must read at least one column.", node)
        name = " ".join(self.formula[node.start : node.end].split())
        return Variable(name, canonical(self.formula, node.start, node.end), expression, columns)

    def response(self, node: Node) -> ResponseSpec:
        name = " ".join(self.formula[node.start : node.end].split())
        if isinstance(node, Call) and node.function == "cbind":
            if len(node.arguments) < 2 or node.keywords:
                raise self.error("cbind() needs two or more columns of counts.", node)
            parts = tuple(self.variable(argument) for argument in node.arguments)
            return ResponseSpec(name, parts, True, node.start)
        variable = self.variable(node)
        if isinstance(variable.node, Name):
            name = variable.name
        return ResponseSpec(name, (variable,), False, node.start)

    def right_side(self, node: Node) -> tuple[Terms, tuple[Bar, ...], tuple[Variable, ...]]:
        parts = node.parts if isinstance(node, Sum) else (("+", node),)
        expansion = _Expansion(self)
        bars: list[Bar] = []
        offsets: list[Variable] = []
        terms: list[int] = []
        for sign, part in parts:
            if isinstance(part, Binary) and part.op in ("|", "||"):
                raise self.error("Put bars in parentheses: (1 | group).", part)
            bar = ungrouped(part)
            if isinstance(bar, Binary) and bar.op in ("|", "||"):
                self.only_added(sign, part, "A bar")
                bars += self.bars(bar)
            elif isinstance(part, Call) and part.function == "offset":
                self.only_added(sign, part, "An offset")
                offsets.append(self.offset(part))
            else:
                terms = expansion.add(terms, sign, part)
        fixed = expansion.finish(terms)
        if not fixed.terms and not fixed.intercept:
            raise self.error("The model has no fixed effects; keep at least the intercept.", node)
        self.no_effect_twice(bars)
        return fixed, tuple(bars), tuple(offsets)

    def only_added(self, sign: str, node: Node, what: str) -> None:
        if sign != "+":
            raise self.error(f"{what} can be added, but not taken away.", node)

    def offset(self, node: Call) -> Variable:
        if len(node.arguments) != 1 or node.keywords:
            raise self.error("offset() takes one argument.", node)
        return self.variable(node.arguments[0])

    def bars(self, node: Binary) -> list[Bar]:
        expansion = _Expansion(self)
        inner = node.left.parts if isinstance(node.left, Sum) else (("+", node.left),)
        found: list[int] = []
        for sign, part in inner:
            found = expansion.add(found, sign, part)
        terms = expansion.finish(found)
        if not terms.terms and not terms.intercept:
            raise self.error("This bar has no effects.", node.left)
        correlated = node.op == "|"
        return [Bar(terms, g, correlated, node.start) for g in self.groups(node.right)]

    def groups(self, node: Node) -> list[GroupFactor]:
        """``g``, ``a:b``, and ``a/b``, which is ``a`` and ``a:b``."""
        node = ungrouped(node)
        if isinstance(node, Call):
            expression = checked(node, self.formula)
            if isinstance(expression, Apply) and expression.function in ("C", "factor"):
                expression = expression.arguments[0]  # a grouping factor is one anyway
            if isinstance(expression, Name):
                return [GroupFactor(expression.text, (expression,))]
        if isinstance(node, Name):
            return [GroupFactor(node.text, (node,))]
        if isinstance(node, Binary) and node.op in (":", "/"):
            left, right = self.groups(node.left), self.groups(node.right)
            outer = left[-1]
            crossed = [
                GroupFactor(f"{outer.name}:{r.name}", outer.columns + r.columns) for r in right
            ]
            if node.op == "/":
                return left + crossed
            if len(left) == len(right) == 1:
                return crossed
        raise self.error(
            "A grouping factor is a column, a combination a:b, or nested factors a/b.", node
        )

    def no_effect_twice(self, bars: list[Bar]) -> None:
        seen: set[tuple[str, str]] = set()
        for bar in bars:
            effects = [INTERCEPT] if bar.terms.intercept else []
            for effect in effects + list(bar.terms.names()):
                if (bar.group.name, effect) in seen:
                    raise FormulaError(
                        f"The effect {effect!r} of group {bar.group.name!r} is in two bars; "
                        "leave it out of one, e.g. (0 + x | group).",
                        self.formula,
                        bar.start,
                    )
                seen.add((bar.group.name, effect))


class _Expansion:
    """Expands one sum of terms; terms are ordered lists of bit sets."""

    def __init__(self, builder: _Builder) -> None:
        self.builder = builder
        self.formula = builder.formula
        self.variables: dict[str, tuple[int, Variable]] = {}
        self.intercept = True

    def error(self, message: str, node: Node) -> FormulaError:
        return FormulaError(message, self.formula, node.start)

    def finish(self, terms: list[int]) -> Terms:
        ordered = sorted(terms, key=int.bit_count)  # stable: ties keep their order
        every = 0
        for term in terms:
            every |= term
        used = {bit: k for k, (bit, _) in enumerate(self.variables.values()) if every & bit}
        if len(used) < len(self.variables):  # a term was taken away, with its variable
            used = {bit: k for k, bit in enumerate(used)}
            ordered = [sum(1 << k for bit, k in used.items() if term & bit) for term in ordered]
        variables = tuple(v for bit, v in self.variables.values() if bit in used)
        return Terms(variables, tuple(ordered), self.intercept)

    def add(self, terms: list[int], sign: str, node: Node) -> list[int]:
        """``terms + node`` or ``terms - node``."""
        bare = ungrouped(node)
        if isinstance(bare, Unary) and bare.op in "+-" and isinstance(bare.operand, Number):
            sign = "-" if (sign == "-") != (bare.op == "-") else "+"
            bare = bare.operand
        if isinstance(bare, Number):
            self.set_intercept(sign, bare)
            return terms
        before = self.intercept
        more = self.expand(node)
        if sign == "-":
            self.intercept = before
            gone = set(more)
            return [term for term in terms if term not in gone]
        return self.unique(terms + more, node)

    def set_intercept(self, sign: str, node: Number) -> None:
        if node.value not in (0, 1):
            raise self.error("Among the terms, only the numbers 0 and 1 have a meaning.", node)
        self.intercept = (node.value == 1) == (sign == "+")

    def unique(self, terms: list[int], node: Node) -> list[int]:
        terms = list(dict.fromkeys(terms))
        if len(terms) > MAX_TERMS:
            raise self.error(f"The formula expands to more than {MAX_TERMS:,} terms.", node)
        return terms

    def expand(self, node: Node) -> list[int]:
        """The terms of an expression."""
        if isinstance(node, Group):
            return self.expand(node.inner)
        if isinstance(node, Sum):
            terms: list[int] = []
            for sign, part in node.parts:
                terms = self.add(terms, sign, part)
            return terms
        if isinstance(node, Unary) and node.op == "+":
            return self.expand(node.operand)
        if isinstance(node, Binary):
            return self.expand_binary(node)
        if isinstance(node, Name) and node.text == "." and not node.quoted:
            return self.expand_dot(node)
        if isinstance(node, (Name, Call)):
            return [self.bit(self.builder.variable(node))]
        if isinstance(node, (Number, Text)):
            what = "A number" if isinstance(node, Number) else "A text"
            raise self.error(f"{what} is not a term.", node)
        raise self.error("This is not a term; wrap arithmetic in I( ).", node)

    def expand_binary(self, node: Binary) -> list[int]:
        if node.op in ("|", "||"):
            raise self.error("A bar must be a term of its own, in parentheses.", node)
        if node.op == "^":
            return self.power(node)
        if node.op not in ("*", ":", "/", "%in%"):
            raise self.error(f"{node.op!r} is arithmetic; wrap it in I( ).", node)
        left, right = self.expand(node.left), self.expand(node.right)
        if node.op == "/":
            # a/b: b within every combination of the variables on the left
            outer = 0
            for term in left:
                outer |= term
            return self.unique(left + [outer | term for term in right], node)
        if len(left) * len(right) > MAX_TERMS:
            raise self.error(f"The formula expands to more than {MAX_TERMS:,} terms.", node)
        products = [a | b for a in left for b in right]
        return self.unique(left + right + products if node.op == "*" else products, node)

    def power(self, node: Binary) -> list[int]:
        """``(a + b)^k``: all interactions of up to k of the terms."""
        exponent = ungrouped(node.right)
        if not isinstance(exponent, Number) or exponent.value not in range(1, MAX_POWER + 1):
            raise self.error(
                f"The power of terms must be an integer from 1 to {MAX_POWER}; for the power of "
                "a number write I(x^2).",
                node.right,
            )
        base = self.expand(node.left)
        terms = base
        for _ in range(int(exponent.value) - 1):
            if len(terms) * len(base) > 10 * MAX_TERMS:
                raise self.error(f"The formula expands to more than {MAX_TERMS:,} terms.", node)
            terms = self.unique(terms + [a | b for a in terms for b in base], node)
        return terms

    def expand_dot(self, node: Name) -> list[int]:
        if self.builder.dot is None:
            raise self.error("'.' cannot be expanded here.", node)
        columns = (Name(text, node.start, node.end, quoted=True) for text in self.builder.dot)
        return [self.bit(self.builder.variable(column)) for column in columns]

    def bit(self, variable: Variable) -> int:
        """The bit of a variable, which is noted if it is new."""
        return self.variables.setdefault(variable.key, (1 << len(self.variables), variable))[0]
