"""How good probabilities are: discrimination, scores, calibration."""

from __future__ import annotations

import numpy as np
import pandas as pd

from multilogit.assess import calibration as calibrate
from multilogit.assess.discrimination import auc_interval, hand_till, roc_curve, tjur
from multilogit.checks import check_whole
from multilogit.inference.wald import critical_value
from multilogit.result.assessment.findings import Calibration, Roc
from multilogit.result.assessment.judged import Judged

# ------------------------------------------------------------------ discrimination


def roc(data: Judged, level: str, interval: float) -> Roc:
    """ROC curves as :meth:`multilogit.Fit.roc` describes them."""
    z = critical_value(interval)
    curves, areas = [], []
    for j in data.chosen():
        positive = data.counts[:, j]
        curve = roc_curve(data.pi[:, j], positive, data.trials - positive, data.clusters)
        names = {"category": data.categories[j], "threshold": curve.threshold}
        curves.append(
            pd.DataFrame(
                names | {"sensitivity": curve.sensitivity, "specificity": curve.specificity}
            )
        )
        low, high = auc_interval(curve.auc, curve.se, z)
        areas.append((data.categories[j], curve.auc, curve.se, low, high))
    columns = ["category", "auc", "se", "lower", "upper"]
    return Roc(
        auc=area(data),
        areas=pd.DataFrame(areas, columns=columns),
        table=pd.concat(curves, ignore_index=True),
        level=level,
    )


def area(data: Judged) -> float:
    """Area under the curve; for more than two categories that of Hand and Till."""
    if len(data.categories) == 2:
        return roc_curve(data.pi[:, 1], data.counts[:, 1], data.counts[:, 0]).auc
    return hand_till(data.pi, data.counts)


def scores(data: Judged, bins: int) -> pd.Series:
    """Scores as :meth:`multilogit.Fit.scores` describes them."""
    parts = calibrate.brier(data.pi, data.counts, bins)
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = np.where(data.counts > 0.0, data.counts * np.log(data.pi), 0.0)
    predicted = data.pi.argmax(axis=1)
    hits = data.counts[np.arange(predicted.size), predicted].sum()
    total = data.counts.sum()
    found = {
        "brier": parts.score,
        "brier_skill": parts.skill,
        "reliability": parts.reliability,
        "resolution": parts.resolution,
        "uncertainty": parts.uncertainty,
        "log_score": -float(logs.sum() / total),
        "auc": area(data),
        "accuracy": float(hits / total),
    }
    differences = tjur(data.pi, data.counts)
    for j in data.chosen():
        name = "tjur" if len(data.categories) == 2 else f"tjur[{data.categories[j]}]"
        found[name] = float(differences[j])
    return pd.Series(found, name="score")


# ------------------------------------------------------------------ calibration


def calibration(data: Judged, level: str, bins: int, interval: float) -> Calibration:
    """Calibration as :meth:`multilogit.Fit.calibration` describes it."""
    check_whole("bins", bins, 2)
    z = critical_value(interval)
    tables, lines = [], []
    for j in data.chosen():
        pi, y, trials = data.pi[:, j], data.counts[:, j], data.trials
        table = calibrate.calibration_table(pi, y, trials, bins, z, data.clusters)
        table.insert(0, "category", data.categories[j])
        tables.append(table)
        line = calibrate.recalibrate(pi, y, trials, data.clusters)
        for name in ("intercept", "slope", "in_the_large"):
            value, se = getattr(line, name), getattr(line, f"{name}_se")
            lines.append((data.categories[j], name, value, se, value - z * se, value + z * se))
    columns = ["category", "parameter", "estimate", "se", "lower", "upper"]
    return Calibration(
        table=pd.concat(tables, ignore_index=True),
        line=pd.DataFrame(lines, columns=columns),
        level=level,
    )
