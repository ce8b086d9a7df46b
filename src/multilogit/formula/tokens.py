"""Text to tokens, each with its place in the text, and the brackets among them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from multilogit.errors import FormulaError
from multilogit.formula.limits import MAX_DEPTH, MAX_LENGTH

_TOKEN = re.compile(
    r"""
      (?P<space>  \s+ )
    | (?P<number> (?: [0-9]+\.?[0-9]* | \.[0-9]+ ) (?: [eE][+-]?[0-9]+ )? )
    | (?P<quoted> `[^`]+` | Q\(\s* (?: "[^"'\\]+" | '[^"'\\]+' ) \s*\) )
    | (?P<name>   (?: [^\W\d] | \. ) [\w.]* )
    | (?P<string> "[^"'\\]*" | '[^"'\\]*' )
    | (?P<op>     \*\* | \|\| | %in% | == | != | <= | >= | // | [-+*/^:~|&<>=!%,()\[\]{}] )
    """,
    re.VERBOSE,
)
_CLOSERS = {"(": ")", "[": "]", "{": "}"}


class Token(NamedTuple):
    """``text`` is without quotes; ``start:end`` is the place in the formula."""

    kind: str
    text: str
    start: int
    end: int

    def is_op(self, *texts: str) -> bool:
        """Whether this is one of these operators."""
        return self.kind == "op" and self.text in texts


def tokenize(formula: str) -> list[Token]:
    """All tokens of a formula, and one of kind ``"end"``.

    Raises
    ------
    FormulaError
        Too long a text, an open quote, a character without meaning in a formula.
    """
    if len(formula) > MAX_LENGTH:
        raise FormulaError(
            f"The formula has {len(formula):,} characters; at most {MAX_LENGTH:,} are allowed."
        )
    tokens: list[Token] = []
    position = 0
    while position < len(formula):
        match = _TOKEN.match(formula, position)
        if match is None:
            character = formula[position]
            what = f"{character!r} has no meaning in a formula."
            if character in "`'\"":
                what = "This quote is never closed (or what it encloses has a quote or backslash)."
            raise FormulaError(what, formula, position)
        kind, text = str(match.lastgroup), match.group()
        if kind != "space":
            if kind in ("quoted", "string"):
                text = re.sub(r"^Q\(\s*|\s*\)$", "", text)[1:-1]
            tokens.append(Token(kind, text, position, match.end()))
        position = match.end()
    return [*tokens, Token("end", "", len(formula), len(formula))]


def brackets(tokens: Sequence[Token], formula: str) -> dict[int, int]:
    """The number of the closing bracket by that of the opening one.

    Raises
    ------
    FormulaError
        A bracket is missing, of another kind, or too deep.
    """
    closing: dict[int, int] = {}
    opened: list[int] = []
    for k, token in enumerate(tokens):
        expected = _CLOSERS[tokens[opened[-1]].text] if opened else ""
        if token.is_op("(", "[", "{"):
            opened.append(k)
            if len(opened) > MAX_DEPTH:
                what = f"The formula is nested more than {MAX_DEPTH} deep."
                raise FormulaError(what, formula, token.start)
        elif token.is_op(expected):
            closing[opened.pop()] = k
        elif token.is_op(")", "]", "}") or (opened and token.kind == "end"):
            found = f"found {token.text!r}" if token.text else "the formula ends"
            what = (
                f"Expected {expected!r}, but {found}."
                if expected
                else f"Unexpected {token.text!r}."
            )
            raise FormulaError(what, formula, token.start)
    return closing
