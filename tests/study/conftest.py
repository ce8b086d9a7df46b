"""A tiny design, and one run of it that the tests share."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("pyarrow")

from multilogit.study import Results, run

TINY = """
title = "Tiny"
[run]
replicates = 6
batch = 4
estimators = ["ml", "relative-entropy"]
intervals = ["wald", "posterior", "profile"]
fresh_groups = 4
report = ["degeneracy", "accuracy", "coverage", "scores", "cost", "claims"]
[data]
groups = 6
group_size = 5
covariates = [{ name = "x", kind = "bernoulli", probability = 0.4 }]
[vary]
"beta.x" = [0.5, 6.0]
"""


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of the design."""
    path = tmp_path_factory.mktemp("design") / "tiny.toml"
    path.write_text(TINY, encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def directory(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Results of the design."""
    return run(tiny, tmp_path_factory.mktemp("study")).path


@pytest.fixture(scope="session")
def results(tiny: Path, directory: Path) -> Results:
    """The same, read."""
    return run(tiny, directory).results()
