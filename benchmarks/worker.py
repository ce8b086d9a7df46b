"""Fit one model with one engine and print what it took and where it stopped, as JSON.

``python worker.py ENGINE CASE DATA.npz``: run in a fresh process, in the environment that has the
engine. Measured is the call that a user makes, after a fit of 2 000 rows has loaded all code.
A fit of milliseconds is repeated for a third of a second; the median counts.
"""

from __future__ import annotations

import json
import resource
import statistics
import sys
import time
import warnings
from dataclasses import asdict
from importlib import metadata
from pathlib import Path

import pandas as pd
from cases import CASES, Case, bars
from data import read
from engines import ENGINES, Fit, Fitted

ENOUGH = 0.35
"""Seconds after which a fit is not repeated."""


def cpu_seconds() -> float:
    """User and system time of this process, all threads, and of its children."""
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def memory(name: str) -> float:
    """``VmRSS``, now, or ``VmHWM``, the peak since :func:`forget_peak`; MiB."""
    status = Path("/proc/self/status")
    if not status.exists():  # no Linux: the peak of the whole life
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    line = next(line for line in status.read_text().splitlines() if line.startswith(name))
    return int(line.split()[1]) / 1024


def forget_peak() -> None:
    """Let ``VmHWM`` start again from what is used now."""
    clear = Path("/proc/self/clear_refs")
    if clear.exists():
        clear.write_text("5")


def small(data: pd.DataFrame, case: Case) -> pd.DataFrame:
    """2 000 rows with few levels, to load code with."""
    head = data.head(2_000).copy()
    for name in [group for _, group in bars(case.formula)]:
        if head[name].dtype.kind == "i":
            head[name] = head[name] % 40
    if "f" in head:  # the factor of many levels
        head["f"] = pd.Categorical(head["f"].cat.codes % 5)
    return head


def measure(fit: Fit, data: pd.DataFrame) -> tuple[dict[str, float], Fitted]:
    """CPU and wall seconds, medians, and memory of the first fit."""
    forget_peak()
    before = memory("VmRSS")
    times: list[tuple[float, float]] = []
    while not times or (sum(wall for _, wall in times) < ENOUGH and len(times) < 500):
        cpu, wall = cpu_seconds(), time.perf_counter()
        fitted = fit(data)
        times.append((cpu_seconds() - cpu, time.perf_counter() - wall))
        if len(times) == 1:
            peak = memory("VmHWM")
    cpu, wall = (statistics.median(part) for part in zip(*times, strict=True))
    used = {"cpu": cpu, "wall": wall, "peak_mib": peak, "added_mib": peak - before}
    return used, fitted


def version(engine: str) -> str:
    name = {"sklearn": "scikit-learn"}.get(engine, engine.split()[0])
    return metadata.version(name)


def main(engine: str, name: str, path: str) -> None:
    warnings.simplefilter("ignore")
    case = next(case for case in CASES if case.name == name)
    data = read(Path(path))
    fit = ENGINES[engine](case)
    if len(data) > 2_000:
        fit(small(data, case))
    else:
        fit(data)
    used, fitted = measure(fit, data)
    print(json.dumps({**used, **asdict(fitted()), "version": version(engine)}))


if __name__ == "__main__":
    main(*sys.argv[1:])
