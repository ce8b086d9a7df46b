"""What a command imports: in a process of its own that is most of the time it takes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

PROGRAM = """
import sys
from multilogit.cli import main
try:
    main()
except SystemExit as ended:
    print(*sys.modules)
    sys.exit(ended.code)
"""
PACKAGES = {
    *("dask", "distributed", "formulaic", "jax", "matplotlib", "narwhals", "pandas", "polars"),
    *("pyarrow", "rich", "scipy", "sklearn", "unittest"),
}
"""Packages that no simple fit needs. Each takes 0.05 to 0.3 s; Typer, which one needs, 0.1."""
ROOMS = {
    *("assess", "comparison", "demo", "distributed.model", "divergence.joint", "evidence.strength"),
    *("margins", "many_levels", "outofcore.model", "page", "plot", "predict", "prior.normal"),
    *("refit", "sensitivity_analysis", "separability", "sklearn", "storage.files", "strength"),
    *("study", "cli.document", "cli.models", "cli.studies"),
}
"""Nor these of our own: half a millisecond for each of their modules."""


def imported(*arguments: str) -> tuple[set[str], str]:
    """Modules in memory when a command has ended, and what it has printed."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *arguments], capture_output=True, text=True, check=True
    )
    printed, _, modules = done.stdout.rstrip("\n").rpartition("\n")
    return set(modules.split()), printed


def too_many(modules: set[str]) -> set[str]:
    return modules & (PACKAGES | {f"multilogit.{room}" for room in ROOMS})


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As R's ``write.csv`` writes it, with names in quotes and ``NA``."""
    rng = np.random.default_rng(3)
    x, g = rng.normal(size=200), rng.integers(0, 10, 200)
    y = rng.random(200) < 1 / (1 + np.exp(-0.5 * x - rng.normal(size=10)[g]))
    columns = zip(y, map(float, x), g, rng.integers(1, 6, 200), strict=True)
    rows = [f'{int(a)},{b!r},"school {c}",{d}' for a, b, c, d in columns]
    rows[7] = '1,NA,"school 3",2'
    path = tmp_path_factory.mktemp("cold") / "data.csv"
    path.write_text("\n".join(['"y","x","g","n"', *rows]), encoding="utf-8")
    return path


@pytest.mark.parametrize("formula", ["y ~ x + (1 | g)", "cbind(y, n - y) ~ x", "y ~ x + g"])
def test_a_fit_imports_what_it_needs(path: Path, formula: str) -> None:
    modules, printed = imported("fit", str(path), formula)
    assert f"Formula: {formula}" in printed
    assert "numpy" in modules
    assert too_many(modules) == set()


def test_a_prior_needs_no_more_packages(path: Path) -> None:
    modules, printed = imported("fit", str(path), "y ~ x + (1 | g)", "--prior", "relative-entropy")
    assert "RelativeEntropy" in printed
    assert not modules & PACKAGES


@pytest.mark.parametrize("arguments", [["fit", "--help"], ["--version"]])
def test_help_and_version_import_no_more(arguments: list[str]) -> None:
    modules, printed = imported(*arguments)
    assert printed
    assert too_many(modules) == set()


def test_a_command_is_suggested_and_found() -> None:
    done = subprocess.run(
        [sys.executable, "-c", "from multilogit.cli import main; main()", "sepration"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "Did you mean 'separation'?" in done.stderr
