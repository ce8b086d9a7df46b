"""All that a page needs of a study, in one small Parquet file."""

from __future__ import annotations

import json
import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from multilogit.extras import require
from multilogit.study.designs import Design, StudyError, parse_design
from multilogit.study.measures import summarise
from multilogit.study.store import Store

_DIGITS = 7
_KEY = b"multilogit.study"


@dataclass(frozen=True, slots=True)
class Summary:
    """Measures of a study, with what they are of.

    Attributes
    ----------
    design
        The design.
    source
        Its file.
    measures
        As of :func:`multilogit.study.summarise`.
    sessions
        When, where and with what the results were computed.
    """

    design: Design
    source: str
    measures: pd.DataFrame
    sessions: tuple[Mapping[str, Any], ...] = ()

    def save(self, path: str | Path) -> Path:
        """Write one Parquet file: the measures to seven digits; design and sessions inside.

        Raises
        ------
        StudyError
            If it cannot be written.
        """
        pa = require("pyarrow", needs="pyarrow", extra="study", purpose="Results of studies")
        parquet = require(
            "pyarrow.parquet", needs="pyarrow", extra="study", purpose="Results of studies"
        )
        numbers = {
            name: self.measures[name].map(lambda x: float(f"{x:.{_DIGITS}g}"))
            for name in ("value", "mcse")
        }
        table = pa.Table.from_pandas(self.measures.assign(**numbers), preserve_index=False)
        facts = {"name": self.design.name, "design": self.source, "sessions": self.sessions}
        table = table.replace_schema_metadata(
            {**(table.schema.metadata or {}), _KEY: json.dumps(facts).encode()}
        )
        target = Path(path)
        beside = target.with_suffix(".tmp")
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            parquet.write_table(table, beside, compression="zstd", compression_level=19)
            os.replace(beside, target)
        except OSError as error:
            raise StudyError(f"{str(path)!r} cannot be written: {error.strerror}.") from None
        return target


def summary_of(source: str | Path | Store | Summary) -> Summary:
    """The summary of a directory of results, or of a file that :meth:`Summary.save` wrote.

    Raises
    ------
    StudyError
        If there is neither.
    """
    if isinstance(source, Summary):
        return source
    if isinstance(source, Store):
        return _of_store(source)
    path = Path(source)
    return _read(path) if path.is_file() else _of_store(Store(path))


def _of_store(store: Store) -> Summary:
    results = store.results()
    return Summary(results.design, store.source(), summarise(results), results.sessions)


def _read(path: Path) -> Summary:
    parquet = require(
        "pyarrow.parquet", needs="pyarrow", extra="study", purpose="Results of studies"
    )
    pa = require("pyarrow", needs="pyarrow", extra="study", purpose="Results of studies")
    try:
        table = parquet.read_table(path)
    except (OSError, pa.ArrowInvalid):
        raise StudyError(f"{str(path)!r} is not a summary of a study.") from None
    if _KEY not in (table.schema.metadata or {}):
        raise StudyError(f"{str(path)!r} is not a summary of a study.")
    facts = json.loads(table.schema.metadata[_KEY])
    design = parse_design(tomllib.loads(facts["design"]), facts["name"])
    return Summary(design, facts["design"], table.to_pandas(), tuple(facts["sessions"]))
