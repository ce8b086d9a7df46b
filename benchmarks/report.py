"""Medians of what was measured, who counts, which targets are met; tables and JSON of them."""

from __future__ import annotations

import json
import statistics
from pathlib import Path

from cases import Case, Target
from log import JUDGED, Log

Result = dict[str, float]
"""cpu, wall (s), peak_mib, added_mib, loglik, gradient, short: best log-likelihood minus its own"""

SAME = 1e-6
"""A log-likelihood that is further below the best is another optimum: the time does not count."""
MEDIANS = ("cpu", "wall", "peak_mib", "added_mib")


def results_of(case: Case, log: Log) -> dict[str, Result]:
    """Per engine medians over its rounds, and the verdict on its estimates."""
    found: dict[str, Result] = {}
    for engine, entries in log.rounds(case.name).items():
        runs = [entry for entry in entries if "failed" not in entry]
        if not runs:
            continue
        names = [name for name in MEDIANS if name in runs[0]]
        result = {name: statistics.median(run[name] for run in runs) for name in names}
        verdict = log.get(case.name, engine, JUDGED) or {}
        result |= {name: verdict[name] for name in ("loglik", "gradient") if name in verdict}
        found[engine] = result
    _compare(found)
    return found


def _compare(found: dict[str, Result]) -> None:
    judged = [result for result in found.values() if "loglik" in result]
    best = max((result["loglik"] for result in judged), default=0.0)
    for result in judged:
        result["short"] = best - result["loglik"]


def counts(result: Result) -> bool:
    """Whether the engine reached the optimum."""
    return result.get("short", 0.0) <= SAME


def ratio(found: dict[str, Result], target: Target) -> float | None:
    """How many times multilogit's the engine took; None where it is not measured."""
    ours, theirs = found.get("multilogit"), found.get(target.engine)
    if ours is None or theirs is None:
        return None
    return theirs[target.measure] / ours[target.measure]


def print_case(case: Case, found: dict[str, Result]) -> bool:
    """Print the table of one case; whether all its measured targets are met."""
    if "multilogit" not in found:
        return True
    print(f"\n{case.name}: {case.formula if len(case.formula) < 70 else case.formula[:67] + '...'}")
    print(
        f"{'engine':17} {'CPU s':>9} {'wall s':>9} {'ratio':>7} {'MiB':>7} {'max|g|':>8} short by"
    )
    for engine, run in found.items():
        short = "" if "short" not in run else f"{run['short']:.1e}"
        mark = "" if counts(run) else "  does not count"
        print(
            f"{engine:17} {run['cpu']:9.4f} {run['wall']:9.4f} "
            f"{run['cpu'] / found['multilogit']['cpu']:7.1f} {run['peak_mib']:7.0f} "
            f"{run.get('gradient', float('nan')):8.1e}  {short}{mark}"
        )
    met = counts(found["multilogit"])
    for target in case.targets:
        reached = ratio(found, target)
        if reached is not None:
            verdict = "met" if reached >= target.times else "MISSED"
            met &= reached >= target.times
            print(
                f"  {target.engine}, {target.measure}: {reached:.1f} times, "
                f"target {target.times:g}: {verdict}"
            )
    return met


def write_results(path: Path, results: dict[str, dict[str, Result]]) -> None:
    rounded = {
        case: {
            engine: {name: _rounded(name, value) for name, value in run.items()}
            for engine, run in found.items()
        }
        for case, found in results.items()
    }
    path.write_text(json.dumps(rounded, indent=1) + "\n", encoding="utf-8")


def _rounded(name: str, value: float) -> float:
    return round(value, 9) if name == "loglik" else float(f"{value:.4g}")
