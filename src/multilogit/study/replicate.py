"""One batch: simulate, estimate, score; plain tables out."""

from __future__ import annotations

from typing import Any

import pandas as pd

from multilogit.study.designs import Cell, Design
from multilogit.study.estimators import Estimated, Settings, estimator_named
from multilogit.study.generate import Dataset, Simulator
from multilogit.study.scoring import Scores, score
from multilogit.study.seeds import generator

_SEEDS = 2**31


def compute(
    design: Design, cell: Cell, estimator: str, start: int, stop: int
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Fits and parameters of replicates ``start`` … ``stop − 1``.

    Every replicate is a function of design, cell, estimator and its number: neither the batch
    nor the process that it is in changes it (but its seconds).
    """
    simulator = Simulator(design.name, cell)
    settings = Settings(design.intervals_for(estimator), prior_scale=cell.prior_scale)
    replicates = range(start, stop)
    data = [simulator.draw(k) for k in replicates]
    seeds = [
        int(generator(design.name, cell.name, k, estimator).integers(_SEEDS)) for k in replicates
    ]
    estimates = estimator_named(estimator).make(settings).fit(data, seeds)
    fits: list[dict[str, Any]] = []
    parameters: list[dict[str, Any]] = []
    for k, dataset, found in zip(replicates, data, estimates, strict=True):
        fresh = simulator.fresh(k, design.fresh_groups, dataset.truth)
        who = {"cell": cell.name, "estimator": estimator, "replicate": k}
        fits.append(who | _fit_row(found, score(fresh, found.estimate), score(fresh, fresh.truth)))
        parameters += [who | row for row in _parameter_rows(dataset, found, design.intervals)]
    return pd.DataFrame(fits), pd.DataFrame(parameters)


def _fit_row(found: Estimated, scores: Scores, best: Scores) -> dict[str, Any]:
    numbers = {name: found.numbers.get(name, float("nan")) for name in ("rhat", "ess")}
    return {
        "status": found.status,
        "converged": found.converged,
        "seconds": found.seconds,
        "notes": " ".join(found.notes),
        "log_score": scores.log_score,
        "log_score_truth": best.log_score,
        "probability_rmse": scores.probability_rmse,
        **numbers,
    }


def _parameter_rows(
    data: Dataset, found: Estimated, kinds: tuple[str, ...]
) -> list[dict[str, Any]]:
    rows = []
    for k, (name, kind) in enumerate(zip(data.layout.names, data.layout.kinds, strict=True)):
        row = {
            "parameter": name,
            "kind": kind,
            "truth": float(data.truth[k]),
            "estimate": float(found.estimate[k]),
            "se": float(found.se[k]),
            "posterior_below": float("nan")
            if found.posterior_below is None
            else float(found.posterior_below[k]),
        }
        for interval in kinds:
            ends = found.intervals.get(interval)
            row[f"{interval}_lower"] = float("nan") if ends is None else float(ends[k, 0])
            row[f"{interval}_upper"] = float("nan") if ends is None else float(ends[k, 1])
        rows.append(row)
    return rows
