"""Why a fit diverges: what of separation is found, and what is said of it."""

from __future__ import annotations

import numpy as np

from multilogit.data.model_frame import ModelFrame
from multilogit.divergence.finding import find_separated, separation_error
from multilogit.divergence.joint import joint_diagnostics
from multilogit.errors import Diagnostic, MultilogitError
from multilogit.estimate.recession import certifies_overlap
from multilogit.evaluation import Vector


def explain_divergence(frame: ModelFrame, beta: Vector | None = None) -> tuple[Diagnostic, ...]:
    """Diagnostics of a maximum likelihood fit that shows the symptoms of separation.

    Parameters
    ----------
    frame
        The data of the fit, aliased columns dropped, populations collapsed or not. With random
        effects, the fixed effects are looked at by themselves, then together with them.
    beta
        Where the search ended, shape ``(p (J - 1),)``: often its gradient proves overlap, and
        no linear program is needed. Not for models with random effects.

    Returns
    -------
    tuple of Diagnostic
        ``"separation"`` (error); or ``"joint-separation"`` (warning): fixed and random effects
        together predict every row; or nothing, where this is not the reason.
    """
    if not frame.random and beta is not None and np.isfinite(beta).all():
        counts, trials = frame.response.weighted()
        if certifies_overlap(frame.fixed.columns, counts, trials, beta, frame.offset):
            return ()
    try:
        finding = find_separated(frame)
    except MultilogitError:  # a second opinion that cannot be had changes nothing
        return ()
    if finding.recession.kind == "overlap":
        return joint_diagnostics(frame)
    return (separation_error(finding, bool(frame.random)),)
