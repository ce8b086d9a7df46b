"""Separation: the directions in which the likelihood rises for ever, by linear programming.

Row i with the categories S_i observed has, for every y in S_i and every other category k, the
vector x̄ = x_i ⊗ (e_y − e_k) (two categories: x̄ = (2y − 1)x). The log-likelihood never falls
along d where x̄'d ≥ 0 for all of them: the *recession cone*. It is {0} where the data overlap,
and then, and only then, the maximum likelihood estimate is finite (Albert & Anderson 1984).

1. *Coordinates.* X = QR; rows of Q scaled to length 1. Margins q̄'γ, γ = Rd, are then cosines:
   what is found does not depend on the units of X or on how it is parametrised.
2. *Both outcomes at one point* (aggregated data): x̄'d = 0. These equations are solved first,
   by a null space; the cone is sought within it.
3. *Linear programs* (Konis 2007, HiGHS), with row generation: a few hundred rows, then those
   that the solution violates, until it violates none. A cone of a part of the rows contains
   the cone of all, so that {0} for a part proves overlap.
4. Sums of solutions give a direction D in the relative interior of the cone: every row that any
   direction separates is separated by D. What is left, the boundary rows, spans the complement
   of the cone's span N, so β_j stays finite exactly where N is zero in coordinate j (Geyer 2009).
5. *Signs.* The least and the largest d_j over the cone; D shows one of them. Known points of
   the cone save most of the programs, and a simplicial cone needs none; of large designs only as
   many signs are determined as a fixed amount of work allows.

References: Albert & Anderson (1984), Biometrika 71; Konis (2007), *Linear programming
algorithms for detecting separated data in binary logistic regression models*; Geyer (2009),
Electronic Journal of Statistics 3.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solve_triangular

from multilogit.errors import DataError, MultilogitError
from multilogit.evaluation import Matrix, Vector

Kind = Literal["overlap", "quasi-complete", "complete"]
Index = NDArray[np.intp]
Mask = NDArray[np.bool_]

MARGIN = 1e-8
"""Cosine between a row and a direction below which the row counts as lying on the boundary."""
_VIOLATION = 0.1 * MARGIN
_LP_TOLERANCE = 1e-10
"""Primal and dual feasibility asked of HiGHS: its least."""
_DEPENDENT = 1e-10
"""Part of a column's norm that others leave: below, it is aliased (as ``split_aliased``)."""
_NEARLY_DEPENDENT = 1e-4
"""Below this part, R comes from a QR decomposition: X'X has lost half of the digits."""
_FIRST_ROWS = 200
_MORE_ROWS = 60
"""Rows of the first linear program, and rows added at a time, at least."""
_WELL_CONDITIONED = 1e8
"""Bound on the condition number of the rows of a simplicial cone, in Frobenius norms."""
_MOST_WORK = 1.5e6
"""Rows times dimensions of all linear programs for signs: a few seconds."""


@dataclass(frozen=True, slots=True)
class Recession:
    """The recession cone of a single-level model with K = p(J − 1) coefficients.

    Coefficients are in the order of ψ: all p columns for the first logit, then the next.

    Attributes
    ----------
    kind
        ``"overlap"``: the cone is {0}. ``"complete"``: some direction separates every row.
    direction
        Shape ``(K,)``: a direction in the relative interior of the cone, max |d| = 1; zero
        where the data overlap. Along it η of the observed category grows against all others.
    infinite
        Shape ``(K,)``: coefficients without a finite maximum likelihood estimate.
    signs
        Shape ``(K,)``: +1 or −1 where every direction of the cone agrees on the sign of an
        infinite coefficient; 0 where it does not, and for finite coefficients.
    left_open
        Shape ``(K,)``: infinite coefficients whose sign (0) was not determined, because the
        linear programs for all of a large design would take too long.
    excluded
        Shape ``(n, J)``: categories whose probability is 0 in the limit.
    separated
        Shape ``(n,)``: rows that are predicted without error in the limit. The other rows
        (those without trials apart) determine the finite coefficients.
    span
        Shape ``(K, r)``: basis of the linear span of the cone.
    """

    kind: Kind
    direction: Vector
    infinite: Mask
    signs: NDArray[np.int8]
    left_open: Mask
    excluded: Mask
    separated: Mask
    span: Matrix


