"""The loader picks an instruction level that is built and that the machine can run."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import pytest

from multilogit import _core
from multilogit._core import _cpu
from multilogit.errors import OptionError

PRINT = "import multilogit._core as core; print(core.LEVEL, core.LANES)"


def run(level: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "MULTILOGIT_LEVEL": level}
    command = [sys.executable, "-c", PRINT]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def test_the_fastest_level_is_the_default() -> None:
    assert _core._choose(["v2", "v3"], None) == "v3"
    assert _core._choose(["v2", "v3"], "") == "v3"


def test_a_level_can_be_chosen() -> None:
    assert _core._choose(["v2", "v3"], "v2") == "v2"


def test_a_level_that_is_not_there_is_refused_with_the_possible_ones() -> None:
    with pytest.raises(OptionError, match=r"MULTILOGIT_LEVEL='v9'.*v2, v3"):
        _core._choose(["v2", "v3"], "v9")


def test_an_old_processor_is_refused() -> None:
    with pytest.raises(ImportError, match="x86-64-v2"):
        _core._choose([], None)


@pytest.mark.parametrize("level", _cpu.supported_levels())
def test_every_supported_level_loads(level: str) -> None:
    lanes = {"v2": 2, "v3": 4, "v4": 8, "generic": 2}[level]
    assert run(level).stdout.split() == [level, str(lanes)]


def test_the_environment_is_checked_at_import() -> None:
    done = run("v9")
    assert done.returncode == 1
    assert "Possible values" in done.stderr


@pytest.mark.skipif(platform.machine() not in {"x86_64", "AMD64"}, reason="x86-64 only")
def test_levels_agree_with_the_processor() -> None:
    assert set(_cpu.supported_levels()) <= {"v2", "v3", "v4"}
    assert _cpu.supported_levels() == sorted(_cpu.supported_levels())
