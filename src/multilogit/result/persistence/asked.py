"""Of a saved model: what was asked for, and the options of the search."""

from __future__ import annotations

from typing import Any, cast

import numpy as np

from multilogit.estimate import Options
from multilogit.result.fields.spec import Spec
from multilogit.storage.designs import read_formula
from multilogit.storage.node import Node
from multilogit.storage.priors import read_prior, write_prior
from multilogit.storage.values import LeftOut, read_value, write_value

_DATA_OPTIONS = ("weights", "offset", "trials")
"""Options that may hold one number per row: data, which are not saved."""


def write_spec(spec: Spec) -> dict[str, Any]:
    """The call, its arrays of one number per row left out."""
    options = {}
    for name, value in spec.options.items():
        if name == "prior":
            options[name] = {"prior": write_prior(value)}
        elif name in _DATA_OPTIONS and not isinstance(value, str | LeftOut):
            options[name] = write_value(LeftOut(int(np.size(value))))
        else:
            options[name] = write_value(value)
    return {"formula": spec.formula, "options": options}


def read_spec(node: Node) -> Spec:
    """What :func:`write_spec` has written; the formula passes the checks of a user's."""
    parts = node.record("formula", "options")
    read_formula(parts["formula"])
    options = parts["options"].mapping()
    values = {
        name: read_prior(item.record("prior")["prior"]) if name == "prior" else read_value(item)
        for name, item in options.items()
    }
    return Spec(parts["formula"].text(), values)


_PLAIN_OPTIONS = ("max_iterations", "tolerance", "nodes", "starts", "infinite")


def write_options(options: Options) -> dict[str, Any]:
    """The options of the search but for those of the machine: threads, callback."""
    plain = {name: getattr(options, name) for name in _PLAIN_OPTIONS}
    return {**plain, "start": write_value(options.start), "prior": write_prior(options.prior)}


def read_options(node: Node) -> Options:
    """The options, those of the machine at their defaults."""
    parts = node.record(*_PLAIN_OPTIONS, "start", "prior")
    start = read_value(parts["start"])
    if not (start is None or isinstance(start, np.ndarray) or start in ("zero", "ols")):
        parts["start"].fail("must be null, 'zero', 'ols' or an array.")
    return Options(
        start=start,
        max_iterations=parts["max_iterations"].count(),
        tolerance=parts["tolerance"].number(least=0.0),
        nodes=parts["nodes"].count(1),
        starts=parts["starts"].count(1),
        infinite=cast(Any, parts["infinite"].choice("report", "freeze")),
        prior=read_prior(parts["prior"]),
    )
