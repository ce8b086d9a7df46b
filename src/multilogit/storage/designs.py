"""Records of frozen designs: a formula, and what training has taught.

Reading parses the formula anew, with the checks that a user's formula passes, so that nothing in
a file is evaluated that a user could not have written. What was learnt is numbers and levels,
under names that this formula has use for.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from itertools import chain
from typing import Any

import numpy as np

from multilogit.data.grouping import GroupLevels
from multilogit.errors import FormulaError
from multilogit.formula import Design
from multilogit.formula.design import Learnt
from multilogit.formula.functions import LEARNING
from multilogit.formula.limits import MAX_COLUMNS
from multilogit.formula.parse import parse
from multilogit.formula.safety import called
from multilogit.formula.spec import FormulaSpec, Variable
from multilogit.storage.arrays import read_array, write_array
from multilogit.storage.node import Node
from multilogit.storage.values import read_value, write_value

State = dict[str, Any]


def write_design(design: Design) -> dict[str, Any]:
    """The record of a design."""
    groups = {
        name: {
            "columns": list(levels.columns),
            "parts": [[write_value(level) for level in part] for part in levels.parts],
            "combinations": write_array(levels.combinations) if len(levels.columns) > 1 else None,
        }
        for name, levels in design.learnt.groups.items()
    }
    return {
        "formula": design.formula,
        "states": design.learnt.states,
        "groups": groups,
        "offset": design.offset,
    }


def read_design(node: Node) -> Design:
    """A design that :func:`write_design` has written."""
    parts = node.record("formula", "states", "groups", "offset")
    spec = read_formula(parts["formula"])
    states = _read_states(parts["states"], spec)
    groups = _read_groups(parts["groups"], spec)
    offset = parts["offset"].value
    if offset is not None and offset is not True:
        offset = parts["offset"].text()
    return Design(spec, Learnt(states, groups), offset)


def read_formula(node: Node) -> FormulaSpec:
    """A formula, parsed and checked as if a user had written it."""
    try:
        return parse(node.text())
    except FormulaError as error:
        node.fail(f"is not a formula that may be used. {error}")


# --- what was learnt ---------------------------------------------------------------------------


def _read_states(node: Node, spec: FormulaSpec) -> dict[str, State]:
    factors, transforms = _learners(spec)
    states: dict[str, State] = {}
    for name, state in node.mapping().items():
        if name in factors:
            states[name] = _read_factor(state)
        elif name in transforms:
            states[name] = {key: _read_learnt(item) for key, item in state.mapping().items()}
        else:
            node.fail(f"{name[:80]!r} is not in the formula.")
    lacking = [name for name, learns in transforms.items() if learns and name not in states]
    if lacking:
        node.fail(f"lacks what {lacking[0]} has learnt.")
    return states


def _read_factor(node: Node) -> State:
    """The levels of a factor, and whether it is kept without columns."""
    parts = node.record("levels", optional=("compact",))
    state: State = {"levels": list(parts["levels"].texts())}
    if "compact" in parts:
        if parts["compact"].value is not True:
            parts["compact"].fail("must be true.")
        state["compact"] = True
    return state


def _learners(spec: FormulaSpec) -> tuple[set[str], dict[str, bool]]:
    """Expressions that may have learnt levels, and calls that may have, or must have, numbers."""
    sums = (spec.fixed, *(bar.terms for bar in spec.bars))
    variables = [*chain(*(terms.variables for terms in sums), spec.offsets, spec.response.parts)]
    factors = {v.expression for v in variables if v.kind in ("column", "factor")}
    return factors, dict(chain(*map(_transforms, variables)))


def _transforms(variable: Variable) -> Iterator[tuple[str, bool]]:
    """Calls of functions that learn, as formulaic names them; raw polynomials need not."""
    for node in ast.walk(ast.parse(variable.expression, mode="eval")):
        if isinstance(node, ast.Call) and called(node) in LEARNING:
            yield ast.unparse(node), all(option.arg != "raw" for option in node.keywords)


def _read_learnt(node: Node, depth: int = 0) -> Any:
    """Numbers, true or false, null; lists of them; one object of them (by degree)."""
    value = node.value
    if isinstance(value, dict) and depth == 0:
        if not all(key.isdigit() and len(key) < 4 for key in value):
            node.fail("must have degrees as its keys.")
        return {key: item.number() for key, item in node.mapping().items()}
    if isinstance(value, list) and depth < 2:
        if len(value) > MAX_COLUMNS:
            node.fail("is too long.")
        return [_read_learnt(item, depth + 1) for item in node.items()]
    if value is None or isinstance(value, bool):
        return value
    node.number()
    return value


# --- grouping factors --------------------------------------------------------------------------


def _read_groups(node: Node, spec: FormulaSpec) -> dict[str, GroupLevels]:
    columns = {bar.group.name: tuple(c.text for c in bar.group.columns) for bar in spec.bars}
    found = node.record(*columns)
    return {name: _read_group(item, columns[name]) for name, item in found.items()}


def _read_group(node: Node, columns: tuple[str, ...]) -> GroupLevels:
    fields = node.record("columns", "parts", "combinations")
    if fields["columns"].texts() != columns:
        fields["columns"].fail(f"must be {', '.join(map(repr, columns))}, as in the formula.")
    parts = tuple(
        tuple(_read_level(level) for level in part.items())
        for part in fields["parts"].items(len(columns))
    )
    if len(columns) == 1:
        combinations = np.arange(len(parts[0]), dtype=np.int32).reshape(-1, 1)
        return GroupLevels(columns, parts, combinations)
    place = fields["combinations"]
    combinations = read_array(place, None, len(columns), dtype="int32")
    sizes = np.array([len(part) for part in parts])
    if ((combinations < 0) | (combinations >= sizes)).any():
        place.fail("names levels that there are not.")
    return GroupLevels(columns, parts, combinations)


def _read_level(node: Node) -> Any:
    """The value of a level: anything but a list or an object of values."""
    level = read_value(node)
    if isinstance(level, list | dict | np.ndarray):
        node.fail("is not a level.")
    return level
