"""Records of fits on the way: the iterates of each search, and which fit they belong to."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from multilogit._version import __version__
from multilogit.data.model_frame import ModelFrame
from multilogit.errors import CheckpointError, ModelFileError
from multilogit.estimate import Options
from multilogit.estimate.checkpoint import Checkpoint, Kept
from multilogit.newton import Iterate
from multilogit.paths import as_path
from multilogit.storage.arrays import read_array, write_array, write_number
from multilogit.storage.files import replace_file
from multilogit.storage.node import Node
from multilogit.storage.priors import write_prior
from multilogit.storage.searches import read_trace, write_trace
from multilogit.storage.text import read_json, write_json
from multilogit.storage.values import write_value

FORMAT = "multilogit checkpoint"
SCHEMA = 1
_ADDRESS = re.compile(r" at 0x[0-9A-Fa-f]+")
_NEW_FIT = "Give another file for another fit; without the file, it starts anew."


@dataclass(frozen=True, slots=True)
class CheckpointFile:
    """A file of iterates, and what an earlier fit has left in it.

    Attributes
    ----------
    path
        Where it is.
    model
        The fit that the file belongs to, as :func:`identity` describes it; None: there is no file.
    kept
        Its iterates.
    """

    path: Path
    model: dict[str, Any] | None = None
    kept: tuple[Kept, ...] = ()

    @property
    def n_iterations(self) -> int:
        """Newton iterations that need not be done again."""
        return sum(len(kept.iterate.trace) for kept in self.kept)

    def of(self, model: Mapping[str, Any]) -> Checkpoint:
        """The checkpoint of a fit: it goes on from the iterates of the file.

        Raises
        ------
        CheckpointError
            The file belongs to another fit.
        """
        if self.model is not None:
            different = [key for key in model if model[key] != self.model.get(key)]
            if different:
                self._refuse(different[0], model)
        target = self.path.resolve()  # now: the working directory may change
        return Checkpoint(lambda kept: _write(target, model, kept), self.kept)

    def _refuse(self, key: str, model: Mapping[str, Any]) -> None:
        assert self.model is not None
        if key == "data":
            what = "with other data"
        else:
            what = f"with {key}={self.model.get(key)!r}, not {model[key]!r}"
        raise CheckpointError(f"{str(self.path)!r} belongs to a fit {what}. {_NEW_FIT}")


def open_checkpoint(path: str | os.PathLike[str], resume: bool) -> CheckpointFile:
    """The file of a checkpoint, read if there is one.

    Raises
    ------
    CheckpointError
        There is a file and ``resume`` is False; it is damaged, or no checkpoint of a version that
        can be read; its directory does not exist.
    OptionError
        What was given is no path.
    """
    target = as_path(path, "checkpoint")
    if not target.exists():
        if not target.absolute().parent.is_dir():
            raise CheckpointError(f"The directory of checkpoint={str(target)!r} does not exist.")
        return CheckpointFile(target)
    if not resume:
        raise CheckpointError(
            f"checkpoint={str(target)!r} exists already. Go on from it with resume=True "
            "(--resume), delete it, or give another file."
        )
    try:
        model, kept = _read(Node(read_json(target.read_bytes())))
    except ModelFileError as error:
        raise CheckpointError(f"Cannot resume from {str(target)!r}. {error} {_NEW_FIT}") from None
    except OSError as error:
        raise CheckpointError(f"Cannot read {str(target)!r}: {error.strerror}.") from None
    return CheckpointFile(target, model, kept)


# --- which fit ---------------------------------------------------------------------------------


def identity(formula: str, options: Options, digest: str) -> dict[str, Any]:
    """All that decides where a search goes, as JSON can hold it.

    ``digest`` is that of the data. Limits and machine (``max_iterations``, ``threads``) may change
    between a fit and its continuation.
    """
    start = options.start
    return {
        "formula": formula,
        "prior": _without_addresses(write_prior(options.prior)),
        "nodes": options.nodes,
        "start": write_array(start) if isinstance(start, np.ndarray) else write_value(start),
        "starts": options.starts,
        "tolerance": options.tolerance,
        "data": digest,
    }


def _without_addresses(record: Any) -> Any:
    """Priors of the user's own are known by their text, which may tell where they are in memory."""
    if isinstance(record, dict):
        return {key: _without_addresses(item) for key, item in record.items()}
    if isinstance(record, list):
        return [_without_addresses(item) for item in record]
    return _ADDRESS.sub("", record) if isinstance(record, str) else record


