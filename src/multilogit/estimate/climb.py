"""One search for a maximum, with the options of the fit; its iterates are kept where asked for."""

from __future__ import annotations

from collections.abc import Callable

from multilogit.estimate.checkpoint import Checkpoint, Kept
from multilogit.estimate.options import Options
from multilogit.evaluation import Evaluation, Objective, Vector
from multilogit.likelihood.mixed import Order
from multilogit.newton import Caps, Iterate, Recondition, Solution, maximise


def climb(
    objective: Objective,
    start: Vector,
    options: Options,
    *,
    max_change: Caps = None,
    recondition: Recondition | None = None,
    first: Evaluation | None = None,
    order: Callable[[], Order] = tuple,
    restore: Callable[[Order], None] | None = None,
) -> Solution:
    """Newton–Raphson from ``start``, or from where an earlier estimation was.

    Parameters
    ----------
    objective, start, max_change, recondition, first
        As in :func:`multilogit.newton.maximise`.
    options
        Of the fit.
    order
        The present order of the random effects, in which ψ is written.
    restore
        Brings them into an order.
    """
    begin: Vector | Iterate = start
    checkpoint, keep = options.checkpoint, None
    if checkpoint is not None:
        if (before := checkpoint.begin(start.size)) is not None:
            begin, first = before.iterate, None
            if restore is not None:
                restore(before.order)
        keep = _keeper(checkpoint, order)
    return maximise(
        objective,
        begin,
        max_iterations=options.max_iterations,
        tolerance=options.tolerance,
        max_change=max_change,
        recondition=recondition,
        callback=options.callback,
        keep=keep,
        first=first,
    )


def _keeper(checkpoint: Checkpoint, order: Callable[[], Order]) -> Callable[[Iterate], None]:
    return lambda iterate: checkpoint.keep(Kept(iterate, order()))
