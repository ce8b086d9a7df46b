"""Memory that fits in memory take, of NumPy columns and of one Parquet file.

    python benchmarks/memory.py DIRECTORY [--rows 20000000] [--threads 4] [--sorted]

Ten columns are simulated: a binary response, eight predictors and a group of twenty rows; X has
nine columns with the intercept. ``--sorted``: the rows of a group stand together. Every fit runs
in a process of its own. Reported is by how much its resident memory rises at its peak (``VmHWM``)
from just before the fit, in gigabytes and as a multiple of the design, n × 9 × 8 bytes. Linux only.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

PREDICTORS = 8
GROUP = 20
FIXED = " + ".join(["y ~ 1", *(f"x{k + 1}" for k in range(PREDICTORS))])
MODELS = {"grouped": f"{FIXED} + (1 | g)", "single level": FIXED}


def simulated(rows: int, by_group: bool = False) -> dict[str, Any]:
    """The columns; ``by_group``: sorted by group."""
    rng = np.random.default_rng(1)
    data: dict[str, Any] = {f"x{k + 1}": rng.standard_normal(rows) for k in range(PREDICTORS)}
    g = rng.integers(0, rows // GROUP, rows)
    if by_group:
        g.sort()
    eta = rng.standard_normal(rows // GROUP)[g] - 0.5
    for k in range(PREDICTORS):
        eta += data[f"x{k + 1}"] / (k + 2)
    y = (rng.random(rows) < 1.0 / (1.0 + np.exp(-eta))).astype(np.int8)
    return {"y": y, "g": g.astype(np.int32), **data}


def columns_of(path: str) -> dict[str, Any]:
    """What a file holds, by its name."""
    rows, _, order = Path(path).stem.partition("-")
    return simulated(int(rows), order == "sorted")


def bytes_of(what: str) -> int:
    """Resident memory of this process."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(what))


def worker(path: str, columns: bool, formula: str, threads: int) -> None:
    """One fit; prints its numbers."""
    import pyarrow.parquet  # noqa: F401  # libraries are no part of what a fit takes

    import multilogit as ml

    small = simulated(2_000)
    for model in MODELS.values():
        ml.fit(model, small)
    data: Any = columns_of(path) if columns else path
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # forget the peak so far
    before, began, cpu = bytes_of("VmRSS"), time.perf_counter(), time.process_time()
    fit = ml.fit(formula, data, threads=threads)
    took, cpu = time.perf_counter() - began, time.process_time() - cpu
    more = bytes_of("VmHWM") - before
    design = 8 * fit.n_obs * (PREDICTORS + 1)
    print(
        f"{more / 1e9:.2f} GB, {more / design:.2f} of the design; {took:.1f} s, CPU {cpu:.1f} s; "
        f"log-likelihood {fit.loglik:.6f}",
        flush=True,
    )


def write(path: str) -> None:
    """The columns as one Parquet file."""
    import pyarrow as pa
    from pyarrow.parquet import write_table

    write_table(pa.table(columns_of(path)), path, compression="none")


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("directory", type=Path)
    parser.add_argument("--rows", type=int, default=20_000_000)
    parser.add_argument("--threads", type=int, default=4)
    parser.add_argument("--sorted", action="store_true")
    options = parser.parse_args()
    options.directory.mkdir(parents=True, exist_ok=True)
    name = f"{options.rows}-sorted" if options.sorted else f"{options.rows}"
    path = str(options.directory.resolve() / f"{name}.parquet")

    def run(code: str) -> None:
        command = [sys.executable, "-c", f"import memory as m; {code}"]
        subprocess.run(command, check=True, cwd=Path(__file__).parent)

    if not Path(path).exists():
        run(f"m.write({path!r})")
    for name, formula in MODELS.items():
        for columns in (True, False):
            source = "NumPy columns" if columns else "one Parquet file"
            print(f"{options.rows:,} rows, {source}, {name}: ", end="", flush=True)
            run(f"m.worker({path!r}, {columns}, {formula!r}, {options.threads})")


if __name__ == "__main__":
    main()
