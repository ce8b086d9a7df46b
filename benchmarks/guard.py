"""Refuse changes that make the kernels slower: ``python benchmarks/guard.py``, a few seconds.

What an evaluation of every kernel costs is recorded in ``guard.json`` and belongs to the revision
that it is part of. It is no time but a ratio: CPU time of the kernel over that of a fixed
computation by NumPy which takes turns with it, median of many turns, all in the second cache. The
load of the machine cancels, and so does most of what distinguishes processors. A kernel that seems
slower is measured again, and is slower if it always is. Recorded as well are the Newton steps of
the fit. Exit code 1 where a kernel costs more than the record allows.

A change that is slower for a good reason records itself: ``--record``, and says why.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from kernels import KERNELS, Kernel, Prepared, prepare

from multilogit import _core

RECORD = Path(__file__).with_name("guard.json")
ROWS = 4_000
"""So few that the data stay in the second cache: neighbours on other cores hardly matter."""
TURNS = 21
ATTEMPTS = 3

MORE_TIME = 1.3
MORE_TIME_ELSEWHERE = 2.0
"""On another model of processor than the recorded one, the ratios differ by themselves."""
MORE_STEPS = 1

Found = dict[str, float]
"""``steps`` of the fit and ``time`` of an evaluation, in units of the fixed computation."""


def reference() -> Callable[[], object]:
    """The fixed computation: exponentials, and products of matrices too small for threads."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((1_000, 8))
    eta, out = -np.abs(rng.standard_normal(4_000)), np.empty(4_000)
    gram = np.empty((8, 8))

    def work() -> None:
        for _ in range(20):
            np.exp(eta, out=out)
            for _ in range(4):
                np.dot(x.T, x, out=gram)

    return work


def cpu(action: Callable[[], object], times: int = 1) -> float:
    """CPU time of this thread for one of so many calls, ns."""
    start = time.thread_time_ns()
    for _ in range(times):
        action()
    return (time.thread_time_ns() - start) / times


def relative_time(prepared: Prepared) -> float:
    """CPU time of two evaluations over that of the fixed computation before and after them."""
    work = reference()
    times = max(1, round(1e6 / max(cpu(prepared.again), 1.0)))
    ratios = []
    before = cpu(work)
    for _ in range(TURNS):
        of_kernel = cpu(prepared.again, times)
        after = cpu(work)
        ratios.append(of_kernel / (0.5 * (before + after)))
        before = after
    return statistics.median(ratios)


def measure(kernel: Kernel, most: float = np.inf) -> Found:
    """Steps and relative time; again, up to three times, where it is more than ``most``."""
    prepared = prepare(kernel, ROWS)
    least = np.inf
    for _ in range(ATTEMPTS):
        least = min(least, relative_time(prepared))
        if least <= most:
            break
    return {"steps": prepared.steps, "time": float(f"{least:.3g}")}


def processor() -> str:
    """The model, as far as the system tells."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    told = dict(tuple(map(str.strip, line.partition(":")[::2])) for line in lines)
    keys = ("vendor_id", "cpu family", "model", "model name")
    return " ".join(told[key] for key in keys if key in told) or platform.processor()


def allowed(recorded: Found, same_processor: bool) -> Found:
    """The most that steps and time may be."""
    factor = MORE_TIME if same_processor else MORE_TIME_ELSEWHERE
    return {"steps": recorded["steps"] + MORE_STEPS, "time": recorded["time"] * factor}


def compare(made: dict[str, Any]) -> int:
    """Print the comparison at the level of this machine; 1 where something is slower."""
    recorded: dict[str, Found] | None = made["levels"].get(_core.LEVEL)
    if recorded is None:
        print(f"Nothing is recorded for the instruction level {_core.LEVEL}: not compared.")
        return 0
    same = processor() == made["processor"]
    slower = 0
    print(f"{_core.LEVEL}: CPU time relative to the fixed computation, and Newton steps")
    for kernel in KERNELS:
        if kernel.name not in recorded:
            print(f"{kernel.name:32} is not recorded: run with --record")
            continue
        before = recorded[kernel.name]
        most = allowed(before, same)
        found = measure(kernel, most["time"])
        worse = [name for name in found if found[name] > most[name]]
        slower += bool(worse)
        print(
            f"{kernel.name:32} {found['time']:7.3g} (recorded {before['time']:.3g}, "
            f"at most {most['time']:.3g}), {found['steps']:.0f} steps ({before['steps']:.0f})"
            + (f"  SLOWER: {', '.join(worse)}" if worse else "")
        )
    return 1 if slower else 0


def record() -> None:
    """Measure at every instruction level that this machine has, and write the record."""
    levels = {}
    for level in ("v2", "v3", "v4", "generic"):
        done = subprocess.run(
            [sys.executable, __file__, "--print"],
            env={**os.environ, "MULTILOGIT_LEVEL": level},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode == 0:
            levels[level] = json.loads(done.stdout)
    made = {"processor": processor(), "levels": levels}
    RECORD.write_text(json.dumps(made, indent=1) + "\n", encoding="utf-8")


def main(words: list[str]) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--record", action="store_true", help="write guard.json")
    parser.add_argument("--print", action="store_true", help="print this level's numbers as JSON")
    arguments = parser.parse_args(words)
    if arguments.record:
        record()
        return 0
    if arguments.print:
        print(json.dumps({kernel.name: measure(kernel) for kernel in KERNELS}))
        return 0
    return compare(json.loads(RECORD.read_text(encoding="utf-8")))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
