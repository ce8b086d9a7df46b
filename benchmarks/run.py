"""Time multilogit and every installed peer on the same data, alternating.

Usage: ``make bench``, or ``python benchmarks/run.py [--case NAME ...] [--engine NAME ...] [--slow]
[--results FILE] [--picture FILE]``.

Every fit runs in a fresh process. Each measurement is appended to a log (``--log``), and what is
in the log is not measured again: an interrupted sweep goes on where it stopped. ``--again`` drops
what the log knows of the chosen cases and engines. Exit code 1 when a target is missed.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from cases import CASES, Case
from cold import run_cold
from data import csv_file
from log import Log, Measurement
from report import print_case, results_of, write_results
from small import small_timings

HERE = Path(__file__).resolve().parent
BUILD = HERE.parent / "build"
PEERS = Path(os.environ.get("BENCH_PYTHON", BUILD / "bench-venv/bin/python"))
OF_R = ("lme4", "glmmTMB", "nnet")
OURS = ("multilogit", "multilogit refit")
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "RAYON_NUM_THREADS")


def command(engine: str, case: Case, path: Path) -> list[str]:
    """The command that fits ``case`` once with ``engine``."""
    if engine in OF_R:
        worker = [str(HERE / "worker.R"), engine, str(csv_file(path))]
        return ["Rscript", *worker, case.formula, str(case.nodes)]
    python = sys.executable if engine in OURS else str(PEERS)
    return [python, str(HERE / "worker.py"), engine, case.name, str(path)]


def environment(case: Case) -> dict[str, str]:
    return {**os.environ, **dict.fromkeys(THREADS, str(case.threads))}


def run_once(engine: str, case: Case, path: Path) -> Measurement:
    """One fit in a process of its own: what it took, or why there is nothing."""
    if case.cold:
        return run_cold(engine, case, path, environment(case))
    try:
        done = subprocess.run(
            command(engine, case, path),
            env=environment(case),
            capture_output=True,
            text=True,
            check=False,
            timeout=case.limit + 30.0,  # reading the data and the small fit are not measured
        )
    except subprocess.TimeoutExpired:
        return {"failed": f"gave up after {case.limit:.0f} s"}
    if done.returncode:
        return {"failed": (done.stderr.strip().splitlines() or ["killed"])[-1][:300]}
    return Log.parse(done.stdout.splitlines()[-1])


def judge(case: Case, path: Path, log: Log) -> None:
    """Add the exact log-likelihood and gradient at the estimates of every engine."""
    estimates = log.unjudged(case.name)
    if not estimates:
        return
    done = subprocess.run(
        [sys.executable, str(HERE / "judge.py"), case.name, str(path)],
        input=Log.text(estimates),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        print(f"{case.name}: cannot be judged\n{done.stderr[-1000:]}")
        return
    for engine, verdict in Log.parse(done.stdout.splitlines()[-1]).items():
        log.add(case.name, engine, -1, verdict)


def too_long(engine: str, case: Case, log: Log) -> bool:
    """Whether this step of a ladder is beyond the limit, to judge from the step before it."""
    steps = [step for step in CASES if step.ladder and step.ladder == case.ladder]
    steps = sorted((step for step in steps if step.size < case.size), key=lambda step: step.size)
    for step in steps:
        first = log.get(step.name, engine, 0)
        if first is None:
            continue
        growth = case.size / step.size if case.ladder in ("rows", "columns, grouped") else 1.0
        if "failed" in first or first["wall"] * growth > case.limit:
            return True
    return False


def repeated(engine: str, case: Case, log: Log) -> bool:
    """Whether an engine that has been measured once is worth another round."""
    first = log.get(case.name, engine, 0) or {"failed": "not measured"}
    patience = 2.0 if engine in OF_R else 25.0 if case.targets else 5.0
    return "failed" not in first and first["wall"] < patience


def time_case(case: Case, path: Path, engines: list[str], log: Log) -> None:
    """All rounds of all engines that the log does not have."""
    for number in range(case.rounds):
        for engine in engines:
            if log.get(case.name, engine, number) is not None:
                continue
            if repeated(engine, case, log) if number else not too_long(engine, case, log):
                log.add(case.name, engine, number, run_once(engine, case, path))


def installed(engine: str, slow: bool) -> bool:
    if engine in OF_R:
        return slow and shutil.which("Rscript") is not None
    return engine in OURS or PEERS.exists()


def chosen(arguments: argparse.Namespace) -> Iterator[tuple[Case, list[str]]]:
    for case in CASES:
        if arguments.case and case.name not in arguments.case:
            continue
        engines = [e for e in ("multilogit", *case.engines) if installed(e, arguments.slow)]
        wanted = arguments.engine or engines
        yield case, [engine for engine in engines if engine in wanted]


def parse(words: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    names = [*(case.name for case in CASES), "small"]
    parser.add_argument("--case", nargs="+", choices=names, metavar="NAME", help=", ".join(names))
    parser.add_argument("--engine", nargs="+", metavar="NAME", help="only these")
    parser.add_argument("--slow", action="store_true", help="also lme4, glmmTMB and nnet")
    parser.add_argument("--again", action="store_true", help="measure again what is in the log")
    parser.add_argument("--log", type=Path, default=BUILD / "bench-log.jsonl")
    parser.add_argument("--data", type=Path, default=BUILD / "bench-data")
    parser.add_argument("--results", type=Path, help="write the results here, as JSON")
    parser.add_argument("--picture", type=Path, help="draw the ladders here, as PNG")
    return parser.parse_args(words)


def main(words: list[str]) -> int:
    arguments = parse(words)
    log = Log(arguments.log)
    met = True
    for case, engines in chosen(arguments):
        if arguments.again:
            log.forget(case.name, engines)
        path = case.data_file(arguments.data)
        if path is None:
            print(f"\n{case.name}: the data are not on this machine")
            continue
        time_case(case, path, engines, log)
        judge(case, path, log)
        met &= print_case(case, results_of(case, log))
    if not arguments.case or "small" in arguments.case:
        timings, reached = small_timings()
        met &= reached
        for name, seconds in timings.items():
            log.forget("small", [name])
            log.add("small", name, 0, {"wall": seconds})
    results = {case.name: found for case in CASES if (found := results_of(case, log))}
    results["small"] = {
        name: {"wall": runs[0]["wall"]} for name, runs in log.rounds("small").items()
    }
    if arguments.results:
        write_results(arguments.results, results)
    if arguments.picture:
        from picture import draw

        draw(results, arguments.picture)
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
