"""Jeffreys' prior: a power of the determinant of the expected information at b = 0.

    log π(β) = power · log|F|,   F = Σ_i n_i X_i'W_iX_i,   X_i = I_C ⊗ x_i',   W_i = diag π − ππ'

With power ½ the posterior mode is Firth's penalised likelihood, which for logistic models removes
the first-order bias (Firth 1993; Kosmidis & Firth 2011 for multinomial ones).

Derivatives. W_i is the Hessian of log Σ_j e^η_j, so F has first and second derivatives with the
third and fourth cumulants of the categorical distribution. With G = F⁻¹, V_i = X_iGX_i':

    ∂ log|F| / ∂β      = Σ_i n_i X_i' κ₃(·, V_i)
    ∂² log|F| / ∂β∂β'  = Σ_i n_i X_i' κ₄(·, ·, V_i) X_i − tr(G F_k G F_l)

where F_k = ∂F/∂β_k = Σ_i n_i X_i' κ₃(·, ·, X_ik) X_i. With q_j = V_jj − 2(Vπ)_j + π'Vπ over all J
categories (V = 0 in the row and column of the baseline) and α = π∘(q − π'q):

    κ₃(·, V) = α,    κ₄(·, ·, V) = diag α − απ' − πα' − 2WVW.

The last trace is ⟨M_k, M_l⟩, M_k = L⁻¹F_kL⁻ᵀ, F = LL'. The tensor of all F_k is symmetric in its
three indices; one product of the pairs x_k x_l with the weighted x_m gives it. All of it is done
in coordinates where X'diag(n)X = I, so that nothing depends on how X is parametrised.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations_with_replacement, permutations

import numpy as np

from multilogit.errors import OptionError, Status
from multilogit.evaluation import Evaluation, Matrix, Vector
from multilogit.prior.base import BoundPrior, PriorContext, embed
from multilogit.prior.covariance import CovariancePrior, check_covariance, with_covariance
from multilogit.prior.options import positive
from multilogit.prior.rows import (
    BLOCK_ROWS,
    Array,
    Block,
    add_weighted_gram,
    blocks,
    centred,
    contracted,
    probabilities,
    second_cumulant,
    third_cumulant,
)
from multilogit.prior.specification import Specification


@dataclass(frozen=True, slots=True)
class Jeffreys(Specification):
    """power · log det of the expected information of β; ½: Firth's penalised likelihood.

    Parameters
    ----------
    power
        Positive; ½ is Jeffreys' prior.
    covariance
        Prior of the random effects' covariance matrices; None: flat.

    Raises
    ------
    OptionError
        If an option has a value that cannot be used.

    Notes
    -----
    With random effects the information is that of the population predictor, b = 0. Time per
    evaluation grows like n p³: seconds where p is in the hundreds.

    References
    ----------
    Firth, D. (1993), Bias reduction of maximum likelihood estimates, Biometrika 80. Kosmidis, I.
    & Firth, D. (2021), Jeffreys-prior penalty, finiteness and shrinkage in binomial-response
    generalized linear models, Biometrika 108.
    """

    power: float = 0.5
    covariance: CovariancePrior | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "power", positive(self.power, "power"))
        check_covariance(self.covariance)

    def bind(self, context: PriorContext, /) -> BoundPrior:
        """The log density of (β, θ) for one model.

        Raises
        ------
        OptionError
            If X does not have full column rank: then the determinant is 0.
        """
        return with_covariance(BoundJeffreys(context, self.power), self.covariance, context)


class BoundJeffreys:
    """power · log|F(β)|.

    Parameters
    ----------
    context
        The model.
    power
        Multiplies the log determinant.
    """

    depends_on_order = False

    def __init__(self, context: PriorContext, power: float) -> None:
        self.context = context
        self.power = power
        self._root = _root(context)  # X'diag(n)X = RR'
        self._inverse_root = np.linalg.inv(self._root)

    def evaluate(self, psi: Vector, /) -> Evaluation:
        """log π(ψ); −∞ where F is singular to rounding."""
        context, root = self.context, self._root
        beta = psi[: context.n_beta]
        try:
            factor = _cholesky(self._information(beta))
        except np.linalg.LinAlgError:
            return self._singular()
        pass_ = _Derivatives(context.p, context.n_logits, factor)
        for block, x in self._whitened():
            pass_.add(block, x, probabilities(block.predictor(beta))[0])
        gradient, hessian = pass_.finish()

        log_det = 2.0 * float(np.log(factor.diagonal()).sum())
        log_det += 2.0 * context.n_logits * float(np.log(root.diagonal()).sum())
        back = np.kron(np.eye(context.n_logits), root)  # dβ̃/dβ transposed: β̃_j = R'β_j
        hessian = back @ hessian @ back.T
        evaluation = Evaluation(
            self.power * log_det,
            self.power * (back @ gradient),
            0.5 * self.power * (hessian + hessian.T),
        )
        return embed(evaluation, context.size)

    def _information(self, beta: Vector) -> Matrix:
        """F in the coordinates where X'diag(n)X = I."""
        context = self.context
        information = np.zeros((context.n_beta, context.n_beta))
        for block, x in self._whitened():
            pi, _ = probabilities(block.predictor(beta))
            for a, b in combinations_with_replacement(range(context.n_logits), 2):
                weight = block.trials * second_cumulant(pi, a, b)
                add_weighted_gram(information, weight, x, a, b)
        return information

    def _whitened(self) -> Iterator[tuple[Block, Array]]:
        """The blocks of rows, each with x̃ = R⁻¹x, shape ``(p, m)``."""
        for block in blocks(self.context, BLOCK_ROWS):
            yield block, self._inverse_root @ block.x

    def _singular(self) -> Evaluation:
        """Where the determinant is 0 to rounding."""
        d = self.context.n_beta
        gradient, hessian = np.full(d, np.nan), np.full((d, d), np.nan)
        singular = Evaluation(-math.inf, gradient, hessian, Status.NOT_FINITE)
        return embed(singular, self.context.size)


