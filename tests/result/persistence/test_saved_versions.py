"""Models saved by every schema since the first load for ever, and predict as they did."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import multilogit as ml
from multilogit.result.persistence.record import SCHEMA

SAVED = Path(__file__).resolve().parents[2] / "saved"
FILES = [file for file in sorted(SAVED.glob("v*/*.json")) if file.name != "expected.json"]


def expected(file: Path) -> tuple[pd.DataFrame, dict[str, Any]]:
    document = json.loads((file.parent / "expected.json").read_text(encoding="utf-8"))
    return pd.DataFrame(document["new"]), document["models"][file.stem]


def numbers(values: Any) -> np.ndarray:
    return np.array(values, dtype=object).astype(float)


def test_every_schema_has_its_files() -> None:
    folders = {int(file.parent.name.removeprefix("v")) for file in FILES}
    assert folders == set(range(1, SCHEMA + 1))


@pytest.mark.parametrize("file", FILES, ids=lambda file: f"{file.parent.name}-{file.stem}")
def test_an_old_model_loads_and_predicts_as_it_did(file: Path) -> None:
    new, known = expected(file)
    fit = ml.load(file)
    assert fit.loglik == known["loglik"]
    for name in ("coef", "se"):
        found = getattr(fit, name)
        assert list(found.index) == list(known[name])
        np.testing.assert_allclose(found, numbers(list(known[name].values())), rtol=1e-10)
    for level, values in known["predictions"].items():
        made = fit.predict(new, level=level, se=True, new_groups="population")
        np.testing.assert_allclose(made.to_numpy(float), numbers(values), rtol=1e-8, atol=1e-12)
    assert len(str(fit.summary())) > 500