def find_separation(columns: Sequence[Vector], counts: Matrix, trials: Vector) -> Recession:
    """Which coefficients of a binomial or multinomial model are infinite, and why.

    An offset does not matter. Frequency weights do not either, as long as they are positive:
    multiply counts and trials by them, or by 0 to leave a row out.

    Parameters
    ----------
    columns
        p linearly independent columns of X, each of shape ``(n,)``.
    counts
        Shape ``(n, J - 1)`` (``(n,)`` for J = 2): counts of the categories but the baseline.
    trials
        Shape ``(n,)``. Rows without trials say nothing.

    Returns
    -------
    Recession
        Differences below :data:`MARGIN` = 1e-8 of a row's length (in orthonormal coordinates)
        count as none; 16 ε cond(X) where that is more.

    Raises
    ------
    DataError
        If the columns are linearly dependent on the rows with trials.
    MultilogitError
        If HiGHS fails.
    """
    observed = observed_categories(counts, trials)
    informative = observed.any(axis=1)
    matrix = np.column_stack([column[informative] for column in columns])
    basis = _Orthonormal(matrix)
    cone = _Cone(basis.rows, observed[informative], basis.tolerance)
    alpha, span = cone.relative_interior()
    excluded = np.zeros(observed.shape, dtype=bool)
    excluded[informative] = cone.excluded(alpha)
    if not excluded.any():
        return _overlap(observed, basis.p)
    infinite, signs, left_open = cone.infinite(alpha, span, basis.functionals(cone.n_logits))
    direction = np.where(infinite, basis.coefficients(cone.subspace @ alpha), 0.0)
    separated = informative & (excluded | observed).all(axis=1) & (observed.sum(axis=1) == 1)
    complete = bool(separated[informative].all())
    return Recession(
        kind="complete" if complete else "quasi-complete",
        direction=direction / np.abs(direction).max(),
        infinite=infinite,
        signs=signs,
        left_open=left_open,
        excluded=excluded,
        separated=separated,
        span=basis.coefficients(cone.subspace @ span),
    )


def certifies_overlap(
    columns: Sequence[Vector],
    counts: Matrix,
    trials: Vector,
    beta: Vector,
    offset: Vector | Matrix | None = None,
) -> bool:
    """Whether the gradient at ``beta`` proves that the data overlap.

    For d in the recession cone, with margins m ≥ 0 and g the gradient of the log-likelihood,
    g'd = Σ n π_k m ≥ w ‖N^½Xd‖, where w is the least probability of a category that was not
    observed (times √min(n, 1), over √(J − 1)). So ‖g‖ < w in the metric of (X'NX)⁻¹ leaves
    only d = 0. Any ``beta`` will do; a maximum of a healthy likelihood always does. One pass
    over the data instead of linear programs. False proves nothing.

    Parameters
    ----------
    columns, counts, trials
        As for :func:`find_separation`.
    beta
        Shape ``(p (J - 1),)``.
    offset
        Shape ``(n,)`` or ``(n, J - 1)``, or None.
    """
    observed = observed_categories(counts, trials)
    rows = observed.any(axis=1)
    X = np.column_stack([column[rows] for column in columns])
    n, observed = trials[rows], observed[rows]
    y = counts.reshape(len(trials), -1)[rows]
    logits = observed.shape[1] - 1
    eta = X @ np.asarray(beta).reshape(logits, -1).T
    if offset is not None:
        eta += offset.reshape(len(trials), -1)[rows]
    pi = _softmax(eta)
    unseen = pi[~observed]
    gradient = X.T @ (y - n[:, None] * pi[:, 1:])
    R = _upper(np.sqrt(n)[:, None] * X)
    if not (np.abs(R.diagonal()) > 0.0).all() or not np.isfinite(gradient).all():
        return False
    size = float(np.linalg.norm(solve_triangular(R, gradient, trans="T")))
    size += 16 * np.finfo(float).eps * float(np.sqrt(n.sum()))  # its rounding
    least = float(unseen.min()) if unseen.size else 1.0
    return bool(size < least * np.sqrt(min(float(n.min()), 1.0) / logits))


