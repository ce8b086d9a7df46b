"""Medians of what was measured, who counts, which targets are met; tables and JSON of them."""

from __future__ import annotations

import json
import statistics
from dataclasses import asdict
from pathlib import Path
from typing import Any

from cases import CASES, Case, Target
from log import JUDGED, Log

Result = dict[str, float]
"""cpu, wall (s), peak_mib, added_mib, loglik, gradient, short: best log-likelihood minus its own"""

SAME = 1e-6
"""A log-likelihood that is further below the best is another optimum: the time does not count."""
MEDIANS = ("cpu", "wall", "peak_mib", "added_mib")


def results_of(case: Case, log: Log) -> dict[str, Result]:
    """Per engine medians over its rounds, and the verdict on its estimates."""
    found: dict[str, Result] = {}
    rounds = log.rounds(case.name)
    for engine in ("multilogit", *case.engines):
        runs = [entry for entry in rounds.get(engine, []) if "failed" not in entry]
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
    """How many times more the engine took; None where it is not measured."""
    ours, theirs = found.get(target.of), found.get(target.engine)
    if ours is None or theirs is None:
        return None
    return theirs[target.measure] / ours[target.measure]


def targets_of(case: Case, found: dict[str, Result]) -> list[dict[str, Any]]:
    """Every target of a case that is measured, what was reached, and whether it is met."""
    rows = []
    for target in case.targets:
        reached = ratio(found, target)
        if reached is not None:
            met = reached >= target.times
            row = {**asdict(target), "reached": float(f"{reached:.4g}"), "met": met}
            rows.append({"case": case.name, **row})
    if case.within is not None and "multilogit" in found:
        wall = found["multilogit"]["wall"]
        row = {"engine": "multilogit", "within": case.within, "reached": float(f"{wall:.4g}")}
        rows.append({"case": case.name, **row, "met": wall <= case.within})
    return rows


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
    targets = targets_of(case, found)
    for row in targets:
        what = f"{row['engine']}: within {row['within']:g} s" if "within" in row else _wanted(row)
        print(f"  {what}: {row['reached']:.3g}{'' if row['met'] else '  MISSED'}")
    return counts(found["multilogit"]) and all(row["met"] for row in targets)


def _wanted(row: dict[str, Any]) -> str:
    return f"{row['engine']} / {row['of']}, {row['measure']}: at least {row['times']:g}"


def write_results(path: Path, results: dict[str, dict[str, Result]]) -> None:
    """As JSON; ``targets`` holds every target and what was reached."""
    rounded: dict[str, Any] = {
        case: {
            engine: {name: _rounded(name, value) for name, value in run.items()}
            for engine, run in found.items()
        }
        for case, found in results.items()
    }
    cases = [case for case in CASES if case.name in results]
    rounded["targets"] = [row for case in cases for row in targets_of(case, results[case.name])]
    path.write_text(json.dumps(rounded, indent=1) + "\n", encoding="utf-8")


def _rounded(name: str, value: float) -> float:
    return round(value, 9) if name == "loglik" else float(f"{value:.4g}")
