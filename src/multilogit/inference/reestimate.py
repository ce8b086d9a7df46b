"""The same design with a new response: estimation again, from where it ended before."""

from __future__ import annotations

from dataclasses import replace
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from multilogit.data.model_frame import ModelFrame, Response
from multilogit.data.populations import collapse, collapse_pays
from multilogit.estimate import Estimate, Options, estimate_single, fixed_likelihood
from multilogit.estimate.mixed import counts_and_trials, mixed_likelihood
from multilogit.estimate.priors import bind_prior
from multilogit.estimate.search import Target, search
from multilogit.evaluation import Matrix, Vector
from multilogit.likelihood.mixed import MixedLikelihood

_RESTART_SD = 0.1
"""Where a standard deviation that was 0 starts from, on the logit scale: 0 is a saddle."""


class Reestimator:
    """Estimates a model again and again, from new responses.

    The design stays in the layout of the compiled core. Every search starts from the same
    values, so the same response gives the same estimate whatever came before.

    Parameters
    ----------
    frame
        The model, arranged, without aliased columns.
    psi
        Shape ``(d,)``: where searches start. Infinite coefficients start from 0.
    options
        Options of the search; its ``start`` and ``callback`` are not used.
    threads
        Worker threads of the core.
    """

    def __init__(self, frame: ModelFrame, psi: Vector, options: Options, threads: int = 1) -> None:
        self._lock = Lock()  # response, restart and search of one estimate belong together
        self._weights = frame.response.weights
        self._compact = frame
        self._population: NDArray[np.int64] | None = None
        if collapse_pays(frame):
            self._compact, self._population = collapse(frame)
        self._start = np.where(np.isfinite(psi), psi, 0.0)
        self.options = replace(options, start=self._start, threads=threads, callback=None)
        if frame.random:
            self._target = Target(mixed_likelihood(self._compact, self.options))
            self._start = _inside(self._start, self._target.likelihood)

    def __call__(self, counts: Matrix) -> Estimate:
        """The estimate from counts of shape ``(n, J − 1)``, of the rows of the frame."""
        options, response = self.options, self._response(counts)
        if not self._compact.random:
            compact = self._compact.with_response(response)
            return estimate_single(compact, fixed_likelihood(compact, options.threads), options)
        target, likelihood = self._target, self._target.likelihood
        if options.prior is not None:  # it may depend on the response: it is bound anew
            compact = self._compact.with_response(response)
            target = Target(likelihood, bind_prior(options.prior, compact, likelihood, options))
        with self._lock:
            likelihood.set_response(*counts_and_trials(response))
            likelihood.restart()
            estimate = search(target, self._start, options)
        nodes = options.nodes
        assert nodes != "auto", "a fit has settled it"
        return estimate if nodes == estimate.nodes else replace(estimate, nodes=nodes)

    def _response(self, counts: Matrix) -> Response:
        """The response of the distinct rows: the counts of all rows that they stand for."""
        if self._population is not None:
            n, w = self._compact.response.trials.size, self._weights
            weighted = counts if w is None else counts * w[:, None]
            sums = [np.bincount(self._population, column, n) for column in weighted.T]
            counts = np.array(sums, dtype=np.float64).T
        return replace(self._compact.response, counts=np.asfortranarray(counts))


def _inside(psi: Vector, likelihood: MixedLikelihood) -> Vector:
    """ψ with zero columns of Λ moved off the boundary."""
    structure, p = likelihood.structure, likelihood.p
    psi = psi.copy()
    Lambda = structure.Lambda(psi[p:])
    for a in np.flatnonzero(~Lambda.any(axis=0)):
        Lambda[a, a] = _RESTART_SD / likelihood.z_scale[a]
    psi[p:] = Lambda[structure.rows, structure.columns]
    return psi