def _softmax(eta: Matrix) -> Matrix:
    """Probabilities of all J categories, the baseline first."""
    full = np.concatenate([np.zeros((eta.shape[0], 1)), eta], axis=1)
    full -= full.max(axis=1, keepdims=True)
    np.exp(full, out=full)
    probabilities: Matrix = full / full.sum(axis=1, keepdims=True)
    return probabilities


def observed_categories(counts: Matrix, trials: Vector) -> Mask:
    """Shape ``(n, J)``: whether the category was observed in the row, the baseline first."""
    counts = counts.reshape(len(trials), -1)
    out = np.empty((counts.shape[0], counts.shape[1] + 1), dtype=bool)
    np.greater(counts, 0.0, out=out[:, 1:])
    # Weights are not whole numbers: what rounding leaves of the trials is nothing.
    np.greater(trials - counts.sum(axis=1), 1e-12 * trials, out=out[:, 0])
    return out


def _overlap(observed: Mask, p: int) -> Recession:
    size = p * (observed.shape[1] - 1)
    none = np.zeros(size, dtype=bool)
    return Recession(
        kind="overlap",
        direction=np.zeros(size),
        infinite=none,
        signs=np.zeros(size, dtype=np.int8),
        left_open=none,
        excluded=np.zeros(observed.shape, dtype=bool),
        separated=np.zeros(observed.shape[0], dtype=bool),
        span=np.zeros((size, 0)),
    )


