"""Evaluations on a Dask cluster of 1, 2 and 4 local worker processes: time, efficiency, network.

Usage: ``python benchmarks/dask_scaling.py [ROWS]``; needs the extra ``distributed``. Every worker
has one thread. Two efficiencies: against one thread in memory (its time, divided by workers times
theirs), and against the processors that are there: the workers evaluate their parts at the same
time without Dask between evaluations, which takes as long as it must where other work takes its
share of the machine.
"""

from __future__ import annotations

import logging
import os
import pickle
import statistics
import sys
import tempfile
import time

import dask.dataframe as dd
import numpy as np
import pandas as pd
from distributed import Client, LocalCluster

import multilogit as ml
from multilogit.distributed import workers as workers_module
from multilogit.distributed.model import distribute
from multilogit.distributed.workers import Packed, State, call
from multilogit.estimate import Options, arranged
from multilogit.estimate.mixed import mixed_likelihood
from multilogit.evaluation import Evaluation
from multilogit.formula import build_frame

FORMULA = "y ~ x1 + x2 + x3 + x4 + x5 + x6 + x7 + (1 + x1 | g)"
ROWS_PER_GROUP = 20
WORKERS = (1, 2, 4)
EVALUATIONS = 15


def simulated(n: int) -> pd.DataFrame:
    """Rows in random order: 7 predictors, a random intercept and a random slope."""
    rng = np.random.default_rng(1)
    g = rng.integers(0, n // ROWS_PER_GROUP, n)
    data = {f"x{k}": rng.normal(size=n) for k in range(1, 8)}
    b = rng.normal(size=(n // ROWS_PER_GROUP, 2)) * [1.0, 0.5]
    eta = sum(0.3 * x for x in data.values()) - 0.5 + b[g, 0] + b[g, 1] * data["x1"]
    return pd.DataFrame({**data, "g": g, "y": (rng.uniform(size=n) < 1 / (1 + np.exp(-eta))) * 1})


def seconds(likelihood, psi: np.ndarray) -> float:
    """Median time of an evaluation on the way of a search: each a little further."""
    steps = np.random.default_rng(2).normal(size=(EVALUATIONS, psi.size)) * 1e-3
    likelihood.evaluate(psi)
    times = []
    for step in steps:
        began = time.perf_counter()
        likelihood.evaluate(psi + step)
        times.append(time.perf_counter() - began)
    return statistics.median(times)


def travelling(evaluation: Evaluation) -> tuple[int, int]:
    """Bytes to a worker and back, for one part: ψ and the state; value, gradient, triangle."""
    psi = evaluation.gradient
    there = pickle.dumps((call, "multilogit-" + 34 * "0", State(psi=psi), "evaluate", (psi,)))
    return len(there), len(pickle.dumps(Packed.of(evaluation)))


def main(n: int) -> None:
    """Print one line per number of workers."""
    data = simulated(n)
    print(f"{n:,} rows, {data['g'].nunique():,} groups, {FORMULA}")
    print(f"{len(os.sched_getaffinity(0))} processors, load {os.getloadavg()[0]:.1f}")
    fit = ml.fit(FORMULA, data.head(200_000))
    psi = fit.solution.psi
    frame, _ = build_frame(FORMULA, data)
    local = mixed_likelihood(arranged(frame), Options(threads=1))
    alone = seconds(local, psi)
    print(f"in memory, 1 thread: {alone * 1e3:.1f} ms, {alone / n * 1e9:.1f} ns per row")
    there, back = travelling(local.evaluate(psi))
    print(f"per part and evaluation: {there} bytes to a worker, {back} bytes back")
    del local, frame
    with tempfile.TemporaryDirectory() as directory:
        dd.from_pandas(data, npartitions=8, sort=False).to_parquet(directory)
        del data
        for workers in WORKERS:
            print(measured(workers, directory, psi, alone), flush=True)


def measured(workers: int, directory: str, psi: np.ndarray, alone: float) -> str:
    """The line of a number of workers."""
    with (
        LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            dashboard_address=None,
            silence_logs=logging.CRITICAL,
        ) as cluster,
        Client(cluster) as client,
    ):
        began = time.perf_counter()
        model = distribute(client, dd.read_parquet(directory), FORMULA, {}, Options())
        preparing = time.perf_counter() - began
        took = seconds(model.mixed, psi)
        without = together(client, psi)
        overhead = call_alone(model.mixed)
        began = time.perf_counter()
        estimate = model.estimate(Options())
        fitting = time.perf_counter() - began
    return (
        f"{workers} workers: {took * 1e3:.1f} ms per evaluation ({without * 1e3:.1f} without Dask, "
        f"{overhead * 1e3:.1f} Dask alone); efficiency {alone / (workers * took):.2f} against one "
        f"thread, {without / took:.2f} against the processors there were; preparing "
        f"{preparing:.1f} s, search {fitting:.1f} s, {estimate.solution.n_evaluations} "
        f"evaluations; load {os.getloadavg()[0]:.1f}"
    )


def together(client: Client, psi: np.ndarray) -> float:
    """Time of an evaluation when all workers evaluate at the same time, without Dask between."""
    names = client.run(held_names)
    asked = [
        client.submit(evaluations, of_worker, psi, workers=worker, pure=False)
        for worker, of_worker in names.items()
    ]
    return max(client.gather(asked))


def held_names() -> list[str]:
    """The parts of a worker."""
    return list(workers_module._HELD)


def evaluations(names: list[str], psi: np.ndarray) -> float:
    """On a worker: median time of evaluating its parts."""
    return sum(seconds(workers_module._HELD[name].likelihood, psi) for name in names)


def call_alone(likelihood) -> float:
    """Median time of a call that computes nothing."""
    times = []
    for _ in range(EVALUATIONS):
        began = time.perf_counter()
        likelihood.parts.call("factors")
        times.append(time.perf_counter() - began)
    return statistics.median(times)


if __name__ == "__main__":
    main(int(float(sys.argv[1])) if len(sys.argv) > 1 else 6_000_000)
