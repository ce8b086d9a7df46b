"""The site: every page is in its navigation, every public name in its API."""

from __future__ import annotations

import importlib
import inspect
import re
import runpy
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from scripts import load_script

import multilogit as ml
from multilogit.result.pictures.plots import Plots

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
OUTSIDE = {"changelog.md"}  # pages made from files outside docs
RESULTS = {
    *("Bootstrap", "Calibration", "EvidenceCurve", "GoodnessOfFit", "Influence", "Plots"),
    *("PosteriorSample", "Profile", "ResidualTests", "Roc", "WaldTest"),
}
"""Classes that methods return, and that are no names of the package."""


def documented() -> dict[str, str]:
    """Names that pages of the API show, with the place that each comes from."""
    pages = [page.read_text(encoding="utf-8") for page in (DOCS / "api").glob("*.md")]
    places = re.findall(r"^::: (\S+)$", "\n".join(pages), re.MULTILINE)
    return {place.rpartition(".")[2]: place for place in places}


def found(place: str) -> Any:
    module, _, name = place.rpartition(".")
    return getattr(importlib.import_module(module), name)


def test_every_page_is_in_the_navigation() -> None:
    text = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    listed = re.findall(r"^ +- [^:]+: (\S+\.md)$", text, re.MULTILINE)
    pages = {page.relative_to(DOCS).as_posix() for page in DOCS.rglob("*.md")}
    assert sorted(listed) == sorted(pages | OUTSIDE)


def test_every_public_name_is_in_the_api() -> None:
    names = {*ml.__all__, "MultilevelLogisticRegression"} - {"__version__"}
    assert set(documented()) == names | RESULTS


@pytest.mark.parametrize("name", sorted(documented()))
def test_what_the_api_shows_is_the_public_thing(name: str) -> None:
    if name == "MultilevelLogisticRegression":
        pytest.importorskip("sklearn")
    shown = found(documented()[name])
    assert inspect.getdoc(shown)
    if name not in RESULTS:
        assert shown is getattr(ml, name)


@pytest.mark.parametrize("owner", [ml.Fit, Plots])
def test_every_method_has_a_docstring(owner: type) -> None:
    methods = [name for name in dir(owner) if not name.startswith("_") and name != "fit"]
    assert len(methods) > 5
    assert [name for name in methods if not inspect.getdoc(getattr(owner, name))] == []


def test_the_gallery_has_every_picture() -> None:
    text = (DOCS / "gallery.md").read_text(encoding="utf-8")
    pictures = [name for name in dir(Plots) if not name.startswith("_") and name != "fit"]
    assert len(pictures) == 8
    assert [name for name in pictures if f".plot.{name}(" not in text] == []
    drawn = set(re.findall(r'"(\w+\.png)"', text))
    shown = set(re.findall(r"\(images/(\w+\.png)\)", text))
    assert shown - drawn == {"report.png", "report_phone.png"}  # photographs
    assert {picture.name for picture in (DOCS / "images").iterdir()} >= drawn | shown


def test_pictures_are_small() -> None:
    large = [p.name for p in (DOCS / "images").iterdir() if p.stat().st_size > 100_000]
    assert large == []


@pytest.fixture
def docstrings() -> ModuleType:
    pytest.importorskip("griffe")
    return load_script(DOCS / "docstrings.py")


def test_links_out_of_the_site_become_paths() -> None:
    pytest.importorskip("latex2mathml")
    pytest.importorskip("mkdocs")
    site = runpy.run_path(str(DOCS / "site.py"))["without_the_repository"]
    assert (
        site("[script](../tools/a.py) of [b](b.md)", "c.md") == "script, `tools/a.py` of [b](b.md)"
    )
    assert site("[tests/oracles](../tests/oracles)", "c.md") == "`tests/oracles`"
    assert (
        site("[b](../b.md#x), [R](../../README.md#y)", "api/c.md")
        == "[b](../b.md#x), R, `README.md`"
    )


def test_docstrings_become_markdown(docstrings: ModuleType) -> None:
    text = "See :meth:`~multilogit.Fit.predict` and :class:`multilogit.Fit`.\n\n"
    text += "====  =========\none   ``a|b``,\n      more\ntwo\n====  =========\n\nend"
    wanted = "See `predict` and `multilogit.Fit`.\n\n"
    wanted += "| | |\n|---|---|\n| one | ``a\\|b``, more |\n| two |  |\n\nend"
    assert docstrings.markdown(text) == wanted
