"""Pages: whatever is in a text, it is shown and does nothing."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

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
from multilogit.page.html import render

VOID = {"meta", "img"}
TAGS = {
    *("html", "head", "meta", "title", "style", "body", "header", "h1", "p", "code", "div", "nav"),
    *("ul", "li", "a", "main", "section", "h2", "table", "thead", "tr", "th", "tbody", "td", "dl"),
    *("dt", "dd", "figure", "img", "pre", "footer"),
}


class Reader(HTMLParser):
    """Tags, attributes and text of a page; complains about tags that do not close."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: list[tuple[str, str]] = []
        self.words: list[str] = []
        self.open: list[str] = []
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += [(name, value or "") for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.words.append(data)

    @property
    def text(self) -> str:
        return "".join(self.words)


def page(text: str) -> Page:
    blocks: tuple[Block, ...] = (
        Text(text),
        Table((text, text), ((text, text),), caption=text),
        Facts(((text, text),)),
        Picture(b"<svg/>", text, 100),
        Code(text),
        Finding("note", text, text, text),
    )
    verdict = Finding("good", text, text)
    return Page(text, text, verdict, (Text(text),), (Section(text, blocks),), text)


HOSTILE = [
    "<script>alert(1)</script>",
    "</style><script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "'><svg onload=alert(1)>",
    "&lt;b&gt; &amp; &#60;",
    "`<b>` ``` `",
    "]]> --> <!--",
    "\x00\x1b[31m\u202eevil\ufeff",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_a_hostile_text_is_a_text(text: str) -> None:
    made = Reader(render(page(text)))
    assert made.tags <= TAGS
    assert not [name for name, _ in made.attributes if name.startswith("on")]
    shown = re.sub("[\x00\x1b\u202e]", "\ufffd", text)
    assert made.text.count(shown) >= 5  # title, formula, header, names and code


@given(st.text(max_size=40))
def test_every_text_is_shown(text: str) -> None:
    made = Reader(render(page(text)))
    assert made.tags <= TAGS


def test_nothing_is_loaded_and_nothing_runs() -> None:
    text = render(page("plain"))
    made = Reader(text)
    assert "script" not in made.tags
    sources = [value for name, value in made.attributes if name in ("src", "href")]
    assert all(value.startswith(("data:image/svg+xml;base64,", "#")) for value in sources)
    assert not re.search(r"url\(|@import|https?:", text)
    policy = dict(made.attributes)["content"] and re.search(r"default-src 'none'", text)
    assert policy


def test_backticks_are_code() -> None:
    text = render(page("the column `a < b` and more"))
    assert "the column <code>a &lt; b</code> and more" in text


def test_links_lead_to_their_sections() -> None:
    made = Reader(render(page("part")))
    targets = {value for name, value in made.attributes if name == "id"}
    links = {value[1:] for name, value in made.attributes if name == "href"}
    assert links == targets != set()
