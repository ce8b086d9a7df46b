"""The same design with a new response: what a bootstrap does a thousand times."""

from __future__ import annotations

import time
from dataclasses import replace
from threading import Lock

import numpy as np
from numpy.typing import ArrayLike, NDArray

from multilogit.data.model_frame import ModelFrame, Response
from multilogit.data.populations import collapse, collapse_pays
from multilogit.errors import DataError
from multilogit.estimate import Estimate, estimate_single, fixed_likelihood
from multilogit.estimate.mixed import counts_and_trials, mixed_likelihood
from multilogit.estimate.priors import bind_prior
from multilogit.estimate.search import Target, search
from multilogit.evaluation import Vector
from multilogit.fitting import assemble
from multilogit.likelihood.mixed import MixedLikelihood
from multilogit.result import Fit

_RESTART_SD = 0.1
"""Where a standard deviation that was 0 starts from, on the logit scale: 0 is a saddle."""


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
        self._lock = Lock()  # response, restart and search of one fit belong together
        frame = fit.frame
        self._compact = frame
        self._population: NDArray[np.int64] | None = None
        if collapse_pays(frame):
            self._compact, self._population = collapse(frame)
        self._start = fit.solution.psi
        self._options = replace(fit.options, start=self._start, threads=threads, callback=None)
        if frame.random:
            self._likelihood = mixed_likelihood(self._compact, self._options)
            self._start = _inside(fit, self._likelihood)

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
            Wrong shape, negative or fractional counts, more than there are trials.
        """
        began = time.perf_counter()
        frame = self.fit.frame
        frame = frame.with_response(_checked(counts, frame.response))
        compact = self._collapsed(frame)
        estimate = self._estimate(compact)
        fit = self.fit
        return assemble(frame, estimate, fit.design, fit.spec, self._options, fit.aliased, began)

    def _collapsed(self, frame: ModelFrame) -> ModelFrame:
        if self._population is None:
            return frame
        response, weights = frame.response, frame.response.weights
        n = self._compact.response.trials.size
        counts = np.empty((n, response.counts.shape[1]), order="F")
        for j in range(counts.shape[1]):
            column = response.counts[:, j]
            column = column if weights is None else column * weights
            counts[:, j] = np.bincount(self._population, column, n)
        return self._compact.with_response(replace(self._compact.response, counts=counts))

    def _estimate(self, compact: ModelFrame) -> Estimate:
        options = self._options
        if not compact.random:
            return estimate_single(compact, fixed_likelihood(compact, options.threads), options)
        likelihood = self._likelihood
        # A prior may depend on the response: it is bound anew.
        prior = bind_prior(options.prior, compact, likelihood, options)
        with self._lock:
            likelihood.set_response(*counts_and_trials(compact.response))
            likelihood.restart()
            estimate = search(Target(likelihood, prior), self._start, options)
        nodes = options.nodes
        assert nodes != "auto", "a fit has settled it"
        return replace(estimate, nodes=nodes)


def _inside(fit: Fit, likelihood: MixedLikelihood) -> Vector:
    """ψ̂, with zero columns of Λ moved off the boundary."""
    structure, p = likelihood.structure, likelihood.p
    psi = fit.solution.psi.copy()
    Lambda = structure.Lambda(psi[p:])
    for a in np.flatnonzero(~Lambda.any(axis=0)):
        Lambda[a, a] = _RESTART_SD / likelihood.z_scale[a]
    psi[p:] = Lambda[structure.rows, structure.columns]
    return psi


def _checked(counts: ArrayLike, response: Response) -> Response:
    """The response with new counts."""
    new = np.asarray(counts, dtype=np.float64)
    new = new[:, None] if new.ndim == 1 else new
    if new.shape != response.counts.shape:
        rows, logits = response.counts.shape
        raise DataError(
            f"The new response has shape {np.shape(counts)}; this fit needs {rows} rows"
            + (f" and {logits} columns of counts." if logits > 1 else ".")
        )
    valid = (new >= 0) & (new == np.floor(new)) & (new.sum(axis=1) <= response.trials)[:, None]
    if not valid.all():
        row = int(np.flatnonzero(~valid.all(axis=1))[0])
        raise DataError(
            f"Row {row} of the new response has counts {new[row].tolist()} out of "
            f"{response.trials[row]:g} trials; give whole numbers from 0 to the trials."
        )
    return replace(response, counts=np.asfortranarray(new))
