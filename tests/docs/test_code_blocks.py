"""The documentation does what it says.

In README.md and docs/*.md

* ``python`` blocks of a file run, in order, in one namespace;
* a ``text`` block right after a ``python`` block is what that block prints;
* ``sh`` lines that begin with ``multilogit`` end with exit code 0, or with the N of a comment
  ``# exit code N``; what takes an hour stands in ``shell`` blocks and does not run here;
* a number before ``<!--= expression -->`` is the value of the expression after the last block.

Numbers agree to the last digit shown; ``...`` stands for the rest of a line.
"""

from __future__ import annotations

import contextlib
import io
import re
import runpy
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_NUMBER = re.compile(r"[-−]?\d+(?:\.\d+)?(?:e[-+]?\d+)?")
_QUOTED = re.compile(rf"({_NUMBER.pattern})\s*<!--= (.*?) -->")


@dataclass(frozen=True)
class Block:
    """A fenced block. ``expected`` is the ``text`` block that follows it directly."""

    language: str
    code: str
    line: int
    expected: str | None


def blocks(page: Path) -> list[Block]:
    text = page.read_text(encoding="utf-8")
    found = list(_FENCE.finditer(text))
    out = []
    for k, match in enumerate(found):
        expected = None
        if k + 1 < len(found):
            after = found[k + 1]
            if after[1] == "text" and not text[match.end() : after.start()].strip():
                expected = after[2]
        line = text.count("\n", 0, match.start()) + 2
        out.append(Block(match[1], match[2], line, expected))
    return out


def value(number: str) -> float:
    return float(number.replace("−", "-"))


def agree(shown: str, actual: float) -> bool:
    """Whether a number equals what is shown, to one unit of its last digit."""
    mantissa, _, exponent = shown.partition("e")
    decimals = len(mantissa.partition(".")[2])
    unit = 10.0 ** (int(exponent or 0) - decimals)
    return abs(value(shown) - actual) <= 1.001 * unit


def same_line(expected: str, actual: str) -> bool:
    """Equal words with numbers that agree; what follows ``...`` is not compared."""
    wanted, got = expected.split(), actual.split()
    if "..." in wanted:
        wanted = wanted[: wanted.index("...")]
        got = got[: len(wanted)]
    return len(wanted) == len(got) and all(map(same_word, wanted, got))


def same_word(wanted: str, got: str) -> bool:
    if _NUMBER.sub("#", wanted) != _NUMBER.sub("#", got):
        return False
    pairs = zip(_NUMBER.findall(wanted), _NUMBER.findall(got), strict=True)
    return all(shown == number or agree(shown, value(number)) for shown, number in pairs)


def check_output(block: Block, printed: str, page: Path) -> None:
    assert block.expected is not None
    expected, actual = block.expected.rstrip().splitlines(), printed.rstrip().splitlines()
    place = f"{page.name}:{block.line}"
    assert len(expected) == len(actual), f"{place} prints\n{printed}"
    for wanted, got in zip(expected, actual, strict=True):
        assert same_line(wanted, got), f"{place}\n  shown:   {wanted}\n  printed: {got}"


def run_python(block: Block, namespace: dict[str, Any], page: Path) -> None:
    code = compile("\n" * (block.line - 1) + block.code, str(page), "exec")
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        exec(code, namespace)
    if block.expected is not None:
        check_output(block, printed.getvalue(), page)


def run_shell(block: Block, page: Path) -> None:
    from typer.testing import CliRunner

    from multilogit.cli.commands import app

    for line in block.code.splitlines():
        if not line.startswith("multilogit "):
            continue
        command, _, comment = line.partition("  #")
        wanted = re.search(r"exit code (\d)", comment)
        result = CliRunner().invoke(app, shlex.split(command)[1:])
        assert result.exit_code == int(wanted[1] if wanted else 0), f"{page.name}: {line}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_page(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    namespace: dict[str, Any] = {"__name__": "page"}
    for block in blocks(page):
        if block.language == "python":
            run_python(block, namespace, page)
        elif block.language == "sh":
            run_shell(block, page)
    for shown, expression in _QUOTED.findall(page.read_text(encoding="utf-8")):
        actual = eval(expression, namespace)
        assert agree(shown, float(actual)), f"{page.name}: {shown}, but {expression} is {actual}"


def test_a_wrong_number_is_found() -> None:
    """The comparison itself: digits count, words count, signs count."""
    assert same_line("age 0.0030685 0.326", "age  0.0030685   0.326")
    assert same_line("age 0.0030685", "age 0.0030686")
    assert not same_line("age 0.0030685", "age 0.0030695")
    assert not same_line("age 0.0030685", "age -0.0030685")
    assert not same_line("age 1.22e-08", "age 1.22e-07")
    assert not same_line("urban 1.0", "rural 1.0")
    assert same_line("Converged after 6 iterations; ...", "Converged after 6 iterations; 0.1 s")
    assert not same_line("Converged after 6 iterations; ...", "Converged after 8 iterations; 0.1 s")


def test_every_number_of_the_readme_is_checked() -> None:
    """Decimals in the README's prose carry an expression, or stand in the benchmarks."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    prose = _QUOTED.sub("", _FENCE.sub("", text))
    prose = re.sub(r"<!-- benchmarks -->.*?<!-- /benchmarks -->", "", prose, flags=re.DOTALL)
    versions = re.compile(r"(Python|statsmodels) \d+\.\d+")
    assert re.findall(r"\d+\.\d+", versions.sub("", prose)) == []


def test_benchmarks_are_the_recorded_ones() -> None:
    """The tables are what docs/benchmark_table.py makes of the recorded numbers."""
    table = runpy.run_path(str(ROOT / "docs" / "benchmark_table.py"))
    for page in table["BLOCKS"]:
        assert page.read_text(encoding="utf-8") == table["written"](page), page.name


def test_links_lead_somewhere() -> None:
    """Relative links and pictures exist."""
    broken = []
    for page in PAGES:
        text = _FENCE.sub("", page.read_text(encoding="utf-8"))
        targets = re.findall(r"\]\(([^)#\s]+)[^)]*\)", text) + re.findall(r'src="([^"]+)"', text)
        for target in targets:
            if "://" not in target and not (page.parent / target).exists():
                broken.append(f"{page.name}: {target}")
    assert broken == []
