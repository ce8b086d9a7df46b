"""benchmarks/guard.py: what it refuses, and that its record fits its kernels."""

from __future__ import annotations

import json
import runpy
import sys
from pathlib import Path
from typing import Any

import pytest

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def guard() -> Any:
    """The names of the script."""
    before = list(sys.path), set(sys.modules)
    sys.path.insert(0, str(BENCHMARKS))
    try:
        yield runpy.run_path(str(BENCHMARKS / "guard.py"))
    finally:
        sys.path[:] = before[0]
        for name in set(sys.modules) - before[1]:
            if str(getattr(sys.modules[name], "__file__", "")).startswith(str(BENCHMARKS)):
                del sys.modules[name]


def made(guard: Any, time: float, steps: int = 5) -> dict[str, Any]:
    """A record of the first kernel alone."""
    level = guard["_core"].LEVEL
    entry = {guard["KERNELS"][0].name: {"time": time, "steps": steps}}
    return {"processor": guard["processor"](), "levels": {level: entry}}


def test_every_kernel_is_recorded(guard: Any) -> None:
    record = json.loads((BENCHMARKS / "guard.json").read_text(encoding="utf-8"))
    names = {kernel.name for kernel in guard["KERNELS"]}
    assert all(set(level) == names for level in record["levels"].values())


def test_half_as_much_again_is_refused_and_a_fifth_is_not(
    guard: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    recorded = made(guard, time=2.0, steps=5)

    def refused(time: float, steps: int) -> bool:
        found = {"time": time, "steps": steps}
        names = guard["compare"].__globals__
        monkeypatch.setitem(names, "measure", lambda *_: found)
        code: int = guard["compare"](recorded)
        assert ("SLOWER" in capsys.readouterr().out) == (code == 1)
        return code == 1

    assert not refused(2.4, 5)
    assert refused(3.0, 5)
    assert not refused(2.0, 6)
    assert refused(2.0, 7)


def test_what_seems_slower_is_measured_again(guard: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    times = iter([5.0, 4.0, 1.0, 0.5])
    names = guard["measure"].__globals__
    monkeypatch.setitem(names, "relative_time", lambda _: next(times))
    kernel = guard["KERNELS"][0]
    assert guard["measure"](kernel, 3.0)["time"] == 1.0  # the third of three attempts
    assert guard["measure"](kernel)["time"] == 0.5


def test_an_evaluation_takes_a_plausible_time(guard: Any) -> None:
    found = guard["measure"](guard["KERNELS"][0])
    assert 0.0 < found["time"] < 10.0
    assert found["steps"] >= 3


def test_other_processors_get_more_room(guard: Any) -> None:
    recorded = {"time": 1.0, "steps": 5}
    assert guard["allowed"](recorded, True)["time"] < guard["allowed"](recorded, False)["time"]
