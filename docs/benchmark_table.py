"""Write the tables of the README and of docs/performance.md from measured results.

    python benchmarks/run.py --slow --results benchmarks/results.json
    python benchmarks/floors.py --json benchmarks/floors.json
    python docs/benchmark_table.py

Only numbers of these two files enter the tables; a test compares them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results.json"
FLOORS = ROOT / "benchmarks" / "floors.json"
README = ROOT / "README.md"
PERFORMANCE = ROOT / "docs" / "performance.md"

SAME = 1e-6
"""An engine that stopped further below the best log-likelihood is marked."""

Results = dict[str, Any]

GROUPED = ("glmm", "gpboost", "mixedlm", "lme4", "glmmTMB")
SINGLE = ("glum", "sklearn", "statsmodels", "nnet")
CASES = {
    "cbpp": "cbpp: 56 rows, 15 herds",
    "verbagg_24_316": "VerbAgg: 7 584 rows, 316 × 24 crossed",
    "grouped_200k_5k": "200 000 rows, 5 000 groups, `(1 \\| g)`",
    "slope_100k_2k": "100 000 rows, 2 000 groups, `(1 + x \\| g)`",
    "grouped_100k_2k_30": "100 000 rows, 2 000 groups, 30 covariates",
    "grouped_2m_1m": "2 000 000 rows, 1 000 000 groups",
    "grouped_10m_500k": "10 000 000 rows, 500 000 groups",
    "nested_50k_5k_500": "50 000 rows, 5 000 classes in 500 schools",
    "crossed_100k_3k_500": "100 000 rows, 3 000 × 500 crossed",
    "insteval": "InstEval: 73 421 rows, 2 972 × 1 128 crossed",
    "toenail_25_nodes": "toenail: 1 908 rows, 25 quadrature nodes",
    "quadrature_20k_1k": "20 000 rows, 1 000 groups, 7 quadrature nodes",
    "multinomial_12k_400": "12 000 rows, 400 groups, 3 categories",
    "single_1m_20": "1 000 000 rows, 20 covariates",
    "single_1m_100": "1 000 000 rows, 100 covariates",
    "factor_1m_10k": "1 000 000 rows, 10 covariates, a factor of 10 000 levels",
    "multinomial_200k_10": "200 000 rows, 10 covariates, 4 categories",
}
OTHER = {
    "grouped_10m_500k_4_threads": "the same on 4 threads",
    "cold_2k": "a cold process, CSV file of 2 000 rows",
}
MEASURES = {"cpu": "", "wall": ", wall time", "added_mib": ", memory"}
SHORT = ("grouped_200k_5k", "slope_100k_2k", "crossed_100k_3k_500", "insteval", "toenail_25_nodes")
SHORT += ("single_1m_20", "multinomial_200k_10")

MEASURED = (
    "CPU seconds from a data frame to estimates and standard errors, one thread, medians, all on\n"
    "the same machine in one run. In parentheses: times multilogit's; with °: stopped more than\n"
    "1e-6 below the maximum."
)


def readme(results: Results | None, floors: Results | None) -> str:
    """The short tables, and small things."""
    if results is None:
        return "No results are recorded yet: `make bench` measures on your machine.\n"
    chosen = {name: results[name] for name in SHORT if name in results}
    parts = [
        f"{MEASURED} All cases, memory, and how it is measured: [performance](docs/performance.md)."
    ]
    parts += [_table(chosen, engines) for engines in (GROUPED, SINGLE)]
    return "\n\n".join([*parts, *_small(results)]) + "\n"


def comparison(results: Results | None, floors: Results | None) -> str:
    """All cases: CPU seconds, then memory, then the distance to the maximum."""
    if results is None:
        return "No results are recorded.\n"
    parts = [MEASURED]
    parts += [_table(results, engines) for engines in (GROUPED, SINGLE)]
    return "\n\n".join([*parts, *_small(results)]) + "\n"


def targets(results: Results | None, floors: Results | None) -> str:
    """What was to be shown, and what was."""
    lines = ["| case | against | at least | measured |", "|---|---|---|---|"]
    for row in (results or {}).get("targets", []):
        label = CASES.get(row["case"], OTHER.get(row["case"], row["case"]))
        if "within" in row:
            wanted, reached = f"within {row['within']:g} s", f"{row['reached']:.2g} s"
            against = "–"
        else:
            wanted, reached = f"{row['times']:g}×", f"{_two_digits(row['reached'])}×"
            against = row["engine"] + MEASURES[row["measure"]]
            against += "" if row["of"] == "multilogit" else f" / {row['of']}"
        lines.append(f"| {label} | {against} | {wanted} | {_bold(reached, not row['met'])} |")
    return "\n".join(lines) + "\n"


def _bold(text: str, wanted: bool) -> str:
    return f"**{text}**" if wanted else text


def distances(results: Results | None, floors: Results | None) -> str:
    """How far each engine stopped from the maximum, and the memory that it took."""
    if results is None:
        return "No results are recorded.\n"
    lines = [
        "| | engine | below the best | max\\|gradient\\| | memory, MiB |",
        "|---|---|---|---|---|",
    ]
    for name, label in CASES.items():
        for engine, run in results.get(name, {}).items():
            if "short" in run:
                short, gradient = (f"{run[name]:.0e}" for name in ("short", "gradient"))
                added = f"{run['added_mib']:.0f}"
                lines.append(f"| {label} | {engine} | {short} | {gradient} | {added} |")
                label = ""
    return "\n".join(lines) + "\n"


def kernels(results: Results | None, floors: Results | None) -> str:
    """Floors at the best level, and the fractions of their floors that all levels reach."""
    if floors is None:
        return "No floors are recorded.\n"
    levels: Results = floors["levels"]
    best, *others = levels
    top = levels[best]
    products = ", ".join(f"{found['product']:.3g} at {level}" for level, found in levels.items())
    told = (
        f"One thread, {floors['rows']:,} rows. Ceilings: copy {top['copy']:.3g} GB/s, exponential "
        f"{1 / top['exp']:.2f} ns, logarithm {1 / top['log']:.2f} ns, division "
        f"{1 / top['division']:.2f} ns; matrix product, Gflop/s: {products}. Bytes, operations "
        f"and times are those of the floor, at {best}; the fractions are of the floor at the same "
        "level."
    ).replace(",000 rows", " 000 rows")
    columns = ["kernel", "bytes", "flops", "exp", "memory, ns", "arithmetic, ns"]
    columns += [f"{level}: {what}" for level in levels for what in ("measured, ns", "fraction")]
    lines = [f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
    for i, kernel in enumerate(levels[best]["kernels"]):
        cells = [kernel["kernel"], *(f"{kernel[name]:.0f}" for name in ("bytes", "flops", "exps"))]
        cells += [f"{kernel[name]:.1f}" for name in ("memory_ns", "arithmetic_ns")]
        for found in (kernel, *(levels[level]["kernels"][i] for level in others)):
            cells += [f"{found['measured_ns']:.1f}", f"{found['fraction']:.0%}"]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n\n".join([told, "\n".join(lines)]) + "\n"


def _table(results: Results, engines: tuple[str, ...]) -> str:
    """The cases that any of these engines fits; those of multilogit alone are multilevel ones."""
    rows = {}
    for name, label in CASES.items():
        found = results.get(name, {})
        alone = engines is GROUPED and set(found) == {"multilogit"}
        if alone or any(engine in found for engine in engines):
            rows[label] = found
    used = [engine for engine in engines if any(engine in found for found in rows.values())]
    lines = ["| | multilogit | " + " | ".join(used) + " |", "|---" * (len(used) + 2) + "|"]
    for label, found in rows.items():
        cells = [_cell(found, engine) for engine in ("multilogit", *used)]
        lines.append(f"| {label} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _cell(runs: dict[str, dict[str, float]], engine: str) -> str:
    if engine not in runs:
        return "–"
    cpu = runs[engine]["cpu"]
    mark = "°" if runs[engine].get("short", 0.0) > SAME else ""
    if engine == "multilogit":
        return f"**{_two_digits(cpu)}**{mark}"
    return f"{_two_digits(cpu)} ({_two_digits(cpu / runs['multilogit']['cpu'])}×){mark}"


def _small(results: Results) -> list[str]:
    """What small things take."""
    lines = []
    if "small" in results:
        small = {name: 1e3 * run["wall"] for name, run in results["small"].items()}
        parts = (f"{name} {milliseconds:.3g} ms" for name, milliseconds in small.items())
        lines.append(f"Small things, wall time: {', '.join(parts)}.")
    cold = results.get("cold_2k", {})
    if {"multilogit", "lme4"} <= cold.keys():
        ours, theirs = (cold[engine]["wall"] for engine in ("multilogit", "lme4"))
        lines.append(
            "A cold process on a CSV file of 2 000 rows, wall time: "
            f"`multilogit fit` {ours:.2f} s, `Rscript` with `glmer` {theirs:.2f} s."
        )
    return lines


def _two_digits(x: float) -> str:
    return f"{x:#.2g}".removesuffix(".") if x < 99.5 else f"{x:.0f}"


BLOCKS: dict[Path, dict[str, Callable[[Results | None, Results | None], str]]] = {
    README: {"benchmarks": readme},
    PERFORMANCE: {
        "comparison": comparison,
        "targets": targets,
        "distances": distances,
        "floors": kernels,
    },
}
"""Per page and mark, what stands between ``<!-- mark -->`` and ``<!-- /mark -->``."""


def load(path: Path) -> Results | None:
    """Recorded numbers, or None."""
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None


def written(page: Path) -> str:
    """The page with its tables as they are to be."""
    text = page.read_text(encoding="utf-8")
    for mark, made in BLOCKS[page].items():
        pattern = re.compile(rf"(<!-- {mark} -->\n).*?(<!-- /{mark} -->)", re.DOTALL)
        block = made(load(RESULTS), load(FLOORS))
        text, found = pattern.subn(lambda m, block=block: m[1] + block + m[2], text)
        if found != 1:
            raise SystemExit(f"{page.name}: {found} blocks are marked {mark!r}")
    return text


def main() -> None:
    for page in BLOCKS:
        page.write_text(written(page), encoding="utf-8")


if __name__ == "__main__":
    main()
