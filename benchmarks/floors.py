"""How near the kernels come to what the machine allows: ``python benchmarks/floors.py``.

The *floor* of an evaluation is the larger of two times: of moving its bytes at the rate of a copy,
and of its arithmetic at the rate of a matrix product, plus its exponentials, logarithms and
divisions at the rates of NumPy's loops, on one thread. ``work`` derives what a row needs. Every
instruction level that the machine has, v4 and v3, is measured in a process of its own. The matrix
product is OpenBLAS's at the same level; NumPy has loops for exponentials and logarithms at v4
alone, so v3 is held to what those reach. ``--json FILE`` writes the numbers;
``docs/benchmark_table.py`` puts them into docs/performance.md.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # before NumPy reads it

import numpy as np
from kernels import KERNELS, MANY_LEVELS, Kernel, prepare

from multilogit import _core


@dataclass(frozen=True)
class Work:
    """What an evaluation must do per row: value, gradient and Hessian.

    Attributes
    ----------
    bytes
        Read from memory, each column once.
    flops
        Multiplications and additions.
    exps, logs, divisions
        Elementary functions.
    """

    bytes: float
    flops: float
    exps: float
    logs: float
    divisions: float


def work(kernel: Kernel, rows: int) -> Work:
    """The work of a row, by the formulas of docs/mathematics.md.

    *Bytes.* X, the counts of C logits and the trials: 8 (p + C + 1). Columns of Z are columns of X.

    *Single level.* η = x'β: 2pC. r and w: about 5C² + 8. X'r: 2pC. X'WX: for each of C(C+1)/2
    pairs of logits p products with the weight and p(p+1)/2 multiply-adds. C exponentials, a
    logarithm, a division for π and one within the logarithm. The kernels of groups need no
    logarithm of a row, but one of a product for many rows.

    *Laplace* adds, with q effects and s = q(q+1)/2: one pass for the modes, if the prediction of
    them is so good that a single Newton step is enough (C exponentials, a division, Z'r and Z'WZ:
    2q + 3s, η: 2q); the third and fourth derivatives and what they multiply (h: 3s, A v: 2q, w₃hz:
    2q, in all about 12C² more); the products of w z, ω z and w₃ z z' with the columns, 2q + s
    vectors: 2pC (2q + s). Per group, that is for 1/n_g of a row: the low-rank update of the
    Hessian, 2q + s outer products of d = pC + m numbers: (2q + s) d (d + 1). In place of that
    crossed factors add their share of :func:`crossed_flops`.

    *Quadrature* with K^q nodes adds for each the row's value, r and w (an exponential, a
    division, 20 operations, Z'r and Z'WZ), the averages over nodes (3 + 2q), and
    the product of r with the columns: 2p; then q + q² more products: 2p (q + q²).
    """
    p, q, c, s = kernel.p, kernel.q, kernel.logits, kernel.q * (kernel.q + 1) // 2
    moved = 8.0 * (p + c + 1)
    flops = 4.0 * p * c + 5 * c * c + 8 + c * (c + 1) / 2 * (p + p * (p + 1))
    exps, logs, divisions = float(c), 1.0, 2.0
    if q:
        parameters = p * c + s
        flops += 2 * q + 2 * q + 3 * s + 8 * c  # the modes
        flops += 2 * q + 2 * q + 3 * s + 3 * s + 2 * q + 2 * q + 12 * c * c
        flops += 2 * p * c * (2 * q + s)
        if kernel.crossed:
            flops += crossed_flops(*kernel.crossed, rows, p * c + q) / rows
        else:
            flops += (2 * q + s) * parameters * (parameters + 1) / kernel.group
        exps, logs, divisions = exps + c, 0.0, 2.0
    if kernel.nodes > 1:
        nodes = kernel.nodes**q
        flops += nodes * (20 + 4 * q + 3 * s + 3 + 2 * q + 2 * p) + 2 * p * (q + q * q)
        exps, divisions = exps + nodes, divisions + nodes
    return Work(moved, flops, exps, logs, divisions)


def crossed_flops(groups: int, n: int, rows: int, d: int) -> float:
    """What levels of two crossed factors need once per evaluation, whatever the rows.

    A group meets about k = n(1 − e^(−rows / (groups n))) of the n effects that remain, and k²/2
    pairs of them. Each pair takes 2 operations for S, twice: for the one Newton step of the modes
    and where it ends; 4 for (H⁻¹)_gR; and for each of d directions 4 for E and 4 for the trace with
    N. S is factored twice, n³/3 each, and inverted, 2n³/3; L⁻¹E_kL⁻ᵀ takes n³ for each direction.
    U = H⁻¹N: 4k for each group and direction, and 2n² d. As those of the rows, all are counted at
    the rate of a matrix product, which sums over pairs do not reach.
    """
    k = n * -np.expm1(-rows / (groups * n))
    pairs = groups * k * k / 2
    dense = (2 / 3 + 2 / 3 + d) * n**3
    return float((2 * 2 + 4 + 8 * d) * pairs + dense + 4 * k * groups * d + 2 * n**2 * d)


# ------------------------------------------------------------------ ceilings


@dataclass(frozen=True)
class Ceilings:
    """Rates of one thread: bytes and operations per ns; elements per ns."""

    copy: float
    product: float
    exp: float
    log: float
    division: float


def best(action: Callable[[], object], rounds: int = 15) -> float:
    """The shortest CPU time of an action, ns: ceilings are what is possible."""
    times = []
    for _ in range(rounds):
        start = time.thread_time_ns()
        action()
        times.append(time.thread_time_ns() - start)
    return float(min(times))


def ceilings() -> Ceilings:
    """Measure the rates."""
    rng = np.random.default_rng(0)
    large, copy = np.ones(2**24), np.empty(2**24)  # 128 MiB each
    a, b = rng.standard_normal((2, 900, 900))
    x = rng.random(2048)
    out = np.empty_like(x)

    def many(loop: Callable[[], object]) -> float:
        return 200 * x.size / best(lambda: [loop() for _ in range(200)])

    return Ceilings(
        copy=2 * large.nbytes / best(lambda: np.copyto(copy, large)),
        product=2 * 900**3 / best(lambda: a @ b),
        exp=many(lambda: np.exp(x, out=out)),
        log=many(lambda: np.log(x, out=out)),
        division=many(lambda: np.divide(1.0, x, out=out)),
    )


def floor(work: Work, top: Ceilings) -> tuple[float, float]:
    """Time of a row's memory traffic, and of its arithmetic, ns."""
    elementary = work.exps / top.exp + work.logs / top.log + work.divisions / top.division
    return work.bytes / top.copy, work.flops / top.product + elementary


