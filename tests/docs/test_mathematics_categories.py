"""docs/mathematics.md, section 16, transcribed line by line and compared with the core."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from multilogit.likelihood.covariance import CovarianceStructure
from multilogit.likelihood.grouped import GroupedLikelihood

Array = NDArray[np.float64]


class Row:
    """Cumulants of one row at η."""

    def __init__(self, eta: Array, y: Array, n: float) -> None:
        every = np.exp(eta) / (1.0 + np.exp(eta).sum())
        self.n, self.pi, self.S = n, every, np.diag(every) - np.outer(every, every)
        self.value = y @ eta - n * np.log1p(np.exp(eta).sum())
        self.r, self.W = y - n * every, n * self.S

    def kappa3(self, g: Array) -> Array:
        alpha = self.pi * (g - self.pi @ g)
        return self.n * (np.diag(alpha) - np.outer(alpha, self.pi) - np.outer(self.pi, alpha))

    def q(self, V: Array) -> tuple[Array, float]:
        q0 = self.pi @ V @ self.pi
        q = V.diagonal() - 2.0 * V @ self.pi + q0
        return q, float((1.0 - self.pi.sum()) * q0 + self.pi @ q)

    def t(self, V: Array) -> Array:
        q, mean = self.q(V)
        return self.n * self.pi * (q - mean)

    def kappa4(self, V: Array) -> Array:
        (q, mean), pi, S = self.q(V), self.pi, self.S
        alpha = pi * q
        outer = np.outer(alpha, pi)
        square = np.diag(alpha) - outer - outer.T + mean * np.outer(pi, pi)
        return self.n * (square - mean * S - 2.0 * S @ V @ S)


class Group:
    """One group at one ψ; names as in the page. Z has shape ``(rows, C, effects)``."""

    def __init__(self, X, Z, y, n, beta, structure: CovarianceStructure, theta) -> None:
        self.X, self.Z, self.y, self.n, self.structure = X, Z, y, n, structure
        self.C = Z.shape[1]
        self.p = X.shape[1] * self.C
        self.d = self.p + structure.m
        self.eta0 = X @ beta.reshape(self.C, -1).T
        self.A = Z @ structure.Lambda(theta)
        self.u = self.mode()
        self.rows = self.at(self.u)
        self.H = np.eye(structure.q) + self.sum(lambda i, row: self.A[i].T @ row.W @ self.A[i])
        self.L = np.linalg.cholesky(self.H)

    def at(self, u: Array) -> list[Row]:
        eta = self.eta0 + self.A @ u
        return [Row(*row) for row in zip(eta, self.y, self.n, strict=True)]

    def sum(self, term):
        return sum(term(i, row) for i, row in enumerate(self.rows))

    def mode(self) -> Array:
        u = np.zeros(self.A.shape[2])
        for _ in range(60):
            rows = self.at(u)
            H = np.eye(u.size) + sum(A.T @ row.W @ A for A, row in zip(self.A, rows, strict=True))
            g = sum(A.T @ row.r for A, row in zip(self.A, rows, strict=True)) - u
            u = u + np.linalg.solve(H, g)
        return u

    def Z_(self, k: int) -> Array:
        """Z ∂Λ/∂θ_k."""
        out = np.zeros_like(self.A)
        if k >= self.p:
            row, column = self.structure.rows[k - self.p], self.structure.columns[k - self.p]
            out[:, :, column] = self.Z[:, :, row]
        return out

    def P(self, k: int) -> Array:
        out = self.Z_(k) @ self.u
        if k < self.p:
            logit, column = divmod(k, self.X.shape[1])
            out[:, logit] = self.X[:, column]
        return out

    def n_(self, k: int) -> Array:
        Z, P = self.Z_(k), self.P(k)
        return self.sum(lambda i, row: Z[i].T @ row.r - self.A[i].T @ row.W @ P[i])

    def u_(self, k: int) -> Array:
        return np.linalg.solve(self.H, self.n_(k))

    def D(self, k: int) -> Array:
        return self.P(k) + self.A @ self.u_(k)

    def M(self, k: int) -> Array:
        Z, D, A = self.Z_(k), self.D(k), self.A
        H_k = self.sum(
            lambda i, row: (
                A[i].T @ row.kappa3(D[i]) @ A[i] + Z[i].T @ row.W @ A[i] + A[i].T @ row.W @ Z[i]
            )
        )
        Linv = np.linalg.inv(self.L)
        return Linv @ H_k @ Linv.T

    def T(self, k: int, l: int) -> float:  # noqa: E741
        A, Hinv = self.A, np.linalg.inv(self.H)
        Zk, Zl, Dk, Dl = self.Z_(k), self.Z_(l), self.D(k), self.D(l)
        C = Zk @ self.u_(l) + Zl @ self.u_(k)
        V = [a @ Hinv @ a.T for a in A]
        v = Hinv @ self.sum(lambda i, row: A[i].T @ row.t(V[i]))

        def term(i: int, row: Row) -> float:
            omega = row.kappa4(V[i]) - row.kappa3(A[i] @ v)
            total = Dk[i] @ omega @ Dl[i] + (row.t(V[i]) - row.W @ A[i] @ v) @ C[i]
            total -= Dk[i] @ row.W @ Zl[i] @ v + Dl[i] @ row.W @ Zk[i] @ v
            total += 2.0 * np.trace(row.kappa3(Dk[i]) @ A[i] @ Hinv @ Zl[i].T)
            total += 2.0 * np.trace(row.kappa3(Dl[i]) @ A[i] @ Hinv @ Zk[i].T)
            return total + 2.0 * np.trace(row.W @ Zk[i] @ Hinv @ Zl[i].T)

        return float(self.sum(term) - (self.M(k) * self.M(l)).sum())

    def laplace(self) -> tuple[float, Array, Array]:
        value = sum(row.value for row in self.rows) - 0.5 * self.u @ self.u
        value -= np.log(self.L.diagonal()).sum()
        gradient, hessian = np.zeros(self.d), np.zeros((self.d, self.d))
        for k in range(self.d):
            Pk = self.P(k)
            explicit = self.sum(lambda i, row, P=Pk: P[i] @ row.r)
            gradient[k] = explicit - 0.5 * np.trace(self.M(k))
            for l in range(self.d):  # noqa: E741
                Pl = self.P(l)
                PWP = self.sum(lambda i, row, Pk=Pk, Pl=Pl: Pk[i] @ row.W @ Pl[i])
                hessian[k, l] = -PWP + self.n_(k) @ self.u_(l) - 0.5 * self.T(k, l)
        return float(value), gradient, hessian


@pytest.mark.parametrize(("n_logits", "columns"), [(1, 2), (2, 1), (2, 2), (3, 1)])
def test_equations_are_what_is_computed(n_logits: int, columns: int) -> None:
    rng = np.random.default_rng(10 * n_logits + columns)
    X = np.column_stack([np.ones(5), rng.normal(size=5)])
    n = rng.integers(1, 4, size=5)
    share = np.full(n_logits + 1, 1.0 / (n_logits + 1))
    y = np.array([rng.multinomial(m, share)[1:] for m in n], dtype=float)
    effects = [(c, X[:, k]) for c in range(n_logits) for k in range(columns)]
    Z = np.zeros((5, n_logits, len(effects)))
    for a, (c, column) in enumerate(effects):
        Z[:, c, a] = column
    structure = CovarianceStructure.of_blocks([len(effects)])
    beta = rng.normal(size=2 * n_logits)
    theta = np.where(structure.diagonal, 0.9, 0.3) * rng.uniform(0.5, 1.5, size=structure.m)
    value, gradient, hessian = Group(X, Z, y, n, beta, structure, theta).laplace()
    computed = GroupedLikelihood(
        [np.ascontiguousarray(column) for column in X.T],
        [np.ascontiguousarray(column) for _, column in effects],
        [len(effects)],
        np.asfortranarray(y),
        n.astype(float),
        np.zeros(5, dtype=np.int32),
        1,
        logits=[c for c, _ in effects],
    ).evaluate(np.concatenate([beta, theta]))
    assert computed.value == pytest.approx(value, rel=1e-11)
    np.testing.assert_allclose(computed.gradient, gradient, rtol=1e-9, atol=1e-10)
    np.testing.assert_allclose(computed.hessian, hessian, rtol=1e-9, atol=1e-9)
