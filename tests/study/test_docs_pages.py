"""The pages of docs/study say what the stored summaries say, to the last character."""

from __future__ import annotations

import re
from pathlib import Path
from types import ModuleType

import pytest
from scripts import load_script

pytest.importorskip("pyarrow")
pytest.importorskip("PIL")

DOCS = Path(__file__).resolve().parents[2] / "docs"
PICTURE = re.compile(r"!\[[^\]]*\]\(([^)]+)\)")


def script() -> ModuleType:
    return load_script(DOCS / "study_pages.py")


def test_pages_are_those_of_the_stored_summaries() -> None:
    pages = script()
    summaries = pages.stored()
    for name, summary in summaries.items():
        written = (DOCS / "study" / f"{name}.md").read_text(encoding="utf-8")
        assert written == pages.page_of(summary), f"{name}: run python docs/study_pages.py"
    written = (DOCS / "study-results.md").read_text(encoding="utf-8")
    assert written == pages.results_page(summaries), "run python docs/study_pages.py"


def test_pictures_are_there() -> None:
    for page in [DOCS / "study-results.md", *(DOCS / "study").glob("*.md")]:
        for picture in PICTURE.findall(page.read_text(encoding="utf-8")):
            assert (page.parent / picture).is_file()


def test_summaries_know_what_they_are_of() -> None:
    for name, summary in script().stored().items():
        assert summary.design.name == name
        assert summary.sessions
