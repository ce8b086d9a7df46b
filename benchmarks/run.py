"""Time multilogit against its peers: CPU time end to end, from a data frame, SEs included.

Usage: ``make bench``, or ``python benchmarks/run.py [--case NAME] [--engine NAME] [--rounds N]
[--slow] [--json FILE]``. Every fit runs in a fresh process on one thread; engines alternate, so
that all see the same machine; reported are medians. ``--slow`` adds lme4 and glmmTMB (minutes),
where R has them.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
from pathlib import Path

from cases import CASES, Case, csv_file, data_file
from small import small_timings

HERE = Path(__file__).resolve().parent
DATA = HERE.parent / "build" / "bench-data"
PEERS = Path(os.environ.get("BENCH_PYTHON", HERE.parent / "build/bench-venv/bin/python"))
SLOW = ("lme4", "glmmTMB")
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "RAYON_NUM_THREADS")

Run = dict[str, float]


def command(engine: str, case: Case, path: Path) -> list[str]:
    """The command that fits ``case`` once with ``engine``."""
    model = [case.formula, str(case.nodes)]
    if engine in SLOW:
        return ["Rscript", str(HERE / "worker.R"), engine, str(csv_file(path)), *model]
    python = sys.executable if engine == "multilogit" else str(PEERS)
    return [python, str(HERE / "worker.py"), engine, str(path), *model]


def run_once(engine: str, case: Case, path: Path) -> Run:
    environment = {**os.environ, **dict.fromkeys(THREADS, "1")}
    done = subprocess.run(
        command(engine, case, path), env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"{engine} failed on {case.name}:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])  # type: ignore[no-any-return]


def time_case(case: Case, path: Path, engines: list[str], rounds: int) -> dict[str, Run]:
    """Median of the alternating runs of every engine."""
    runs: dict[str, list[Run]] = {engine: [] for engine in engines}
    for number in range(rounds):
        for engine in engines:
            if number == 0 or engine not in SLOW:
                runs[engine].append(run_once(engine, case, path))
    return {engine: median(found) for engine, found in runs.items()}


def median(runs: list[Run]) -> Run:
    return {key: statistics.median(run[key] for run in runs) for key in runs[0]}


def print_case(case: Case, results: dict[str, Run]) -> bool:
    """Print the table of one case; whether all its targets are met."""
    ours = results["multilogit"]
    met = True
    print(f"\n{case.name}: {case.formula if len(case.formula) < 60 else case.formula[:57] + '...'}")
    print(f"{'engine':12} {'CPU s':>9} {'wall s':>9} {'ratio':>7} {'target':>7}  log-likelihood")
    for engine, run in results.items():
        ratio, target = run["cpu"] / ours["cpu"], case.peers.get(engine)
        verdict = ""
        if target is not None:
            reached = ratio >= target and ours["loglik"] >= run["loglik"] - 1e-6
            met, verdict = met and reached, "" if reached else "  MISSED"
        print(
            f"{engine:12} {run['cpu']:9.3f} {run['wall']:9.3f} {ratio:7.1f} "
            f"{'' if target is None else format(target, '.0f'):>7}  {run['loglik']:.6f}{verdict}"
        )
    return met


def engines_of(case: Case, arguments: argparse.Namespace) -> list[str]:
    usable = [
        engine
        for engine in case.peers
        if (arguments.slow and shutil.which("Rscript") if engine in SLOW else PEERS.exists())
    ]
    return ["multilogit", *(e for e in usable if arguments.engine in (None, e))]


def parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--case", choices=[*(case.name for case in CASES), "small"])
    parser.add_argument("--engine", help="compare with this engine only")
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--slow", action="store_true", help="also lme4 and glmmTMB")
    parser.add_argument("--json", type=Path, help="write the results here")
    return parser.parse_args(arguments)


def main(words: list[str]) -> int:
    arguments = parse(words)
    results: dict[str, dict[str, Run]] = {}
    met = True
    for case in CASES:
        if arguments.case not in (None, case.name):
            continue
        path = data_file(case, DATA)
        if path is None:
            print(f"\n{case.name}: the data are not on this machine")
            continue
        rounds = arguments.rounds or case.rounds
        results[case.name] = time_case(case, path, engines_of(case, arguments), rounds)
        met &= print_case(case, results[case.name])
    if arguments.case in (None, "small"):
        results["small"], reached = small_timings()
        met &= reached
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=1) + "\n")
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
