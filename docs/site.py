"""Hooks of the documentation site: formulas as MathML, pages that live outside ``docs``.

The pages write mathematics as code forges read it: ``$...$`` in a line, and fenced blocks marked
``math``. Browsers show MathML without a script, so nothing is loaded from the network.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import Any

from latex2mathml.converter import convert
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parents[1]
OUTSIDE = {"CHANGELOG.md": "changelog.md"}
"""Files of the repository that become pages of the site."""

_BLOCK = re.compile(r"^```math\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_CODE = re.compile(r"(^```.*?^```$|`[^`\n]+`)", re.DOTALL | re.MULTILINE)
_INLINE = re.compile(r"\$(?!\s)([^$\n]+?)(?<!\s)\$")
_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
_UPWARDS = re.compile(r"\[([^\]]+)\]\(((?:\.\./)+[^)#\s]*)[^)]*\)")


def on_files(files: Files, config: MkDocsConfig, **_: Any) -> Files:
    """Add the pages from outside ``docs``."""
    for source, page in OUTSIDE.items():
        content = (ROOT / source).read_text(encoding="utf-8")
        files.append(File.generated(config, page, content=content))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Formulas as MathML, links that lead somewhere on the site, comments of the tests away."""
    up = "../" * page.file.src_uri.count("/")
    for source, target in OUTSIDE.items():
        markdown = markdown.replace(f"]({up}../{source})", f"]({up}{target})")
        markdown = markdown.replace(f"](docs/{target})", f"]({target})")
    markdown = _COMMENT.sub("", markdown)
    return with_mathml(without_the_repository(markdown, page.file.src_uri))


def without_the_repository(markdown: str, page: str) -> str:
    """Links to files of the repository that are no pages become the paths of these files."""

    def plain(found: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join("docs", posixpath.dirname(page), found[2]))
        if target.startswith("docs/"):
            return found[0]
        return f"`{target}`" if found[1] == target else f"{found[1]}, `{target}`"

    return _UPWARDS.sub(plain, markdown)


def with_mathml(markdown: str) -> str:
    """The page with its formulas converted; code is as it is, also in the cells of tables."""
    markdown = _BLOCK.sub(lambda found: f"\n{_mathml(found[1], 'block')}\n", markdown)
    parts = _CODE.split(markdown)
    parts[1::2] = [p if p.startswith("```") else p.replace(r"\|", "|") for p in parts[1::2]]
    parts[::2] = [_INLINE.sub(lambda found: _mathml(found[1], "inline"), p) for p in parts[::2]]
    return "".join(parts)


def _mathml(latex: str, display: str) -> str:
    latex = " ".join(latex.split()).replace(r"\arg\max", r"\operatorname{argmax}")
    converted = convert(latex, display=display).replace("|", "&#x7C;")  # | would end a table's cell
    # Markdown takes <math> at the start of a line for a block of its own, <span> it does not.
    return converted if display == "block" else f"<span>{converted}</span>"
