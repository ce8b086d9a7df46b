"""The same design with a new response: what a bootstrap does a thousand times."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike

from multilogit.data.model_frame import Response
from multilogit.errors import DataError
from multilogit.fitting import assemble
from multilogit.inference.reestimate import Reestimator
from multilogit.result import Fit


class Refitter:
    """Fits the model of ``fit`` again and again, to new responses.

    The design stays in the layout of the compiled core; each search starts from the estimates
    of ``fit``, so the same response gives the same result whatever was fitted before.

    Parameters
    ----------
    fit
        Any fit of :func:`multilogit.fit`.
    threads
        Worker threads; 1 is best for small data and for workers that run side by side.

    Examples
    --------
    >>> import multilogit as ml
    >>> data = {"y": [0, 1, 0, 1, 1, 0], "x": [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]}
    >>> refit = ml.Refitter(ml.fit("y ~ x", data))
    >>> refit([1, 0, 0, 1, 1, 0]).converged
    True
    """

    def __init__(self, fit: Fit, *, threads: int = 1) -> None:
        self.fit = fit
        self._estimate = Reestimator(fit.frame, fit.solution.psi, fit.options, threads)

    def __call__(self, counts: ArrayLike) -> Fit:
        """The fit to ``counts``: the response in place of the old one, everything else kept.

        Parameters
        ----------
        counts
            Shape ``(n,)`` for two categories: successes of each row of the fit (0/1 where
            there is one trial). Shape ``(n, J - 1)`` for J categories: counts of all but the
            baseline. Rows are those that the fit used (``fit.frame.rows``).

        Raises
        ------
        DataError
            No numbers, wrong shape, negative or fractional counts, more than there are trials.
        """
        began = time.perf_counter()
        fit = self.fit
        frame = fit.frame
        frame = frame.with_response(_checked(counts, frame.response))
        estimate = self._estimate(frame.response.counts)
        options = self._estimate.options
        return assemble(frame, estimate, fit.design, fit.spec, options, fit.aliased, began)


def _checked(counts: ArrayLike, response: Response) -> Response:
    """The response with new counts."""
    try:
        new = np.asarray(counts, dtype=np.float64)
    except (TypeError, ValueError):
        raise DataError(
            "The new response must be numbers: successes of each row, 0 or 1 where there is one "
            "trial. A response that is text has to be counted first."
        ) from None
    new = new[:, None] if new.ndim == 1 else new
    if new.shape != response.counts.shape:
        rows, logits = response.counts.shape
        raise DataError(
            f"The new response has shape {np.shape(counts)}; this fit needs {rows} rows"
            + (f" and {logits} columns of counts." if logits > 1 else ".")
        )
    total = new[:, 0] if new.shape[1] == 1 else new.sum(axis=1)
    valid = (new >= 0) & (new == np.floor(new)) & (total <= response.trials)[:, None]
    if not valid.all():
        row = int(np.flatnonzero(~valid.all(axis=1))[0])
        raise DataError(
            f"Row {row} of the new response has counts {new[row].tolist()} out of "
            f"{response.trials[row]:g} trials; give whole numbers from 0 to the trials."
        )
    return replace(response, counts=np.asfortranarray(new))