class _Derivatives:
    """Gradient and Hessian of log|F|, summed over blocks of rows.

    Parameters
    ----------
    p, n_logits
        Columns and logits.
    factor
        L, F = LL', shape ``(p C, p C)``.
    """

    def __init__(self, p: int, n_logits: int, factor: Matrix) -> None:
        d = p * n_logits
        self.p, self.n_logits = p, n_logits
        self.inverse_factor = np.linalg.inv(factor)
        self.inverse = self.inverse_factor.T @ self.inverse_factor  # G
        self.gradient = np.zeros(d)
        self.hessian = np.zeros((d, d))
        self.pairs = np.triu_indices(p)
        self.triples = tuple(combinations_with_replacement(range(n_logits), 3))
        self.third = np.zeros((self.pairs[0].size, len(self.triples) * p))

    def add(self, block: Block, x: Array, pi: Array) -> None:
        """One block of rows: ``x`` of shape ``(p, m)``, ``pi`` of shape ``(J, m)``."""
        v = self._leverages(x)
        alpha = centred(pi, _quadratic(pi, v))
        self.gradient += ((block.trials * alpha) @ x.T).ravel()
        wv = _times_second_cumulant(pi, v)
        for a, b in combinations_with_replacement(range(self.n_logits), 2):
            weight = contracted(pi, alpha, a, b) - 2.0 * _product(pi, wv, a, b)
            add_weighted_gram(self.hessian, block.trials * weight, x, a, b)
        weighted = [x * (block.trials * third_cumulant(pi, a, b, c)) for a, b, c in self.triples]
        k, l = self.pairs  # noqa: E741
        self.third += (x[k] * x[l]) @ np.concatenate(weighted).T

    def finish(self) -> tuple[Vector, Matrix]:
        """∂ log|F| and ∂² log|F|."""
        d = self.gradient.size
        m = self._tensor()
        for _ in range(2):  # L⁻¹ from both sides of every F_k
            m = self.inverse_factor @ m.reshape(d, d * d)
            m = np.moveaxis(m.reshape(d, d, d), 0, 1)
        # F_k has moved to the last index.
        flat = np.moveaxis(m, 2, 0).reshape(d, d * d)
        return self.gradient, self.hessian - flat @ flat.T

    def _leverages(self, x: Array) -> Array:
        """V_ab = x'G_abx, shape ``(C, C, m)``."""
        p, n_logits = self.p, self.n_logits
        v = np.empty((n_logits, n_logits, x.shape[1]))
        for a, b in combinations_with_replacement(range(n_logits), 2):
            g = self.inverse[a * p : (a + 1) * p, b * p : (b + 1) * p]
            v[a, b] = v[b, a] = np.einsum("km,km->m", g @ x, x)
        return v

    def _tensor(self) -> Array:
        """∂F_lm/∂β_k for all k, l, m, shape ``(d, d, d)``."""
        p, (k, l) = self.p, self.pairs  # noqa: E741
        d = self.gradient.size
        tensor = np.empty((d, d, d))
        for i, triple in enumerate(self.triples):
            part = np.empty((p, p, p))
            part[k, l] = part[l, k] = self.third[:, i * p : (i + 1) * p]
            for a, b, c in set(permutations(triple)):
                tensor[a * p : (a + 1) * p, b * p : (b + 1) * p, c * p : (c + 1) * p] = part
        return tensor


def _root(context: PriorContext) -> Matrix:
    """R, lower-triangular: X'diag(n)X = RR'."""
    gram = np.zeros((context.p, context.p))
    for block in blocks(context):
        add_weighted_gram(gram, block.trials, block.x, 0, 0)
    try:
        return _cholesky(gram)
    except np.linalg.LinAlgError:
        raise OptionError(
            "The columns of the fixed effects are linearly dependent: Jeffreys' prior is not "
            f"defined. Drop one of {', '.join(map(repr, context.names))}."
        ) from None


def _cholesky(matrix: Matrix) -> Matrix:
    """L, lower-triangular, ``matrix`` = LL'. NumPy's: two BLAS in turn wait for each other."""
    return np.asarray(np.linalg.cholesky(matrix), dtype=np.float64)


def _quadratic(pi: Array, v: Array) -> Array:
    """q_j = V_jj − 2(Vπ)_j + π'Vπ over all J categories, shape ``(J, m)``, up to π'Vπ.

    The term common to all categories drops out of α = π∘(q − π'q).
    """
    q = np.zeros_like(pi)
    q[1:] = np.einsum("aam->am", v) - 2.0 * np.einsum("abm,bm->am", v, pi[1:])
    return q


def _times_second_cumulant(pi: Array, v: Array) -> Array:
    """WV, shape ``(C, C, m)``."""
    every = range(v.shape[0])
    w = np.array([[second_cumulant(pi, a, b) for b in every] for a in every])
    product: Array = np.einsum("abm,bcm->acm", w, v)
    return product


def _product(pi: Array, wv: Array, a: int, b: int) -> Vector:
    """(WVW)_ab."""
    total = np.zeros(pi.shape[1])
    for c in range(wv.shape[0]):
        total += wv[a, c] * second_cumulant(pi, c, b)
    return total