class _Orthonormal:
    """X = QR with columns scaled first: rows of Q of length 1, and the way back to β.

    R is the Cholesky factor of X'X unless that is too near singular: Q need not be orthonormal
    to the last digit, as long as the same R leads to γ and back.
    """

    def __init__(self, X: Matrix) -> None:
        self.p = X.shape[1]
        self.scale = np.linalg.norm(X, axis=0)
        self.scale[self.scale == 0.0] = 1.0
        X = X / self.scale
        self.R = _factor(X)
        self.tolerance = max(MARGIN, 16 * np.finfo(float).eps * float(np.linalg.cond(self.R)))
        Q = solve_triangular(self.R, X.T, trans="T").T
        lengths = np.sqrt(np.einsum("ij,ij->i", Q, Q))
        lengths[lengths == 0.0] = 1.0
        self.rows = Q / lengths[:, None]

    def coefficients(self, gamma: Matrix | Vector) -> Matrix:
        """D = R⁻¹γ in the user's units, for γ of shape ``(K,)`` or ``(K, r)``."""
        blocks = gamma.reshape(gamma.shape[0] // self.p, self.p, -1)
        back = [solve_triangular(self.R, block) / self.scale[:, None] for block in blocks]
        coefficients: Matrix = np.concatenate(back).reshape(gamma.shape)
        return coefficients

    def functionals(self, n_logits: int) -> Matrix:
        """Shape ``(K, K)``: row j gives the sign of coefficient j from γ, of length 1."""
        inverse = solve_triangular(self.R, np.eye(self.p))
        inverse /= np.linalg.norm(inverse, axis=1, keepdims=True)
        return np.kron(np.eye(n_logits), inverse)


def _factor(X: Matrix) -> Matrix:
    """Upper-triangular R with X'X = R'R, for columns of length 1.

    Raises
    ------
    DataError
        If a column depends on earlier ones.
    """
    try:
        R = np.asarray(np.linalg.cholesky(X.T @ X).T, dtype=np.float64)
        if (R.diagonal() > _NEARLY_DEPENDENT).all():
            return R
    except np.linalg.LinAlgError:
        pass
    R = _upper(X)
    if X.shape[0] < X.shape[1] or not (np.abs(R.diagonal()) > _DEPENDENT).all():
        raise DataError(
            "The columns are linearly dependent on the rows that have trials; drop those that "
            "depend on others."
        )
    return R


def _upper(A: Matrix) -> Matrix:
    """R of A = QR."""
    return np.asarray(np.linalg.qr(A, mode="r"), dtype=np.float64)


class _Cone:
    """{γ : x̄'γ ≥ 0 for every row and every category not observed in it}.

    A constraint is numbered i J + k: row i, category k. Directions are γ = Bα with B, the
    ``subspace`` on which all categories observed at one point keep equal η.
    """

    def __init__(self, rows: Matrix, observed: Mask, tolerance: float) -> None:
        self.rows, self.observed, self.tolerance = rows, observed, tolerance
        self.n_logits = observed.shape[1] - 1
        self.winner = observed.argmax(axis=1)
        self.subspace = self._equalities()

    # -- rows and margins ------------------------------------------------------------------

    def margins(self, alpha: Vector) -> Matrix:
        """Shape ``(n, J)``: η of the observed category minus η_k; inf where k is observed."""
        gamma = (self.subspace @ alpha).reshape(self.n_logits, -1)
        eta = np.zeros(self.observed.shape)
        np.matmul(self.rows, gamma.T, out=eta[:, 1:])
        out: Matrix = eta[np.arange(len(eta)), self.winner][:, None] - eta
        out[self.observed] = np.inf
        return out

    def vectors(self, constraints: Index) -> Matrix:
        """Shape ``(m, k)``: x̄ of some constraints in the coordinates α."""
        i, k = np.divmod(constraints, self.n_logits + 1)
        sign = np.zeros((constraints.size, self.n_logits + 1))
        at = np.arange(constraints.size)
        sign[at, self.winner[i]] = 1.0
        sign[at, k] -= 1.0
        full = sign[:, 1:, None] * self.rows[i, None, :]
        vectors: Matrix = full.reshape(constraints.size, -1) @ self.subspace
        return vectors

    def excluded(self, alpha: Vector) -> Mask:
        """Shape ``(n, J)``: categories that the direction rules out."""
        margins = self.margins(alpha)
        mask: Mask = (margins > self.tolerance) & ~self.observed
        return mask

    def _equalities(self) -> Matrix:
        """Orthonormal basis of the directions that keep x_i'(d_y − d_s) = 0 for y, s in S_i."""
        size = self.rows.shape[1] * self.n_logits
        several = np.flatnonzero(self.observed.sum(axis=1) > 1)
        stack = np.zeros((0, size))
        patterns, which = np.unique(self.observed[several], axis=0, return_inverse=True)
        for number, pattern in enumerate(patterns):
            members = self.rows[several[which.ravel() == number]]
            factor = _upper(members)
            first, *others = np.flatnonzero(pattern)
            for other in others:
                contrast = np.zeros(self.n_logits + 1)
                contrast[other], contrast[first] = 1.0, -1.0
                stack = np.concatenate([stack, np.kron(contrast[1:], factor)])
            if stack.shape[0] > 4 * size:
                stack = _upper(stack)
        return null_space(stack, self.tolerance)

    # -- the relative interior -------------------------------------------------------------

    def relative_interior(self) -> tuple[Vector, Matrix]:
        """A direction that separates all that can be separated, and a basis of the span."""
        k = self.subspace.shape[1]
        interior, active = np.zeros(k), self._first()
        while k:
            A = self.vectors(active)
            open_ = A @ interior <= self.tolerance
            step = maximise_over_cone(A[open_].sum(axis=0), A)
            if open_.any() and (A[open_] @ step).max() > self.tolerance:
                more = self.violated(self.margins(step), active)
                if not more.size:
                    interior = interior + step
            else:
                span = null_space(A[open_], self.tolerance)
                more = self._not_spanned(interior, span, active)
                if not more.size:
                    return span @ (span.T @ interior), span
            active = np.concatenate([active, more])
        return interior, np.zeros((0, 0))

    def _first(self) -> Index:
        """Constraints to start with: some of every pair (observed category, other category)."""
        J = self.n_logits + 1
        wanted = max(_FIRST_ROWS, 8 * self.subspace.shape[1])
        each = max(3, wanted // (J * (J - 1)))
        chosen = []
        for y in range(J):
            for k in range(J):
                rows = np.flatnonzero((self.winner == y) & ~self.observed[:, k])
                chosen.append(rows[:: max(1, rows.size // each)] * J + k)
        return np.concatenate(chosen)

    def violated(self, margins: Matrix, active: Index) -> Index:
        """Constraints to add because a direction violates them: the worst, from everywhere."""
        flat = margins.ravel()
        bad = np.flatnonzero(flat < -_VIOLATION * (self.tolerance / MARGIN))
        bad = bad[~np.isin(bad, active)]
        return _worst(bad, flat[bad], max(_MORE_ROWS, self.subspace.shape[1]))

    def _not_spanned(self, interior: Vector, span: Matrix, active: Index) -> Index:
        """Boundary constraints outside the span of the active ones."""
        elsewhere = self.observed | (self.margins(interior) > self.tolerance)
        if not span.shape[1] or elsewhere.all():
            return np.zeros(0, dtype=np.intp)
        moved = np.zeros(self.observed.shape)
        for column in span.T:
            np.maximum(moved, np.abs(self.margins(column)), out=moved)
        moved[elsewhere] = 0.0
        bad = np.flatnonzero(moved.ravel() > self.tolerance)
        bad = bad[~np.isin(bad, active)]
        return _worst(bad, -moved.ravel()[bad], max(_MORE_ROWS, self.subspace.shape[1]))

    # -- which coefficients, and which way -------------------------------------------------

    def infinite(
        self, interior: Vector, span: Matrix, functionals: Matrix
    ) -> tuple[Mask, NDArray[np.int8], Mask]:
        """Coefficients on which the span is not zero; their signs over the cone; those left open.

        Inside the cone both signs of a coefficient that is 0 there are as near as one likes.
        """
        slopes = functionals @ self.subspace @ span
        length = np.linalg.norm(slopes, axis=1)
        infinite: Mask = length > self.tolerance
        signs = np.zeros(infinite.size, dtype=np.int8)
        left_open = np.zeros(infinite.size, dtype=bool)
        inside = slopes @ (span.T @ interior)
        search = _Extremes(self, span, interior)
        for j in np.flatnonzero(infinite & (np.abs(inside) > self.tolerance)):
            sign = 1 if inside[j] > 0.0 else -1
            agreed = search.never_negative(sign * slopes[j] / length[j])
            left_open[j] = agreed is None
            signs[j] = sign if agreed else 0
        return infinite, signs, left_open


class _Extremes:
    """Least values of linear functionals over the cone, in coordinates of its span.

    Where no more rows are left than the span has dimensions (every population has a coefficient
    of its own), the cone is simplicial: its extreme rays are the columns of the inverse of the
    rows, and no linear program is needed.
    """

    def __init__(self, cone: _Cone, span: Matrix, interior: Vector) -> None:
        self.cone, self.span = cone, span
        strict = np.flatnonzero(cone.excluded(interior).ravel())
        self.active = strict[:: max(1, strict.size // _FIRST_ROWS)]
        self.boundary = cone.margins(interior) <= cone.tolerance
        rays = self._rays(strict)
        self.all_rays = rays is not None
        self.points = np.zeros((span.shape[1], 0)) if rays is None else rays
        """Points of the cone in the unit box that are known, in columns."""
        self.work = 0.0

    def _rays(self, strict: Index) -> Matrix | None:
        """The extreme rays of a simplicial cone; None if it is none, or nearly flat."""
        if strict.size != self.span.shape[1]:
            return None
        A = self.cone.vectors(strict) @ self.span
        try:
            rays = np.linalg.inv(A)
        except np.linalg.LinAlgError:
            return None
        if not np.linalg.norm(A) * np.linalg.norm(rays) < _WELL_CONDITIONED:
            return None
        return np.asarray(rays / np.abs(rays).max(axis=0))

    def never_negative(self, functional: Vector) -> bool | None:
        """Whether f'α ≥ 0 on the cone, for f of length 1; None where that would take too long.

        A known point may refute it; else a linear program decides. The time of one grows about
        as rows times dimensions; all of them together get ``_MOST_WORK`` of that, which is
        counted, not timed: the answer is the same on every machine.
        """
        if self.span.shape[1] == 1:
            return True  # a ray: the direction shows the only sign
        if (functional @ self.points).min(initial=0.0) < -self.cone.tolerance:
            return False
        if self.all_rays:
            return True
        while True:
            self.work += self.active.size * self.span.shape[1]
            if self.work > _MOST_WORK:
                return None
            A = self.cone.vectors(self.active) @ self.span
            alpha = maximise_over_cone(-functional, A)
            if float(functional @ alpha) >= -self.cone.tolerance:
                return True
            margins = self.cone.margins(self.span @ alpha)
            margins[self.boundary] = 0.0
            more = self.cone.violated(margins, self.active)
            if not more.size:
                self.points = np.column_stack([self.points, alpha])
                return False
            self.active = np.concatenate([self.active, more])


def maximise_over_cone(objective: Vector, A: Matrix) -> Vector:
    """max c'α subject to Aα ≥ 0 and |α_j| ≤ 1.

    Raises
    ------
    MultilogitError
        If HiGHS ends without a solution.
    """
    from scipy.optimize import linprog

    size = float(np.abs(objective).max(initial=0.0))
    if size == 0.0:
        return np.zeros(objective.size)
    tolerances = ("primal_feasibility_tolerance", "dual_feasibility_tolerance")
    solution = linprog(
        -objective / size,
        A_ub=-A,
        b_ub=np.zeros(A.shape[0]),
        bounds=(-1.0, 1.0),
        method="highs",
        options=dict.fromkeys(tolerances, _LP_TOLERANCE),
    )
    if solution.x is None:
        raise MultilogitError(f"The linear program for separation failed: {solution.message}")
    return np.asarray(solution.x, dtype=np.float64)


def null_space(A: Matrix, tolerance: float) -> Matrix:
    """Orthonormal basis, shape ``(k, r)``, of the vectors that rows of length 1 do not see."""
    if not A.shape[0]:
        return np.eye(A.shape[1])
    _, values, vectors = np.linalg.svd(A, full_matrices=A.shape[0] < A.shape[1])
    rank = int((values > max(tolerance, 1e-14 * values[0])).sum())
    basis: Matrix = vectors[rank:].T
    return basis


def _worst(numbers: Index, badness: Vector, at_most: int) -> Index:
    """The lowest of each of ``at_most`` stretches: bad ones, but not all alike."""
    if numbers.size <= at_most:
        return numbers
    length = -(-numbers.size // at_most)
    padded = np.full(at_most * length, np.inf)
    padded[: numbers.size] = badness
    at = padded.reshape(at_most, length).argmin(axis=1) + length * np.arange(at_most)
    worst: Index = numbers[at[at < numbers.size]]
    return worst
