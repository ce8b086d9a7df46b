"""Write the benchmark table of the README from measured results.

    python benchmarks/run.py --slow --json benchmarks/results.json
    python docs/benchmark_table.py

Only numbers of ``benchmarks/results.json`` enter the table; a test compares the two.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results.json"
README = ROOT / "README.md"
BLOCK = re.compile(r"(<!-- benchmarks -->\n).*?(<!-- /benchmarks -->)", re.DOTALL)

INTRODUCTION = (
    "Measured by `benchmarks/run.py --slow` (`make bench` runs the Python peers; see\n"
    "[benchmarks](benchmarks/README.md)): CPU seconds from a data frame to estimates and standard\n"
    "errors, one thread, medians, all on the same machine. In parentheses: times multilogit's."
)
CASES = {
    "grouped_200k_5k": "200 000 rows, 5 000 groups, `(1 \\| g)`",
    "grouped_100k_2k_30": "100 000 rows, 2 000 groups, 30 covariates",
    "crossed_100k_3k_500": "100 000 rows, `(1 \\| a) + (1 \\| b)`, 3 000 × 500",
    "insteval": "InstEval, `(1 \\| s) + (1 \\| d)`",
    "nested_50k_5k_500": "50 000 rows, 5 000 classes in 500 schools",
    "toenail_25_nodes": "toenail, 25 quadrature nodes",
    "single_1m_20": "1 000 000 rows, 20 covariates, single level",
    "multinomial_200k_10": "200 000 rows, 10 covariates, 4 categories, single level",
    "multinomial_12k_400": "12 000 rows, 400 groups, 3 categories, `(1 \\| g)`",
}


def block(results: dict[str, Any] | None) -> str:
    """What stands between the two marks of the README."""
    if results is None:
        return "No results are recorded yet: `make bench` measures on your machine.\n"
    cases = {name: label for name, label in CASES.items() if name in results}
    engines = list(dict.fromkeys(engine for name in cases for engine in results[name]))
    lines = [
        INTRODUCTION,
        "",
        "| | " + " | ".join(engines) + " |",
        "|---" * (len(engines) + 1) + "|",
    ]
    for name, label in cases.items():
        cells = [_cell(results[name], engine) for engine in engines]
        lines.append(f"| {label} | " + " | ".join(cells) + " |")
    if "small" in results:
        small = {name: 1e3 * run["wall"] for name, run in results["small"].items()}
        parts = ", ".join(f"{name} {milliseconds:.3g} ms" for name, milliseconds in small.items())
        lines += ["", f"Small things, wall time: {parts}."]
    return "\n".join(lines) + "\n"


def _cell(runs: dict[str, dict[str, float]], engine: str) -> str:
    if engine not in runs:
        return "–"
    cpu = runs[engine]["cpu"]
    if engine == "multilogit":
        return f"**{_two_digits(cpu)}**"
    return f"{_two_digits(cpu)} ({_two_digits(cpu / runs['multilogit']['cpu'])}×)"


def _two_digits(x: float) -> str:
    return f"{x:.2g}" if x < 99.5 else f"{x:.0f}"


def load() -> dict[str, Any] | None:
    """The recorded results, or None."""
    return json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else None


def main() -> None:
    made = block(load())
    text = README.read_text(encoding="utf-8")
    README.write_text(BLOCK.sub(lambda m: m[1] + made + m[2], text), encoding="utf-8")


if __name__ == "__main__":
    main()