# ------------------------------------------------------------------ the kernels


def measure(kernel: Kernel, rows: int, rounds: int) -> float:
    """CPU time per row and evaluation, ns, median."""
    prepared = prepare(kernel, rows)
    times = []
    for _ in range(rounds):
        start = time.thread_time_ns()
        prepared.again()
        times.append((time.thread_time_ns() - start) / (2 * rows))
    return statistics.median(times)


def measure_here(rows: int, rounds: int) -> dict[str, Any]:
    """Ceilings and kernels at the level of this process."""
    top = ceilings()
    print(
        f"{_core.LEVEL}; copy {top.copy:.1f} GB/s, product {top.product:.1f} Gflop/s, "
        f"exp {1 / top.exp:.2f}, log {1 / top.log:.2f}, division {1 / top.division:.2f} ns"
    )
    print(f"{'kernel':32} {'bytes':>6} {'flops':>6} {'memory':>7} {'arithm.':>7} {'ns/row':>7}")
    found = []
    for kernel in (*KERNELS, MANY_LEVELS):
        needs = work(kernel, rows)
        memory, arithmetic = floor(needs, top)
        took = measure(kernel, rows, rounds)
        least = max(memory, arithmetic)
        found.append(
            {
                "kernel": kernel.name,
                **asdict(needs),
                "memory_ns": round(memory, 2),
                "arithmetic_ns": round(arithmetic, 2),
                "measured_ns": round(took, 2),
                "fraction": round(least / took, 3),
            }
        )
        print(
            f"{kernel.name:32} {needs.bytes:6.0f} {needs.flops:6.0f} {memory:7.1f} "
            f"{arithmetic:7.1f} {took:7.1f}  {took / least:.1f} times the floor",
            flush=True,
        )
    return {**asdict(top), "kernels": found}


# ------------------------------------------------------------------ instruction levels


def levels() -> tuple[str, ...]:
    """The best one of this machine, and v3 where that is v4."""
    return ("v4", "v3") if _core.LEVEL == "v4" else (_core.LEVEL,)


SAME_LEVEL = {"v3": {"OPENBLAS_CORETYPE": "Haswell"}}
"""What keeps OpenBLAS to the instructions of a level."""


def measure_level(level: str, rows: int, rounds: int) -> dict[str, Any]:
    """The same in a process of its own."""
    environment = {**os.environ, "MULTILOGIT_LEVEL": level, **SAME_LEVEL.get(level, {})}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "found.json"
        sizes = ["--rows", str(rows), "--rounds", str(rounds)]
        command = [sys.executable, __file__, "--here", "--json", str(path), *sizes]
        subprocess.run(command, env=environment, check=True)
        made: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return made


def main(words: list[str]) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--json", type=Path, help="write the numbers here")
    parser.add_argument("--here", action="store_true", help="this process and its level alone")
    arguments = parser.parse_args(words)
    sizes = arguments.rows, arguments.rounds
    if arguments.here:
        made = measure_here(*sizes)
    else:
        found = {level: measure_level(level, *sizes) for level in levels()}
        made = {"rows": arguments.rows, "levels": found}
    if arguments.json:
        arguments.json.write_text(json.dumps(made, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
