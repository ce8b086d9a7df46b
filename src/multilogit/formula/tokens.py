"""Text to tokens, each with its place in the text."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from multilogit.errors import FormulaError
from multilogit.formula.limits import MAX_LENGTH

Kind = Literal["number", "name", "quoted", "string", "op", "end"]

_TOKEN = re.compile(
    r"""
      (?P<space>  \s+ )
    | (?P<number> (?: \d+\.?\d* | \.\d+ ) (?: [eE][+-]?\d+ )? )
    | (?P<name>   (?: [^\W\d] | \. ) [\w.]* )
    | (?P<quoted> `[^`]*` )
    | (?P<string> "[^"\\]*" | '[^'\\]*' )
    | (?P<op>     \*\* | \|\| | %in% | == | != | <= | >= | // | [-+*/^:~|&<>=!%,()\[\]{}] )
    """,
    re.VERBOSE,
)
_CLOSERS = {"`": "back quote", '"': "double quote", "'": "quote"}


@dataclass(frozen=True, slots=True)
class Token:
    """``text`` is without back quotes or quotes; ``start:end`` is the place in the formula."""

    kind: Kind
    text: str
    start: int
    end: int


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
            raise _unknown_character(formula, position)
        kind: Kind | Literal["space"] = match.lastgroup  # type: ignore[assignment]
        text = match.group()
        if kind in ("quoted", "string"):
            text = text[1:-1]
        if kind != "space":
            tokens.append(Token(kind, text, position, match.end()))
        position = match.end()
    tokens.append(Token("end", "", len(formula), len(formula)))
    return tokens


def _unknown_character(formula: str, position: int) -> FormulaError:
    character = formula[position]
    if character in _CLOSERS:
        return FormulaError(
            f"This {_CLOSERS[character]} is never closed (or the text in it has a backslash).",
            formula,
            position,
        )
    return FormulaError(f"{character!r} has no meaning in a formula.", formula, position)
