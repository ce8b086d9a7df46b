"""One grouping factor: start values, good coordinates for Λ, the boundary, the way back.

Newton's steps depend on how Σ = ΛΛ' is written. With the effect of larger variance first, Λ has
no small pivot in front of a large one, and far fewer steps are needed; so the columns of Z are
reordered during the search, and ψ̂ is stated in the user's order at its end.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from multilogit.data.model_frame import Column, ModelFrame, Response
from multilogit.errors import Diagnostic, OptionError, Status
from multilogit.estimate import boundary
from multilogit.estimate.estimate import Estimate
from multilogit.estimate.options import Options
from multilogit.evaluation import Evaluation, Matrix, Vector
from multilogit.likelihood.fixed import FixedLikelihood, start_ols
from multilogit.likelihood.grouped import GroupedLaplace, cholesky
from multilogit.newton import Solution, maximise

_LONGEST = 2.0
"""Cap on the change of a standard deviation in one step, on the logit scale."""
_REORDER = 2.0
"""Reorder when a variance exceeds one that stands before it by this factor."""
_LEAST_START = 0.1
_LARGEST_START = 3.0
"""Range of the standard deviations to start from, on the logit scale."""

_MOST_ESCAPES = 5


def estimate_grouped(frame: ModelFrame, fixed: FixedLikelihood, options: Options) -> Estimate:
    """Maximum of the Laplace likelihood of a model with one grouping factor.

    ``fixed`` is the likelihood of the same frame without its random effects.

    Raises
    ------
    OptionError
        If ``options.start`` has the wrong length.
    """
    likelihood = grouped_likelihood(frame, options.threads)
    start = start_values(likelihood, fixed, options)
    return search(likelihood, start, options)


def grouped_likelihood(frame: ModelFrame, threads: int) -> GroupedLaplace:
    """The Laplace likelihood of a binary frame whose bar terms share one grouping factor."""
    (grouping,) = (frame.groupings or {}).values()
    return GroupedLaplace(
        frame.fixed.columns,
        [column for block in frame.random for column in block.columns],
        [len(block.columns) for block in frame.random],
        *successes_and_trials(frame.response),
        grouping.codes,
        len(grouping.levels),
        offset=frame.offset,
        threads=threads,
    )


def successes_and_trials(response: Response) -> tuple[Column, Column]:
    """y and n of a binary response, multiplied by the frequency weights."""
    y, trials = response.counts[:, 0], response.trials
    if response.weights is not None:
        y, trials = y * response.weights, trials * response.weights
    return np.ascontiguousarray(y), trials


def search(likelihood: GroupedLaplace, start: Vector, options: Options) -> Estimate:
    """Maximise from ``start``; leave saddles at zero variances; return to the user's order."""
    solution = _climb(likelihood, start, options)
    psi = solution.psi
    for _ in range(_MOST_ESCAPES):
        if not solution.converged:
            break
        psi = boundary.snap(likelihood, solution.psi)
        escaped = None if psi is solution.psi else boundary.escape(likelihood, psi)
        if escaped is None:
            break
        again = _climb(likelihood, escaped, options)
        solution = replace(
            again,
            trace=solution.trace + again.trace,
            n_evaluations=solution.n_evaluations + again.n_evaluations,
        )
        psi = solution.psi
    return _finish(likelihood, solution, psi)


def _climb(likelihood: GroupedLaplace, start: Vector, options: Options) -> Solution:
    coordinates = _Coordinates(likelihood)
    structure = likelihood.structure
    caps = np.full(start.size, np.inf)
    caps[likelihood.p :] = _LONGEST / likelihood.scale[structure.rows]
    return maximise(
        likelihood,
        start,
        max_iterations=options.max_iterations,
        tolerance=options.tolerance,
        max_change=caps,
        recondition=coordinates.recondition if max(structure.blocks) > 1 else None,
        callback=options.callback,
    )


@dataclass(frozen=True, slots=True)
class _Coordinates:
    """The order of the effects within their blocks, larger variances first."""

    likelihood: GroupedLaplace

    def recondition(self, psi: Vector) -> tuple[GroupedLaplace, Vector] | None:
        """The same point with the effects in a better order, or None."""
        order = self._better_order(psi)
        return None if order is None else (self.likelihood, permute(self.likelihood, psi, order))

    def _better_order(self, psi: Vector) -> NDArray[np.intp] | None:
        likelihood = self.likelihood
        Lambda = likelihood.structure.Lambda(psi[likelihood.p :])
        variance = (Lambda**2).sum(axis=1) * likelihood.scale**2
        order = np.concatenate(
            [
                block.start + np.argsort(-variance[block], kind="stable")
                for block in likelihood.structure.slices()
            ]
        )
        worth_it = (variance[order] > _REORDER * variance).any()
        return order if worth_it else None


def permute(likelihood: GroupedLaplace, psi: Vector, order: NDArray[np.intp]) -> Vector:
    """Reorder the effects: row a of the new Λ is row ``order[a]`` of the old; b̂ stays.

    With ΛΛ' = Σ, the new Λ is the Cholesky factor of the permuted Σ, and û turns with it.
    """
    p, structure = likelihood.p, likelihood.structure
    old = structure.Lambda(psi[p:])[order]
    new = cholesky(old @ old.T)
    turn = np.linalg.lstsq(new, old, rcond=None)[0]
    u = likelihood.modes()
    likelihood.reorder(tuple(np.array(likelihood.order)[order].tolist()))
    likelihood.set_modes(u @ turn.T)
    return np.concatenate([psi[:p], new[structure.rows, structure.columns]])


# -- start values --------------------------------------------------------------------------


