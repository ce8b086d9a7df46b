"""Results of a study on disk: one pair of Parquet files per batch, complete or not there.

A directory holds ``<design>.toml``, ``sessions.json`` and ``parts/``. A batch's name says what it
depends on: the digest of cell and settings, the estimator, the replicates. Both files are
written beside their place and renamed; ``fits-…`` is renamed last, so that a batch counts if and
only if its ``fits-…`` is there. A process may be killed at any time.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd

from multilogit._version import __version__
from multilogit.extras import require
from multilogit.study.designs import Cell, Design, StudyError, load_design

FITS, PARAMETERS = "fits", "parameters"


@dataclass(frozen=True, slots=True)
class Batch:
    """Replicates ``start`` … ``stop − 1`` of one cell and estimator."""

    cell: str
    estimator: str
    start: int
    stop: int
    key: str


@dataclass(frozen=True, slots=True)
class Results:
    """All stored results of a design.

    Attributes
    ----------
    design
        The design.
    fits
        One row per cell, estimator and replicate.
    parameters
        One row per fit and parameter.
    sessions
        When, where and with what they were computed.
    """

    design: Design
    fits: pd.DataFrame
    parameters: pd.DataFrame
    sessions: tuple[Mapping[str, Any], ...] = ()


@dataclass(frozen=True, slots=True)
class Store:
    """A directory of results.

    Attributes
    ----------
    path
        The directory.
    """

    path: Path

    def begin(self, design: Design, source: str) -> None:
        """Write the design and this session's facts.

        Raises
        ------
        StudyError
            If the directory belongs to another design or cannot be written.
        """
        others = [p.stem for p in self.path.glob("*.toml") if p.stem != design.name]
        if others:
            raise StudyError(
                f"{str(self.path)!r} holds results of {others[0]!r}; give another directory."
            )
        try:
            (self.path / "parts").mkdir(parents=True, exist_ok=True)
            _replace(self.path / f"{design.name}.toml", source.encode())
            sessions = [*self.sessions(), session_facts()]
            _replace(self.path / "sessions.json", json.dumps(sessions, indent=1).encode())
        except OSError as error:
            raise StudyError(f"{str(self.path)!r} cannot be written: {error.strerror}.") from None

    def finish(self) -> None:
        """Note when this session ended; one that was killed has no such note."""
        sessions = self.sessions()
        ended = datetime.now(UTC).isoformat(timespec="seconds")
        sessions[-1] = {**sessions[-1], "ended": ended}
        _replace(self.path / "sessions.json", json.dumps(sessions, indent=1).encode())

    def sessions(self) -> list[Mapping[str, Any]]:
        """Facts of all sessions so far."""
        file = self.path / "sessions.json"
        return json.loads(file.read_text(encoding="utf-8")) if file.is_file() else []

    def write(self, batch: Batch, fits: pd.DataFrame, parameters: pd.DataFrame) -> None:
        """Store a batch; it is there completely, or not at all."""
        require("pyarrow", needs="pyarrow", extra="study", purpose="Results of studies")
        for kind, table in ((PARAMETERS, parameters), (FITS, fits)):  # fits last: they count
            target = self._part(kind, batch)
            beside = target.with_suffix(f".{os.getpid()}.tmp")
            table.to_parquet(beside, index=False)
            os.replace(beside, target)

    def missing(self, batches: Sequence[Batch]) -> list[Batch]:
        """Batches that are not there yet."""
        return [batch for batch in batches if not self._part(FITS, batch).is_file()]

    def design(self) -> Design:
        """The design that the directory belongs to.

        Raises
        ------
        StudyError
            If there are no results in the directory.
        """
        return load_design(self._design_file())

    def source(self) -> str:
        """The text of the design's file.

        Raises
        ------
        StudyError
            If there are no results in the directory.
        """
        return self._design_file().read_text(encoding="utf-8")

    def _design_file(self) -> Path:
        found = sorted(self.path.glob("*.toml"))
        if len(found) != 1:
            raise StudyError(f"{str(self.path)!r} is not a directory of results of a study.")
        return found[0]

    def results(self) -> Results:
        """Everything that is there for the design as it is now.

        Raises
        ------
        StudyError
            If there is nothing.
        """
        require("pyarrow", needs="pyarrow", extra="study", purpose="Results of studies")
        design = self.design()
        names = [p.name.split("-", 1)[1] for p in sorted(self.path.glob(f"parts/{FITS}-*.parquet"))]
        owners = [name.rsplit("-", 2)[0] for name in names]  # key and estimator
        known = {
            f"{key_of(design, cell, estimator)}-{estimator}"
            for estimator in {owner.split("-", 1)[1] for owner in owners}
            for cell in design.cells
        }
        names = [name for name, owner in zip(names, owners, strict=True) if owner in known]
        if not names:
            raise StudyError(f"There are no results in {str(self.path)!r} yet.")
        fits, parameters = (self._read(kind, names) for kind in (FITS, PARAMETERS))
        unique = ["cell", "estimator", "replicate"]
        return Results(
            design,
            _in_order(design, fits.drop_duplicates(unique, keep="last")),
            _in_order(design, parameters.drop_duplicates([*unique, "parameter"], keep="last")),
            tuple(self.sessions()),
        )

    def _read(self, kind: str, names: Sequence[str]) -> pd.DataFrame:
        parts = [pd.read_parquet(self.path / "parts" / f"{kind}-{name}") for name in names]
        return pd.concat(parts, ignore_index=True)

    def _part(self, kind: str, batch: Batch) -> Path:
        name = f"{kind}-{batch.key}-{batch.estimator}-{batch.start:06d}-{batch.stop:06d}.parquet"
        return self.path / "parts" / name


def key_of(design: Design, cell: Cell, estimator: str) -> str:
    """Digest of all that results of an estimator in a cell depend on, but its name."""
    intervals = sorted(design.intervals_for(estimator))
    content = f"{design.name} {cell.digest} {intervals} {design.fresh_groups}"
    return hashlib.sha256(content.encode()).hexdigest()[:16]


def batches_of(design: Design, cell: Cell, estimator: str, size: int) -> Iterator[Batch]:
    """All batches of a cell and an estimator."""
    n = design.replicates_for(estimator)
    key = key_of(design, cell, estimator)
    for start in range(0, n, size):
        yield Batch(cell.name, estimator, start, min(start + size, n), key)


def session_facts() -> dict[str, Any]:
    """When, where and with what."""
    return {
        "began": datetime.now(UTC).isoformat(timespec="seconds"),
        "multilogit": __version__,
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}",
        "processors": os.cpu_count(),
    }


def _in_order(design: Design, table: pd.DataFrame) -> pd.DataFrame:
    """Rows in the design's order of cells and estimators, then by replicate."""
    names = [*design.estimators, *sorted(set(table["estimator"]) - set(design.estimators))]
    rank = {
        "cell": {cell.name: k for k, cell in enumerate(design.cells)},
        "estimator": {name: k for k, name in enumerate(names)},
    }
    return table.sort_values(
        ["cell", "estimator", "replicate"],
        key=lambda column: column.map(rank[column.name]) if column.name in rank else column,
        kind="stable",
        ignore_index=True,
    )


def _replace(path: Path, content: bytes) -> None:
    beside = path.with_suffix(".tmp")
    beside.write_bytes(content)
    os.replace(beside, path)
