"""The log of measurements: one JSON object per line, appended as soon as it is known."""

from __future__ import annotations

import json
import time
from collections.abc import Collection
from pathlib import Path
from typing import Any

Measurement = dict[str, Any]

JUDGED = -1
"""The round under which the verdict on an engine's estimates is kept."""


class Log:
    """What has been measured, by case, engine and round."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._known: dict[tuple[str, str, int], Measurement] = {}
        if path.exists():
            for line in path.read_text(encoding="utf-8").splitlines():
                entry = self.parse(line)
                self._known[entry["case"], entry["engine"], entry["round"]] = entry

    @staticmethod
    def parse(line: str) -> Measurement:
        """A line as an object."""
        found: Measurement = json.loads(line)
        return found

    @staticmethod
    def text(value: object) -> str:
        """An object as a line."""
        return json.dumps(value)

    def add(self, case: str, engine: str, number: int, measured: Measurement) -> None:
        """Remember and append one measurement."""
        when = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        entry = {"case": case, "engine": engine, "round": number, "when": when, **measured}
        self._known[case, engine, number] = entry
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a", encoding="utf-8") as file:
            file.write(self.text(entry) + "\n")

    def get(self, case: str, engine: str, number: int) -> Measurement | None:
        return self._known.get((case, engine, number))

    def rounds(self, case: str) -> dict[str, list[Measurement]]:
        """The measurements of every engine, verdicts left out."""
        found: dict[str, list[Measurement]] = {}
        for (name, engine, number), entry in self._known.items():
            if name == case and number != JUDGED:
                found.setdefault(engine, []).append(entry)
        return found

    def unjudged(self, case: str) -> dict[str, Measurement]:
        """The estimates that have no verdict yet."""
        found = {}
        for engine, entries in self.rounds(case).items():
            if self.get(case, engine, JUDGED) is None and entries[0].get("beta"):
                found[engine] = {name: entries[0][name] for name in ("beta", "covariance")}
        return found

    def forget(self, case: str, engines: Collection[str]) -> None:
        """Drop what is known of these engines, from the file as well."""
        self._known = {
            key: entry
            for key, entry in self._known.items()
            if not (key[0] == case and key[1] in engines)
        }
        if self.path.exists():
            lines = [self.text(entry) + "\n" for entry in self._known.values()]
            part = self.path.with_name(f"part-{self.path.name}")
            part.write_text("".join(lines), encoding="utf-8")
            part.rename(self.path)
