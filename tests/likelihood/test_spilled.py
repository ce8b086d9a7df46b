"""Parts in files: the same numbers as in memory, and no memory after use."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from multilogit.errors import DataError
from multilogit.evaluation import Evaluation
from multilogit.likelihood import spilled
from multilogit.likelihood.fixed import FixedLikelihood
from multilogit.likelihood.grouped import GroupedLikelihood
from multilogit.likelihood.nested import NestedLikelihood
from multilogit.likelihood.spilled import SpilledFixed, SpilledParts

Array = NDArray[np.float64]
RNG = np.random.default_rng(3)
N = 40_000
X = [np.ones(N), RNG.normal(size=N)]
LEAF = RNG.integers(0, 2_000, N).astype(np.int32)
Y = (RNG.random(N) < 0.4).astype(float)
TRIALS = np.ones(N)
OFFSET = RNG.normal(size=N)


def same(a: Evaluation, b: Evaluation) -> None:
    assert a.value == b.value
    np.testing.assert_array_equal(a.gradient, b.gradient)
    np.testing.assert_array_equal(a.hessian, b.hessian)


def likelihood(kind: str, scratch: str) -> GroupedLikelihood | NestedLikelihood:
    if kind == "grouped":
        return GroupedLikelihood(
            X, X[:1], [1], Y, TRIALS, LEAF, 2_000, offset=OFFSET, scratch=scratch
        )
    codes = [LEAF, (LEAF // 50).astype(np.int32)]
    return NestedLikelihood(
        X, [X[:1], X[:1]], [[1], [1]], Y, TRIALS, codes, [2_000, 40], scratch=scratch
    )


@pytest.mark.parametrize("kind", ["grouped", "nested"])
def test_tiles_in_files_are_the_tiles_in_memory(kind: str, tmp_path: Path) -> None:
    inside, outside = likelihood(kind, ""), likelihood(kind, str(tmp_path))
    assert inside.bytes == outside.bytes >= N * 8 * 3
    psi = np.full(inside.p + inside.structure.m, 0.4)
    for _ in range(2):
        same(inside.evaluate(psi), outside.evaluate(psi))
        inside.release()  # in memory: nothing to release
        outside.release()
        outside.prefetch()
    assert not list(tmp_path.iterdir())  # the files have no names


def test_responses_of_one_trial_are_bits() -> None:
    """The same numbers as where one row without trials makes all of them numbers."""
    bits = likelihood("grouped", "")
    more = [np.append(column, 1.0) for column in X]
    zero, leaf = np.append(TRIALS, 0.0), np.append(LEAF, LEAF[:1])
    numbers = GroupedLikelihood(
        more, more[:1], [1], np.append(Y, 0.0), zero, leaf, 2_000, offset=np.append(OFFSET, 0.0)
    )
    assert numbers.bytes - bits.bytes > 15 * N
    psi = np.full(3, 0.4)
    here, there = bits.evaluate(psi), numbers.evaluate(psi)
    assert here.value == pytest.approx(there.value, rel=1e-13)
    np.testing.assert_allclose(here.gradient, there.gradient, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(here.hessian, there.hessian, rtol=1e-9)


def test_a_new_response_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="tiles in files keep their response"):
        likelihood("grouped", str(tmp_path)).set_response(Y, TRIALS)


def test_a_scratch_directory_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="no scratch file"):
        likelihood("grouped", str(tmp_path / "missing"))


@pytest.mark.parametrize("weights", [None, RNG.integers(0, 3, N).astype(float)])
@pytest.mark.parametrize("offset", [None, OFFSET])
def test_single_level(tmp_path: Path, weights: Array | None, offset: Array | None) -> None:
    inside = FixedLikelihood(X, Y, TRIALS, offset, weights)
    outside = SpilledFixed(X, Y[:, None], TRIALS, offset, weights, 1, str(tmp_path))
    beta = np.array([0.3, -0.2])
    same(inside.evaluate(beta), outside.evaluate(beta))
    outside.release()
    outside.prefetch()
    same(inside.at_zero, outside.at_zero)
    assert inside.total_trials == outside.total_trials
    for a, b in zip(inside.normal_equations(), outside.normal_equations(), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.skipif(not hasattr(spilled.os, "posix_fallocate"), reason="room is not reserved")
def test_no_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(spilled.os, "posix_fallocate", full)
    with pytest.raises(DataError, match=r"No room for .* No space left"):
        SpilledFixed(X, Y[:, None], TRIALS, None, None, 1, str(tmp_path))


def resident() -> int:
    """Bytes of this process in memory."""
    pages = Path("/proc/self/statm").read_text(encoding="ascii").split()[1]
    return int(pages) * 4096


@pytest.mark.skipif(sys.platform != "linux", reason="memory is measured with /proc")
def test_what_is_released_takes_no_memory(tmp_path: Path) -> None:
    columns = [*X, *(RNG.normal(size=N) for _ in range(58))]
    parts = [
        SpilledFixed(columns, Y[:, None], TRIALS, None, None, 1, str(tmp_path)) for _ in range(4)
    ]
    size = parts[0].bytes
    assert size == N * 8 * 62
    beta = np.zeros(60)
    before = resident()
    kept = SpilledParts(parts, resident=2 * size)
    assert len(kept.call("evaluate", beta)) == 4
    assert 1.5 * size < resident() - before < 3.0 * size
    SpilledParts(parts).call("evaluate", beta)
    assert resident() - before < 1.0 * size
