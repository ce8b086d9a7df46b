"""Time and memory of fits to Parquet files, in memory and within a budget of memory.

    python benchmarks/out_of_core.py DIRECTORY [--rows 20000000] [--groups 1000000]
        [--kind numbers|shuffled|categories] [--budgets none 2GB 1GB] [--threads 4]

The data are simulated into the directory unless they are there: ten columns, a binary response,
eight predictors and a group. Every fit runs in a process of its own, whose peak resident memory
is that of the operating system (``VmHWM``); "none" reads the files into memory. Linux only.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

FILES = 10
PREDICTORS = 8
FORMULA = " + ".join(["y ~ 1", *(f"x{k + 1}" for k in range(PREDICTORS)), "(1 | g)"])


def simulate(directory: Path, rows: int, groups: int, kind: str) -> None:
    """Write the files; shuffled: the rows of a group are in all of them."""
    import pyarrow as pa
    from pyarrow.parquet import write_table

    directory.mkdir(parents=True)
    rng = np.random.default_rng(1)
    u = rng.standard_normal(groups)
    n = rows // FILES
    for file in range(FILES):
        if kind == "shuffled":
            g = rng.integers(groups, size=n)
        else:
            first, last = (groups * k // FILES for k in (file, file + 1))
            g = np.sort(rng.integers(first, last, size=n))
        x = [rng.standard_normal(n) for _ in range(PREDICTORS)]
        if kind == "categories":
            x = [(x[k % 2] > k / 4.0 - 1.0).astype(float) for k in range(PREDICTORS)]
        eta = -0.5 + sum(column / (k + 2) for k, column in enumerate(x)) + u[g]
        y = (rng.random(n) < 1.0 / (1.0 + np.exp(-eta))).astype(np.int8)
        columns = {"y": y, "g": g, **{f"x{k + 1}": column for k, column in enumerate(x)}}
        write_table(pa.table(columns), directory / f"{file}.parquet", compression="none")


def worker(directory: str, budget: str, threads: int) -> None:
    """One fit; prints its numbers."""
    from multilogit import fit
    from multilogit.likelihood.spilled import SpilledParts
    from multilogit.likelihood.summed import LocalParts

    seconds: list[float] = []
    kind = LocalParts if budget == "none" else SpilledParts  # files of this size, in memory
    inner = kind.call

    def timed(self: object, what: object, *arguments: object) -> object:
        began = time.perf_counter()
        found = inner(self, what, *arguments)
        if what == "evaluate":
            seconds.append(time.perf_counter() - began)
        return found

    kind.call = timed
    memory = None if budget == "none" else budget
    before = resident("VmRSS")
    made = fit(FORMULA, directory, memory=memory, threads=threads)
    ratio = [d.facts["ratio"] for d in made.diagnostics if d.code == "rows-collapsed"]
    numbers = {
        "budget": budget,
        "peak GB": resident("VmHWM"),
        "before GB": before,
        "fit s": round(made.seconds, 2),
        "median evaluation s": round(float(np.median(seconds)), 3),
        "evaluations": len(seconds),
        "loglik": made.loglik,
        "rows per kept row": round(ratio[0], 2) if ratio else 1.0,
    }
    print(json.dumps(numbers))


def resident(what: str) -> float:
    """Gigabytes of this process."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) / 1e6 for line in lines if line.startswith(what))


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("directory", type=Path)
    parser.add_argument("--rows", type=int, default=20_000_000)
    parser.add_argument("--groups", type=int, default=1_000_000)
    parser.add_argument("--kind", choices=["numbers", "shuffled", "categories"], default="numbers")
    parser.add_argument("--budgets", nargs="+", default=["none", "2GB", "1GB"])
    parser.add_argument("--threads", type=int, default=4)
    options = parser.parse_args()
    if not options.directory.exists():
        simulate(options.directory, options.rows, options.groups, options.kind)
    for budget in options.budgets:
        code = f"import out_of_core as b; b.worker({str(options.directory)!r}, {budget!r}, "
        code += f"{options.threads})"
        subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parent)


if __name__ == "__main__":
    main()
