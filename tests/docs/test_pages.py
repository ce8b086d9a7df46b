"""What the pages list is what the code has; the examples run."""

from __future__ import annotations

import re
import runpy
import sys
from pathlib import Path

import pytest

from multilogit.errors import Status
from multilogit.formula.functions import CONTRASTS, FUNCTIONS

ROOT = Path(__file__).resolve().parents[2]
ADMISSIONS = ROOT.parent / "shared" / "reference" / "data" / "admissions.csv"
CODE = re.compile(r"`([^`\n]+)`")


def page(name: str) -> str:
    return (ROOT / "docs" / name).read_text(encoding="utf-8")


def sources() -> str:
    files = [*(ROOT / "src").rglob("*.py"), *(ROOT / "core").glob("*.[ch]pp")]
    return "\n".join(file.read_text(encoding="utf-8") for file in files)


def section(text: str, title: str) -> str:
    """From the heading to the next heading of the same level."""
    return text.split(f"\n## {title}\n")[1].split("\n## ")[0]


def test_every_function_of_formulas_is_documented_and_no_other() -> None:
    listed = section(page("formulas.md"), "Functions")
    table = [line for line in listed.splitlines() if line.startswith("| ")]
    names = {re.match(r"[\w.]+", code)[0] for code in CODE.findall("\n".join(table))}  # type: ignore[index]
    assert names - {"Q"} == set(FUNCTIONS)
    contrasts = set(CODE.findall(listed.split("Contrasts:")[1].split("Arithmetic:")[0]))
    assert contrasts == set(CONTRASTS) - {"contr.sas"}  # another spelling of contr.SAS


def test_every_status_is_documented() -> None:
    text = page("errors.md")
    assert [status.name for status in Status if f"`{status.name}`" not in text] == []


def test_every_diagnostic_is_documented() -> None:
    codes = set(re.findall(r"Diagnostic\(\s*\"([a-z-]+)\"", sources()))
    codes |= {s.value.replace("_", "-") for s in Status} - {"ok", "converged"}
    text = page("errors.md")
    listed = set()
    for line in section(text, "Diagnostics").splitlines():
        if line.startswith("| `"):
            listed |= set(CODE.findall(line.split(" | ")[0]))
    assert listed == codes


def test_names_of_the_glossary_exist() -> None:
    text, known = page("glossary.md"), sources()
    names: set[str] = set()
    for line in text.splitlines():
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)]
        if len(cells) == 5 and "`" in cells[2]:
            names |= set(CODE.findall(cells[2]))
    words = {word for name in names for word in re.findall(r"[A-Za-z_]\w*", name)}
    assert len(words) > 50
    assert sorted(word for word in words if not re.search(rf"\b{word}\b", known)) == []


def run_example(name: str, *arguments: str) -> None:
    before = sys.argv
    sys.argv = [name, *arguments]
    try:
        runpy.run_path(str(ROOT / "examples" / name), run_name="__main__")
    finally:
        sys.argv = before


def test_contraception(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run_example("contraception.py", str(tmp_path))
    assert (tmp_path / "contraception_random_effects.png").stat().st_size > 10_000
    printed = capsys.readouterr().out
    assert "(Intercept) -1.0651" in printed  # glmmTMB
    assert re.search(r"12\.118 +2 +0\.001418 ", printed)


def test_separation(capsys: pytest.CaptureFixture[str]) -> None:
    run_example("separation.py")
    printed = capsys.readouterr().out
    assert re.search(r"^C\(district\)3 +\+inf$", printed, re.MULTILINE)
    assert "27 of 1934 observations are predicted without error" in printed
    limit, prior, effects = map(float, printed.split("\n11 ")[1].split("\n")[0].split()[2:])
    assert limit == 0.0 < prior < effects


def test_cbpp(capsys: pytest.CaptureFixture[str]) -> None:
    run_example("cbpp.py")
    printed = capsys.readouterr().out
    assert printed.count("sd 0.642261") == 3
    assert printed.count("-92.026282") == 2


def test_housing(capsys: pytest.CaptureFixture[str]) -> None:
    run_example("housing.py")
    printed = capsys.readouterr().out
    assert "3498.08" in printed  # AIC of nnet::multinom
    shown = re.search(r"baseline 'High': (\S+)", printed)
    assert shown is not None
    assert float(shown[1]) < 1e-12


def test_verbagg(capsys: pytest.CaptureFixture[str]) -> None:
    run_example("verbagg.py")
    printed = capsys.readouterr().out
    assert "-6233.432" in printed  # the TMB template of the reference bank
    shown = re.search(r"baseline 'yes': (\S+)", printed)
    assert shown is not None
    assert float(shown[1]) < 1e-10


def test_admissions(capsys: pytest.CaptureFixture[str]) -> None:
    if not ADMISSIONS.exists():
        pytest.skip("the table is not here")
    run_example("admissions.py", str(ADMISSIONS))
    printed = capsys.readouterr().out
    steps = [float(x) for x in re.findall(r"\[Iteration \d\]: (\S+)", printed)]
    published = [3.56198602366629, 0.824206953925452, 0.0351788519326073, 7.20576835240294e-05]
    assert steps == pytest.approx(published, rel=1e-6)
    assert "499.98  on 399" in printed
    assert "480.34  on 397" in printed


@pytest.mark.parametrize("path", sorted((ROOT / "docs").glob("*.md")), ids=lambda path: path.name)
def test_inline_mathematics_survives_markdown(path: Path) -> None:
    """Markdown eats the backslash of ``\\,`` and ``\\{`` in inline mathematics."""
    text = re.sub(
        r"^```.*?^```$|`[^`\n]*`", "", path.read_text(encoding="utf-8"), flags=re.M | re.S
    )
    inline = re.findall(r"\$([^$\n]+)\$", text)
    assert [math for math in inline if re.search(r"\\[^A-Za-z]|\*", math)] == []
    assert all(line.count("$") % 2 == 0 for line in text.splitlines())
