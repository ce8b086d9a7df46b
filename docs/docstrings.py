"""Docstrings for the site: what is written for a terminal as Markdown.

Roles of Sphinx become code, simple tables of reStructuredText become tables of Markdown.
"""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Any

from griffe import Extension, Object

_ROLE = re.compile(r":(?:meth|class|func|attr|mod|data):`(~?)([\w.]+)`")
_TABLE = re.compile(r"^( *)(=+(?: +=+)+)\n(.*?)\n\1\2$", re.MULTILINE | re.DOTALL)


class Readable(Extension):
    """Rewrites every docstring before it is parsed."""

    def on_object(self, *, obj: Object, **_: Any) -> None:
        """One object of the package."""
        if obj.docstring is not None:
            obj.docstring.value = markdown(obj.docstring.value)


def markdown(text: str) -> str:
    """A docstring as Markdown."""
    return _ROLE.sub(_code, _TABLE.sub(_table, text))


def _code(role: re.Match[str]) -> str:
    short, name = role.groups()
    return f"`{name.rpartition('.')[2] if short else name}`"


def _table(found: re.Match[str]) -> str:
    """Lines whose first column is empty go on with the row before."""
    indent, rule, body = found.groups()
    starts = [mark.start() for mark in re.finditer("=+", rule)]
    rows: list[list[str]] = []
    for line in body.splitlines():
        line = line[len(indent) :]
        cells = [line[a:b].strip() for a, b in pairwise([*starts, None])]
        if cells[0] or not rows:
            rows.append(cells)
        else:
            rows[-1] = [" ".join(filter(None, pair)) for pair in zip(rows[-1], cells, strict=True)]
    lines = ["|" + " |" * len(starts), "|" + "---|" * len(starts)]
    lines += ["| " + " | ".join(cell.replace("|", r"\|") for cell in row) + " |" for row in rows]
    return "\n".join(indent + line for line in lines)