def digest_of(frame: ModelFrame) -> str:
    """SHA-256 of everything in a frame that a search depends on."""
    found = hashlib.sha256()
    response = frame.response
    groups = {name: len(g.levels) for name, g in frame.groupings.items()}
    blocks = [(block.group, block.names, block.correlated) for block in frame.random]
    names = (response.family, response.categories, frame.fixed.names, blocks, groups)
    found.update(repr(names).encode("utf-8", "backslashreplace"))
    for array in _arrays(frame):
        found.update(repr((array.dtype.str, array.shape)).encode())
        found.update(np.ascontiguousarray(array).data)
    return found.hexdigest()


def _arrays(frame: ModelFrame) -> Iterator[NDArray[Any]]:
    response = frame.response
    yield from response.counts.T
    yield response.trials
    yield from frame.fixed.columns
    if frame.fixed.levels is not None:
        yield frame.fixed.levels.codes
    for block in frame.random:
        yield from block.columns
    for optional in (response.weights, frame.offset):
        if optional is not None:
            yield optional
    for grouping in frame.groupings.values():
        yield grouping.codes


# --- the record --------------------------------------------------------------------------------


def _write(path: Path, model: Mapping[str, Any], kept: Sequence[Kept]) -> None:
    document = {
        "format": FORMAT,
        "schema": SCHEMA,
        "multilogit": __version__,
        "model": dict(model),
        "searches": [_write_kept(search) for search in kept],
    }
    try:
        replace_file(path, write_json(document))
    except OSError as error:
        raise CheckpointError(
            f"Cannot write the checkpoint {str(path)!r} ({error.strerror})."
        ) from error


def _read(node: Node) -> tuple[dict[str, Any], tuple[Kept, ...]]:
    found = node.value if isinstance(node.value, dict) else {}
    if found.get("format") != FORMAT:
        node.fail("is not a checkpoint of multilogit.")
    if found.get("schema") != SCHEMA or found.get("multilogit") != __version__:
        written = str(found.get("multilogit"))[:20]
        node.fail(f"was written by multilogit {written}; this is multilogit {__version__}.")
    parts = node.record("format", "schema", "multilogit", "model", "searches")
    searches = tuple(_read_kept(item) for item in parts["searches"].items())
    return {key: item.value for key, item in parts["model"].mapping().items()}, searches


def _write_kept(kept: Kept) -> dict[str, Any]:
    iterate = kept.iterate
    return {
        "psi": write_array(iterate.psi),
        "order": list(kept.order),
        "n_evaluations": iterate.n_evaluations,
        "unit": write_array(iterate.unit),
        "last_change": write_number(iterate.last_change),
        "at_floor": iterate.at_floor,
        "trace": write_trace(iterate.trace),
    }


def _read_kept(node: Node) -> Kept:
    names = ("psi", "order", "n_evaluations", "unit", "last_change", "at_floor", "trace")
    parts = node.record(*names)
    psi = read_array(parts["psi"], None)
    order = tuple(item.count() for item in parts["order"].items())
    if sorted(order) != list(range(len(order))):
        parts["order"].fail("is not an order.")
    iterate = Iterate(
        psi=psi,
        trace=read_trace(parts["trace"]),
        n_evaluations=parts["n_evaluations"].count(),
        unit=read_array(parts["unit"], psi.size),
        last_change=parts["last_change"].number(finite=False),
        at_floor=parts["at_floor"].flag(),
    )
    return Kept(iterate, order)
