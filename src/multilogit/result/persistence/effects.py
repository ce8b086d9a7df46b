"""Of a saved model: random effects, and the effects of very many levels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from multilogit.inference.variance import positions
from multilogit.likelihood.levels import LevelModes
from multilogit.newton import Solution
from multilogit.predict.modes import ModeUncertainty
from multilogit.result.description.estimates import Estimates
from multilogit.result.fields.level_effects import LevelEffects
from multilogit.result.fields.parameter_names import logit_names
from multilogit.result.fields.random_effects import RandomEffects
from multilogit.result.fields.training import Labels
from multilogit.storage.arrays import read_array, write_array
from multilogit.storage.node import Node

_MODES = ("alpha", "information", "slopes")


def write_effects(effects: RandomEffects) -> dict[str, Any]:
    """Everything about the random effects of one grouping factor but the place of θ in ψ."""
    return {
        "group": effects.group,
        "names": list(effects.names),
        "blocks": list(effects.blocks),
        "Lambda": write_array(effects.Lambda),
        "modes": write_array(effects.modes),
        "mode_covariance": write_array(effects.mode_covariance),
    }


def read_random(node: Node, labels: Labels, first: int) -> tuple[tuple[RandomEffects, ...], int]:
    """The random effects, whose θ follow ``first`` fixed effects, and the length of ψ."""
    found: list[RandomEffects] = []
    for item in node.items():
        effects = _read_effects(item, labels, first)
        if effects.group in [other.group for other in found]:
            item.fail(f"the factor {effects.group[:80]!r} occurs twice.")
        first = effects.theta.stop
        found.append(effects)
    return tuple(found), first


def _read_effects(node: Node, labels: Labels, first: int) -> RandomEffects:
    parts = node.record("group", "names", "blocks", "Lambda", "modes", "mode_covariance")
    group, names = parts["group"].text(), parts["names"].texts()
    if group not in labels.levels:
        parts["group"].fail("is not in the formula.")
    blocks = tuple(size.count(1) for size in parts["blocks"].items())
    n, q = len(labels.levels[group]), len(names)
    if sum(blocks) != q:
        parts["blocks"].fail(f"must add up to the {q} names.")
    prefixes = tuple(f"logit[{logit}] " if logit else "" for logit in logit_names(labels))
    if not all(name.startswith(prefixes) for name in names):
        parts["names"].fail("must name the logits of the effects.")
    return RandomEffects(
        group=group,
        names=names,
        blocks=blocks,
        theta=slice(first, first + _triangles(blocks)),
        Lambda=read_array(parts["Lambda"], q, q),
        modes=read_array(parts["modes"], n, q),
        mode_covariance=read_array(parts["mode_covariance"], n, q, q, finite=False),
    )


def write_modes(fit: Estimates) -> Any:
    """What standard errors of conditional predictions need, if the estimates are numbers."""
    unknown = not fit.has_data and fit.modes is None  # of a fit to data that were read in chunks
    if unknown or not fit.random or not np.isfinite(fit.solution.evaluation.value):
        return None
    modes = fit.mode_uncertainty
    return {
        "rows": write_array(modes.rows),
        "columns": write_array(modes.columns),
        "values": write_array(modes.values),
        "derivatives": [write_array(of_factor) for of_factor in modes.derivatives],
    }


def read_modes(node: Node, random: Sequence[RandomEffects], size: int) -> ModeUncertainty | None:
    """What :func:`write_modes` has written."""
    if node.value is None:
        return None
    parts = node.record("rows", "columns", "values", "derivatives")
    rows = read_array(parts["rows"], None, dtype="int32")
    columns = read_array(parts["columns"], rows.size, dtype="int32")
    n_effects = sum(effects.modes.size for effects in random)
    if ((columns < 0) | (columns > rows) | (rows >= n_effects)).any():
        node.fail(f"rows and columns must be in the lower triangle of {n_effects} effects.")
    derivatives = tuple(
        read_array(item, *effects.modes.shape, size)
        for item, effects in zip(parts["derivatives"].items(len(random)), random, strict=True)
    )
    return ModeUncertainty(rows, columns, read_array(parts["values"], rows.size), derivatives)


def _triangles(blocks: Sequence[int]) -> int:
    """Free elements of Λ."""
    return len(positions(blocks))


def solution_of_others(fit: Estimates) -> Solution:
    """The solution without the coefficients of very many levels, which are recorded apart."""
    if fit.levels is None:
        return fit.solution
    return replace(fit.solution, psi=fit.solution.psi[fit.levels.others])


def write_levels(levels: LevelEffects | None) -> dict[str, Any]:
    """What was estimated of a factor without columns, where there is one."""
    if levels is None:
        return {}
    found = {
        "term": levels.term,
        "places": write_array(levels.places.astype(np.int32)),
        "contrasts": levels.contrasts,
        **{name: write_array(getattr(levels.modes, name)) for name in _MODES},
    }
    return {"levels": found}


def read_levels(parts: dict[str, Node], labels: Labels) -> LevelEffects | None:
    """The effects of very many levels, if the model has any."""
    if "levels" not in parts:
        return None
    fields = parts["levels"].record("term", "places", "contrasts", *_MODES)
    places = read_array(fields["places"], None, dtype="int32").astype(np.intp)
    n = len(labels.columns)
    inside = places.size and places.min() >= 0 and places.max() < n
    if not inside or np.unique(places).size < places.size or labels.n_logits > 1:
        fields["places"].fail("must be different places among the coefficients of one logit.")
    if fields["contrasts"].value not in (True, False):
        fields["contrasts"].fail("must be true or false.")
    modes = LevelModes(
        read_array(fields["alpha"], places.size, finite=False),
        read_array(fields["information"], places.size, finite=False),
        read_array(fields["slopes"], places.size, n - places.size, finite=False),
    )
    return LevelEffects(fields["term"].text(), places, bool(fields["contrasts"].value), modes)
