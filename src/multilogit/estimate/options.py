"""How to search for the maximum: the options that every estimation takes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from multilogit.estimate.checkpoint import Checkpoint
from multilogit.evaluation import Vector
from multilogit.newton import TraceRow
from multilogit.prior.base import BoundPrior, Prior


@dataclass(frozen=True, slots=True)
class Options:
    """Options of the search.

    Attributes
    ----------
    start
        ``"zero"``, ``"ols"`` (linear regression, as Czepiel and others start), the start
        values themselves, or None: what is best for the model at hand.
    max_iterations, tolerance
        As in :func:`multilogit.newton.maximise`.
    threads
        Worker threads of the compiled core at most.
    nodes
        Nodes of adaptive quadrature per random effect; 1: Laplace's approximation;
        ``"auto"``: as many as are needed.
    starts
        Number of starts of a model with random effects; the highest maximum counts.
    infinite
        ``"freeze"``: infinite estimates of a single-level model are held and reported as such,
        the others converged.
    prior
        A specification, an object with ``evaluate``, or None: maximum likelihood.
    callback
        Called with each row of the trace.
    checkpoint
        Where iterates are kept, and where an earlier estimation had come; None: nowhere.
    """

    start: Vector | Literal["zero", "ols"] | None = None
    max_iterations: int = 100
    tolerance: float = 1e-8
    threads: int = 1
    nodes: int | Literal["auto"] = 1
    starts: int = 1
    infinite: Literal["report", "freeze"] = "report"
    prior: Prior | BoundPrior | None = None
    callback: Callable[[TraceRow], None] | None = None
    checkpoint: Checkpoint | None = None
