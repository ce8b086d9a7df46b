"""Writes the models that every later version must load: ``python tests/saved/make.py``.

They are kept in ``tests/saved/v<schema>``, with what they predicted when they were made. Run this
once for a new schema, with the first release that writes it; files of older schemas are never
made again.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import multilogit as ml
from multilogit.result.persistence.record import SCHEMA

HERE = Path(__file__).resolve().parent
MODELS: dict[str, tuple[str, dict[str, Any]]] = {
    "transforms": (
        "y ~ scale(x) + poly(t, 2) + bs(x, df=4) + C(kind, contr.sum) * yes + I(log(t) > 0.5)",
        {"prior": ml.RelativeEntropy(strength="auto")},
    ),
    "nested": ("y ~ x + (1 + x | a) + (1 | a:b)", {"prior": ml.Normal(2.0) + ml.Wishart()}),
    "crossed": ("cbind(k, 4 - k) ~ x + offset(0.1 * t) + (1 | a) + (1 | kind)", {}),
    "nodes": ("k ~ x + (1 | b)", {"trials": "size", "nodes": 9, "weights": np.arange(150) % 3}),
    "multinomial": ("color ~ x + (1 | b)", {"baseline": "red"}),
    "frozen": ("y ~ I(1.0 * y) + x", {"infinite": "freeze"}),
    "robust": ("y ~ x + kind", {}),
}


def data(n: int, seed: int) -> pd.DataFrame:
    """Columns of every kind."""
    rng = np.random.default_rng(seed)
    a, b = rng.integers(0, 8, n), rng.integers(0, 5, n)
    x, t = rng.normal(size=n), rng.uniform(1.0, 3.0, n)
    p = 1.0 / (1.0 + np.exp(-(0.5 * x + rng.normal(size=8)[a])))
    return pd.DataFrame(
        {
            "y": rng.random(n) < p,
            "k": rng.binomial(4, p),
            "size": 4,
            "color": rng.choice(["red", "green", "blue"], n),
            "x": x,
            "t": t,
            "kind": rng.choice(["u", "v", "w"], n),
            "yes": rng.random(n) < 0.5,
            "a": a,
            "b": np.array([f"b{k}" for k in b]),
        }
    )


def new_data() -> pd.DataFrame:
    """Rows to predict; some groups are new."""
    new = data(12, 99)
    new["x"] = np.linspace(-1.5, 1.5, 12)
    new["t"] = np.linspace(1.1, 2.9, 12)
    new.loc[11, ["a", "b"]] = [99, "b99"]
    return new


def predictions(fit: ml.Fit, new: pd.DataFrame) -> dict[str, Any]:
    """Of every level, with standard errors."""
    found = {}
    for level in ("conditional", "population", "marginal"):
        made = fit.predict(new, level=level, se=True, new_groups="population")
        found[level] = made.to_numpy().tolist()
    return found


def main() -> None:
    """Write the files."""
    folder = HERE / f"v{SCHEMA}"
    if folder.exists():
        sys.exit(f"{folder} exists: what was written stays as it is")
    folder.mkdir()
    new = new_data()
    expected: dict[str, Any] = {"new": new.to_dict(orient="list"), "models": {}}
    for name, (formula, options) in MODELS.items():
        fit = ml.fit(formula, data(150, 7), threads=1, **options)
        fit = fit.with_vcov("HC1") if name == "robust" else fit
        fit.save(folder / f"{name}.json")
        made = {"coef": fit.coef.to_dict(), "se": fit.se.to_dict(), "loglik": fit.loglik}
        expected["models"][name] = made | {"predictions": predictions(fit, new)}
    text = json.dumps(expected, indent=1).replace("Infinity", '"inf"').replace('-"inf"', '"-inf"')
    (folder / "expected.json").write_text(text.replace("NaN", '"nan"') + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
