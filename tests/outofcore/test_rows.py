"""Rows on their way to their parts: what is packed of them, and that nothing is lost."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from multilogit.data.model_frame import ModelFrame
from multilogit.formula import build_frame
from multilogit.outofcore.rows import Packing


def frame_of(formula: str, **options: str) -> ModelFrame:
    rng = np.random.default_rng(0)
    data = pd.DataFrame(
        {
            "y": rng.integers(0, 2, 40),
            "x": rng.normal(size=40),
            "z": rng.normal(size=40),
            "o": rng.normal(size=40),
            "n": rng.integers(1, 4, 40),
            "g": rng.integers(0, 5, 40),
        }
    )
    data.loc[:4, "g"] = np.arange(5)
    return build_frame(formula, data, **options)[0]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("formula", "options", "width"),
    [
        ("y ~ x + z + (1 + x | g)", {}, 4),  # x, z, y, g; no intercept, no trials
        ("y ~ 0 + x + (1 | g)", {}, 4),  # the intercept of the random effects alone is a column
        ("y ~ x + (0 + z | g)", {"offset": "o"}, 5),
        ("y ~ x + (1 | g)", {"trials": "n"}, 4),
        ("y ~ x", {"weights": "n"}, 3),
    ],
)
def test_rows_come_back_as_they_were(formula: str, options: dict[str, str], width: int) -> None:
    frame = frame_of(formula, **options)
    counts, trials = frame.response.weighted()
    packing = Packing.of(frame, trials=bool((trials != 1.0).any()))
    assert packing.width == width
    block = packing.pack(frame, {name: g.codes for name, g in frame.groupings.items()})
    assert block.shape == (width, 40)
    back = packing.unpack(block, frame)
    np.testing.assert_array_equal(back.response.counts, counts)
    np.testing.assert_array_equal(back.response.trials, trials)
    assert back.response.weights is None
    assert back.fixed.names == frame.fixed.names
    np.testing.assert_array_equal(back.fixed.matrix(), frame.fixed.matrix())
    for one, other in zip(back.random, frame.random, strict=True):
        np.testing.assert_array_equal(one.columns, other.columns)
    for name, grouping in frame.groupings.items():
        np.testing.assert_array_equal(back.codes[name], grouping.codes)
    if frame.offset is not None:
        np.testing.assert_array_equal(back.offset, frame.offset)
