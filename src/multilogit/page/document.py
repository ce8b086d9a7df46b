"""What a page consists of: plain values, in the order in which they are read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Tone = Literal["good", "care", "bad", "note"]


@dataclass(frozen=True, slots=True)
class Text:
    """A paragraph. Text between backticks is code."""

    text: str


@dataclass(frozen=True, slots=True)
class Table:
    """A table of texts.

    Attributes
    ----------
    header
        One name per column.
    rows
        Cells, as many as names.
    left
        So many columns at the left are names, the others numbers.
    caption
        Above the table.
    """

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    left: int = 1
    caption: str = ""


@dataclass(frozen=True, slots=True)
class Facts:
    """Names with a value each. Text between backticks is code."""

    pairs: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture.

    Attributes
    ----------
    svg
        The picture itself.
    alt
        What it shows, for who cannot see it.
    width
        Natural width, CSS pixels.
    """

    svg: bytes
    alt: str
    width: int


@dataclass(frozen=True, slots=True)
class Code:
    """Lines to copy."""

    text: str


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that the reader must know, and what to do about it."""

    tone: Tone
    title: str
    text: str
    remedy: str = ""


Block = Text | Table | Facts | Picture | Code | Finding


@dataclass(frozen=True, slots=True)
class Section:
    """A heading and what stands below it."""

    title: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True, slots=True)
class Page:
    """A page.

    Attributes
    ----------
    title
        Its heading.
    subtitle
        One line below, such as a formula.
    verdict
        The most important sentence, first of all.
    reasons
        Why.
    sections
        The rest.
    footer
        The last line.
    """

    title: str
    subtitle: str
    verdict: Finding
    reasons: tuple[Block, ...]
    sections: tuple[Section, ...]
    footer: str
