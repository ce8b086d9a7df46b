"""Methods and options that the pages name exist: `fit.predict(new, level="population")`."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import multilogit as ml
from multilogit.result.pictures.plots import Plots

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]
FIELDS = {"diagnostics", "evidence", "aliased"}
"""Attributes of a fit that its class does not have, but every object of it."""


def parsed(page: Path) -> Iterator[tuple[str, ast.AST]]:
    """Code within the text, where it is Python."""
    text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)
    for code in re.findall(r"`([^`\n]+)`", text):
        try:
            yield code, ast.parse(code.replace(r"\|", "|").replace("…", "..."))
        except SyntaxError:
            continue


def chain(node: ast.AST) -> list[str]:
    """``["fit", "plot", "profile"]`` of ``fit.plot.profile``; empty where it starts otherwise."""
    names: list[str] = []
    while isinstance(node, ast.Attribute):
        names.insert(0, node.attr)
        node = node.value
    return [node.id, *names] if isinstance(node, ast.Name) and node.id in ("ml", "fit") else []


def found(names: list[str]) -> Any:
    if names[0] == "ml":
        return getattr(ml, names[1])
    return getattr(Plots, names[2]) if names[1:2] == ["plot"] else getattr(ml.Fit, names[1])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_names_exist(page: Path) -> None:
    missing = []
    for code, tree in parsed(page):
        for node in ast.walk(tree):
            names = chain(node)
            if len(names) < 2 or names[-1] == "plot" or names[1] in FIELDS:
                continue
            try:
                found(names)
            except AttributeError:
                missing.append(code)
    assert missing == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_options_exist(page: Path) -> None:
    unknown = []
    for code, tree in parsed(page):
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and len(names := chain(node.func)) > 1:
                options = inspect.signature(found(names)).parameters
                given = {keyword.arg for keyword in node.keywords if keyword.arg}
                unknown += [f"{name} of {code}" for name in given - set(options)]
    assert unknown == []


def test_fields_are_those_of_a_fit() -> None:
    fit = ml.fit("y ~ x", {"y": [0, 1, 0, 1, 1], "x": [1.0, 2.0, 3.0, 4.0, 2.5]})
    assert all(hasattr(fit, name) for name in FIELDS)
