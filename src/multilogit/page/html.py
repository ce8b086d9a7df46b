"""A page as HTML. Every text is escaped; nothing is loaded, and nothing is executed."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Sequence
from html import escape
from typing import Any

from multilogit.page.css import STYLE
from multilogit.page.document import (
    Block,
    Code,
    Facts,
    Finding,
    Page,
    Picture,
    Section,
    Table,
    Text,
)

_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
"""Even a text that escaped escaping could load and run nothing."""
_CODE = re.compile(r"`([^`]+)`")
_UNSEEN = re.compile(
    r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]"
)
"""Characters that HTML forbids, and marks that turn the direction of what follows."""


def safe(text: str) -> str:
    """A text as HTML shows it, whatever is in it."""
    return escape(_UNSEEN.sub("\ufffd", text), quote=True)


def inline(text: str) -> str:
    """A text with code between backticks."""
    return _CODE.sub(r"<code>\1</code>", safe(text))


def render(page: Page) -> str:
    """The whole document."""
    anchors = [f"part-{k}" for k in range(1, len(page.sections) + 1)]
    links = "".join(
        f'<li><a href="#{anchor}">{safe(section.title)}</a></li>'
        for anchor, section in zip(anchors, page.sections, strict=True)
    )
    body = "\n".join(map(_section, anchors, page.sections))
    reasons = "".join(map(block, page.reasons))
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{_POLICY}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<title>{safe(page.title)}</title>
<style>{STYLE}</style>
</head>
<body>
<header>
<h1>{safe(page.title)}</h1>
<p class="formula"><code>{safe(page.subtitle)}</code></p>
{_finding(page.verdict, "finding verdict")}
{reasons}
<nav aria-label="Contents"><ul>{links}</ul></nav>
</header>
<main>
{body}
</main>
<footer><p>{inline(page.footer)}</p></footer>
</body>
</html>
"""


def _section(anchor: str, section: Section) -> str:
    blocks = "\n".join(map(block, section.blocks))
    return f'<section id="{anchor}">\n<h2>{safe(section.title)}</h2>\n{blocks}\n</section>'


def block(item: Block) -> str:
    """One block."""
    return _RENDER[type(item)](item)


def _text(item: Text) -> str:
    return f"<p>{inline(item.text)}</p>"


def _table(item: Table) -> str:
    caption = f'<p class="caption">{inline(item.caption)}</p>' if item.caption else ""
    label = f' aria-label="{safe(item.caption)}"' if item.caption else ""
    head = _cells("th", item.header, item.left)
    body = "".join(f"<tr>{_cells('td', row, item.left)}</tr>\n" for row in item.rows)
    return (
        f'{caption}<div class="wide" tabindex="0"><table{label}><thead><tr>{head}</tr></thead>\n'
        f"<tbody>{body}</tbody></table></div>"
    )


def _cells(tag: str, row: Sequence[str], left: int) -> str:
    return "".join(
        f'<{tag} class="name">{safe(text)}</{tag}>' if k < left else f"<{tag}>{safe(text)}</{tag}>"
        for k, text in enumerate(row)
    )


def _facts(item: Facts) -> str:
    pairs = "".join(
        f"<dt>{safe(name)}</dt><dd>{inline(value)}</dd>\n" for name, value in item.pairs
    )
    return f"<dl>{pairs}</dl>"


def _picture(item: Picture) -> str:
    data = base64.b64encode(item.svg).decode("ascii")
    return (
        f'<figure><img alt="{safe(item.alt)}" width="{item.width}" '
        f'style="--natural: {item.width}px" '
        f'src="data:image/svg+xml;base64,{data}"></figure>'
    )


def _code(item: Code) -> str:
    return f"<pre><code>{safe(item.text)}</code></pre>"


def _finding(item: Finding, names: str = "finding") -> str:
    remedy = f"<p>{inline(item.remedy)}</p>" if item.remedy else ""
    text = f"<p>{inline(item.text)}</p>" if item.text else ""
    return (
        f'<div class="{names} {item.tone}"><p class="head">{inline(item.title)}</p>'
        f"{text}{remedy}</div>"
    )


_RENDER: dict[type, Callable[[Any], str]] = {
    Text: _text,
    Table: _table,
    Facts: _facts,
    Picture: _picture,
    Code: _code,
    Finding: _finding,
}
