"""The tree of a formula: what :mod:`.parse` makes of the tokens.

One grammar serves the terms (``a * b``, ``(1 + x | g)``) and the arithmetic inside functions
(``I(a * b)``); what an operator means depends on where it stands.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from multilogit.errors import FormulaError
from multilogit.formula.limits import MAX_DEPTH
from multilogit.formula.tokens import Token, tokenize

Option = float | str | bool | None | tuple["Option", ...]


@dataclass(frozen=True, slots=True)
class Name:
    """A column of the data (or, where an option is expected, a listed contrast)."""

    text: str
    start: int
    end: int
    quoted: bool = False
    depth: int = 1


@dataclass(frozen=True, slots=True)
class Number:
    """A literal number."""

    value: float
    start: int
    end: int
    depth: int = 1


@dataclass(frozen=True, slots=True)
class Text:
    """A literal text: a level, or the value of an option."""

    text: str
    start: int
    end: int
    depth: int = 1


@dataclass(frozen=True, slots=True)
class Unary:
    """``-x``, ``+x`` or ``!x``."""

    op: str
    operand: Node
    start: int
    end: int
    depth: int


@dataclass(frozen=True, slots=True)
class Binary:
    """``left op right``; ``**`` is spelt ``^``."""

    op: str
    left: Node
    right: Node
    start: int
    end: int
    depth: int


@dataclass(frozen=True, slots=True)
class Sum:
    """``a + b - c``, flat however long: pairs of sign and part."""

    parts: tuple[tuple[str, Node], ...]
    start: int
    end: int
    depth: int


@dataclass(frozen=True, slots=True)
class Group:
    """``(inner)``."""

    inner: Node
    start: int
    end: int
    depth: int


@dataclass(frozen=True, slots=True)
class Sequence:
    """``[a, b]``: a list of options."""

    items: tuple[Node, ...]
    start: int
    end: int
    depth: int


@dataclass(frozen=True, slots=True)
class Call:
    """``function(arguments, keyword=value)``."""

    function: str
    arguments: tuple[Node, ...]
    keywords: tuple[tuple[str, Node], ...] = field(default=())
    start: int = 0
    end: int = 0
    depth: int = 1


Node = Name | Number | Text | Unary | Binary | Sum | Group | Sequence | Call

# Precedences as in R (?Syntax), from loose to tight; ~ is split off before.
_BINARY = {
    "|": 1,
    "||": 1,
    "&": 2,
    "==": 4,
    "!=": 4,
    "<": 4,
    "<=": 4,
    ">": 4,
    ">=": 4,
    "+": 5,
    "-": 5,
    "*": 6,
    "/": 6,
    "//": 6,
    "%": 6,
    "%in%": 7,
    ":": 8,
    "^": 10,
    "**": 10,
}
_NOT = 3
_SUM = 5
_SIGN = 9
_POWER = 10


class Parser:
    """Precedence climbing over the tokens of one formula."""

    def __init__(self, formula: str) -> None:
        self.formula = formula
        self.tokens = tokenize(formula)
        self.place = 0
        self.nesting = 0

    @property
    def next(self) -> Token:
        """The token that comes next."""
        return self.tokens[self.place]

    def error(self, message: str, position: int | None = None) -> FormulaError:
        """An error that points at ``position``, or at the next token."""
        return FormulaError(
            message, self.formula, self.next.start if position is None else position
        )

    def at(self, text: str) -> bool:
        """Whether the next token is the operator ``text``."""
        return self.next.kind == "op" and self.next.text == text

    def take(self, text: str | None = None) -> Token:
        """Consume the next token, which must be the operator ``text`` if that is given."""
        token = self.next
        if text is not None and not self.at(text):
            found = f"found {self.shown(token)}" if token.kind != "end" else "the formula ends"
            raise self.error(f"Expected {text!r}, but {found}.")
        self.place += token.kind != "end"
        return token

    def shown(self, token: Token) -> str:
        """A token as the user wrote it."""
        return repr(self.formula[token.start : token.end])

    def expression(self, lowest: int = 1) -> Node:
        """An expression whose operators bind at least as tightly as ``lowest``."""
        self.nesting += 1
        if self.nesting > MAX_DEPTH:
            raise self.error(f"The formula is nested more than {MAX_DEPTH} deep.")
        left = self.operand()
        while self.next.kind == "op" and _BINARY.get(self.next.text, 0) >= lowest:
            level = _BINARY[self.next.text]
            left = self.sum(left) if level == _SUM else self.binary(left, level)
        self.nesting -= 1
        return left

    def sum(self, first: Node) -> Sum:
        """``first`` and all that is added to it or taken from it."""
        parts = [("+", first)]
        while self.at("+") or self.at("-"):
            sign = self.take().text
            parts.append((sign, self.expression(_SUM + 1)))
        return Sum(tuple(parts), first.start, parts[-1][1].end, self.deeper(*(p for _, p in parts)))

    def binary(self, left: Node, level: int) -> Binary:
        """``left`` and the operator that follows, with its right operand."""
        op = self.take().text
        # A power groups from the right, and its exponent may have a sign.
        right = self.expression(_SIGN if level == _POWER else level + 1)
        spelt = "^" if op == "**" else op
        return Binary(spelt, left, right, left.start, right.end, self.deeper(left, right))

    def operand(self) -> Node:
        """A name, number, text, call, parenthesis, or one with a sign before it."""
        token = self.take()
        if token.kind == "number":
            return Number(float(token.text), token.start, token.end)
        if token.kind == "string":
            return Text(token.text, token.start, token.end)
        if token.kind == "quoted":
            return Name(token.text, token.start, token.end, quoted=True)
        if token.kind == "name":
            if self.at("(") and self.next.start == token.end:
                return self.call(token)
            return Name(token.text, token.start, token.end)
        if token.kind == "op" and token.text in "+-!":
            inner = self.expression(_NOT if token.text == "!" else _SIGN)
            return Unary(token.text, inner, token.start, inner.end, self.deeper(inner))
        if token.kind == "op" and token.text in ("(", "[", "{"):
            return self.enclosed(token)
        if token.kind == "end":
            raise self.error("The formula ends where a term is expected.", token.start)
        raise self.error(f"Unexpected {self.shown(token)}: a term is expected here.", token.start)

    def enclosed(self, opener: Token) -> Node:
        """``(x)``, ``[x, y]`` or ``{x}``, which is ``I(x)``."""
        if opener.text == "[":
            items = self.listed("]")
            end = self.take("]").end
            return Sequence(tuple(items), opener.start, end, self.deeper(*items))
        inner = self.expression()
        end = self.take(")" if opener.text == "(" else "}").end
        if opener.text == "{":
            return Call("I", (inner,), (), opener.start, end, self.deeper(inner))
        return Group(inner, opener.start, end, self.deeper(inner))

    def call(self, name: Token) -> Call:
        """The arguments of a function call."""
        self.take("(")
        arguments: list[Node] = []
        keywords: list[tuple[str, Node]] = []
        while not self.at(")"):
            following = self.tokens[self.place + 1] if self.next.kind == "name" else None
            if following is not None and following.kind == "op" and following.text == "=":
                key = self.take().text
                self.take("=")
                keywords.append((key, self.expression()))
            elif keywords:
                raise self.error("An argument without a name follows one with a name.")
            else:
                arguments.append(self.expression())
            self.separator(")")
        end = self.take(")").end
        depth = self.deeper(*arguments, *(node for _, node in keywords))
        return Call(name.text, tuple(arguments), tuple(keywords), name.start, end, depth)

    def listed(self, closer: str) -> list[Node]:
        """Expressions separated by commas."""
        items: list[Node] = []
        while not self.at(closer):
            items.append(self.expression())
            self.separator(closer)
        return items

    def separator(self, closer: str) -> None:
        """Consume a comma, unless the list ends here."""
        if self.at(","):
            self.take()
        elif not self.at(closer):
            found = self.shown(self.next) if self.next.kind != "end" else "the end"
            raise self.error(f"Expected ',' or {closer!r}, but found {found}.")

    def deeper(self, *nodes: Node) -> int:
        """Depth of a node over ``nodes``; bounded, because trees are walked recursively."""
        depth = 1 + max((node.depth for node in nodes), default=0)
        if depth > MAX_DEPTH:
            raise self.error(f"The formula is nested more than {MAX_DEPTH} deep.")
        return depth


def children(node: Node) -> Iterator[Node]:
    """The nodes directly under ``node``."""
    if isinstance(node, Unary):
        yield node.operand
    elif isinstance(node, Binary):
        yield node.left
        yield node.right
    elif isinstance(node, Sum):
        yield from (part for _, part in node.parts)
    elif isinstance(node, Group):
        yield node.inner
    elif isinstance(node, Sequence):
        yield from node.items
    elif isinstance(node, Call):
        yield from node.arguments
        yield from (value for _, value in node.keywords)


def ungrouped(node: Node) -> Node:
    """The node without the parentheses around it."""
    while isinstance(node, Group):
        node = node.inner
    return node