def start_values(likelihood: GroupedLaplace, fixed: FixedLikelihood, options: Options) -> Vector:
    """ψ to start from: the user's, or the single-level fit and a moment estimate of Σ."""
    p, structure = likelihood.p, likelihood.structure
    start = options.start
    if isinstance(start, np.ndarray) and start.shape == (p + structure.m,):
        return start
    beta = _start_beta(fixed, start, structure.m)
    Sigma = _moment_covariance(likelihood, beta)
    if start is None:
        # Population-averaged effects are smaller than conditional ones (Zeger, Liang & Albert
        # 1988): by about this factor, for the average variance of Zb.
        beta = beta * np.sqrt(1.0 + 0.346 * float(Sigma.diagonal().sum()))
    Lambda = cholesky(Sigma) / likelihood.z_scale[:, None]
    return np.concatenate([beta, Lambda[structure.rows, structure.columns]])


def _start_beta(fixed: FixedLikelihood, start: Vector | str | None, m: int) -> Vector:
    p = fixed.n_parameters
    if isinstance(start, np.ndarray):
        if start.shape != (p,):
            raise OptionError(
                f"start has {start.size} values; give {p} fixed effects, or {p + m} values: "
                "fixed effects and theta."
            )
        return start
    if start == "ols":
        return start_ols(fixed)
    # The first steps bring nearly all; where data are separated, more would lead astray.
    climb = maximise(fixed, np.zeros(p), max_iterations=2, tolerance=0.1, first=fixed.at_zero)
    return climb.psi


def _moment_covariance(likelihood: GroupedLaplace, beta: Vector) -> Matrix:
    """Σ on the logit scale (columns of Z scaled to mean square 1), by moments.

    At the single-level fit the group score s = Z'r has E ss' = W + WΣW, W = Z'wZ. So Σ solves
    Σ_g W_g Σ W_g = Σ_g (s_g s_g' − W_g), least squares over the blocks; its eigenvalues are
    then brought into the range of start values.
    """
    structure = likelihood.structure
    s, W = likelihood.moments(beta)
    s = s / likelihood.z_scale
    W = W / np.outer(likelihood.z_scale, likelihood.z_scale)
    Sigma = np.zeros((structure.q, structure.q))
    pairs = [(a, b) for c in structure.slices() for a in _range(c) for b in _range(c)]
    a, b = np.array(pairs).T
    left = np.einsum("gij,gij->ij", W[:, a][:, :, a], W[:, b][:, :, b])
    right = s[:, a] * s[:, b] - W[:, a, b]
    Sigma[a, b] = np.linalg.lstsq(left, right.sum(axis=0), rcond=None)[0]
    for block in structure.slices():
        values, vectors = np.linalg.eigh(Sigma[block, block])
        values = np.clip(values, _LEAST_START**2, _LARGEST_START**2)
        Sigma[block, block] = (vectors * values) @ vectors.T
    return Sigma


def _range(block: slice) -> range:
    return range(block.start, block.stop)


# -- the end -------------------------------------------------------------------------------


def _finish(likelihood: GroupedLaplace, solution: Solution, psi: Vector) -> Estimate:
    """Restate the solution at ``psi``, which is it but for invisible variances that are zero.

    Effects in the user's order, diagonal of Λ not negative.
    """
    p, structure = likelihood.p, likelihood.structure
    moved = psi is not solution.psi
    if likelihood.order != tuple(range(structure.q)):
        psi = permute(likelihood, psi, np.argsort(likelihood.order))
        moved = True
    evaluation = likelihood.evaluate(psi) if moved else solution.evaluation
    Lambda = structure.Lambda(psi[p:])
    modes, covariance = likelihood.modes() @ Lambda.T, likelihood.mode_covariance()
    if min(Lambda.diagonal().tolist()) < 0.0:
        sign = np.where(Lambda.diagonal() < 0.0, -1.0, 1.0)
        flip = np.concatenate([np.ones(p), sign[structure.columns]])
        psi, evaluation, Lambda = psi * flip, _flipped(evaluation, flip), Lambda * sign
    solution = Solution(
        psi, evaluation, solution.status, solution.trace, solution.n_evaluations + moved
    )
    on_boundary = np.zeros(psi.size, dtype=bool)
    on_boundary[p:] = np.count_nonzero(Lambda, axis=0)[structure.columns] == 0
    return Estimate(
        solution,
        on_boundary,
        Lambda=Lambda,
        modes=modes,
        mode_covariance=covariance,
        diagnostics=_diagnose(likelihood, solution, on_boundary),
    )


def _flipped(evaluation: Evaluation, flip: Vector) -> Evaluation:
    """The evaluation with the signs of some parameters changed."""
    return Evaluation(
        evaluation.value,
        evaluation.gradient * flip,
        evaluation.hessian * np.outer(flip, flip),
        evaluation.status,
    )


def _diagnose(
    likelihood: GroupedLaplace, solution: Solution, on_boundary: NDArray[np.bool_]
) -> tuple[Diagnostic, ...]:
    if not (solution.status is Status.CONVERGED and on_boundary.any()):
        return ()
    structure = likelihood.structure
    Lambda = structure.Lambda(solution.psi[likelihood.p :])
    rank = int(Lambda.any(axis=0).sum())
    zero = np.flatnonzero(~Lambda.any(axis=1)).tolist()
    return (
        Diagnostic(
            "singular",
            "info",
            f"The random-effects covariance is singular (rank {rank} of {structure.q}): the "
            "likelihood is largest on the boundary of the parameter space.",
            "Estimates stand; consider a simpler random-effects structure.",
            {"rank": rank, "zero_effects": zero},
        ),
    )
