"""docs/mathematics.md, sections 4 to 7, transcribed line by line and compared with the core."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from multilogit.likelihood.covariance import CovarianceStructure
from multilogit.likelihood.grouped import GroupedLikelihood, product_rule

Array = NDArray[np.float64]


def rows(eta: Array, y: Array, n: Array) -> tuple[Array, Array, Array, Array, Array]:
    """Section 2: l, r, w, w3, w4."""
    pi = 1.0 / (1.0 + np.exp(-eta))
    w = n * pi * (1.0 - pi)
    value = y * eta - n * np.logaddexp(0.0, eta)
    return value, y - n * pi, w, w * (1.0 - 2.0 * pi), w * (1.0 - 6.0 * pi * (1.0 - pi))


class Group:
    """One group at one ψ; names as in the page."""

    def __init__(self, X, Z, y, n, beta, structure: CovarianceStructure, theta) -> None:
        self.X, self.Z, self.y, self.n = X, Z, y, n
        self.p, self.structure = X.shape[1], structure
        self.eta0, self.A = X @ beta, Z @ structure.Lambda(theta)
        self.u = self.mode()
        _, self.r, self.w, self.w3, self.w4 = self.at(self.u)
        self.H = np.eye(structure.q) + self.A.T @ (self.w[:, None] * self.A)
        self.L = np.linalg.cholesky(self.H)
        self.d = self.p + structure.m

    def at(self, u: Array):
        return rows(self.eta0 + self.A @ u, self.y, self.n)

    def f(self, u: Array) -> float:
        return float(self.at(u)[0].sum() - 0.5 * u @ u)

    def mode(self) -> Array:
        u = np.zeros(self.A.shape[1])
        for _ in range(50):
            _, r, w, _, _ = self.at(u)
            H = np.eye(u.size) + self.A.T @ (w[:, None] * self.A)
            u = u + np.linalg.solve(H, self.A.T @ r - u)
        return u

    # -- section 5 -----------------------------------------------------------------------

    def Z_(self, k: int) -> Array:
        """Z ∂Λ/∂θ_k."""
        out = np.zeros_like(self.A)
        if k >= self.p:
            row, column = self.structure.rows[k - self.p], self.structure.columns[k - self.p]
            out[:, column] = self.Z[:, row]
        return out

    def P(self, k: int, u: Array) -> Array:
        return self.X[:, k] if k < self.p else self.Z_(k) @ u

    def n_(self, k: int) -> Array:
        return self.Z_(k).T @ self.r - self.A.T @ (self.w * self.P(k, self.u))

    def u_(self, k: int) -> Array:
        return np.linalg.solve(self.H, self.n_(k))

    def D(self, k: int) -> Array:
        return self.P(k, self.u) + self.A @ self.u_(k)

    def M(self, k: int) -> Array:
        WA = self.w[:, None] * self.A
        H_k = self.A.T @ ((self.w3 * self.D(k))[:, None] * self.A)
        H_k += self.Z_(k).T @ WA + WA.T @ self.Z_(k)
        Linv = np.linalg.inv(self.L)
        return Linv @ H_k @ Linv.T

    # -- section 6 -----------------------------------------------------------------------

    def T(self, k: int, l: int, G: Array, h: Array, v: Array) -> float:  # noqa: E741
        """T_kl without its last term, with G in place of H⁻¹."""
        A, w, w3, w4, Dk, Dl = self.A, self.w, self.w3, self.w4, self.D(k), self.D(l)
        Zk, Zl = self.Z_(k), self.Z_(l)
        C = Zk @ self.u_(l) + Zl @ self.u_(k)
        diag = np.diag
        total = (w4 * h - w3 * (A @ v)) * Dk * Dl + (w3 * h - w * (A @ v)) * C
        total -= w * (Dk * (Zl @ v) + Dl * (Zk @ v))
        total += 2.0 * w3 * (Dk * diag(A @ G @ Zl.T) + Dl * diag(A @ G @ Zk.T))
        total += 2.0 * w * diag(Zk @ G @ Zl.T)
        return float(total.sum())

    def laplace(self) -> tuple[float, Array, Array]:
        value = self.f(self.u) - np.log(self.L.diagonal()).sum()
        Hinv = np.linalg.inv(self.H)
        h = np.diag(self.A @ Hinv @ self.A.T)
        v = Hinv @ self.A.T @ (self.w3 * h)
        gradient, hessian = np.zeros(self.d), np.zeros((self.d, self.d))
        for k in range(self.d):
            gradient[k] = self.P(k, self.u) @ self.r - 0.5 * np.trace(self.M(k))
            for l in range(self.d):  # noqa: E741
                T = self.T(k, l, Hinv, h, v) - (self.M(k) * self.M(l)).sum()
                PWP = self.P(k, self.u) @ (self.w * self.P(l, self.u))
                hessian[k, l] = -PWP + self.n_(k) @ self.u_(l) - 0.5 * T
        return value, gradient, hessian

    def low_rank(self) -> Array:
        """The order of work of section 6: global product, U'Y + Y'U + ½M'M, pairs with a θ."""
        p, d, A, w, Z = self.p, self.d, self.A, self.w, self.Z
        rows, columns = self.structure.rows, self.structure.columns
        Hinv = np.linalg.inv(self.H)
        h = np.diag(A @ Hinv @ A.T)
        v = Hinv @ A.T @ (self.w3 * h)
        omega = -0.5 * (self.w4 * h - self.w3 * (A @ v))
        Lambda = np.linalg.lstsq(Z, A, rcond=None)[0]
        S = Z.T @ (self.w3 * h - w * (A @ v))
        out = np.zeros((d, d))
        out[:p, :p] = self.X.T @ ((omega - w)[:, None] * self.X)
        g, Y = [], []
        for k in range(d):
            zeta = Lambda @ self.u_(k)
            linear = omega * self.X[:, k] if k < p else np.zeros_like(omega)
            if k >= p:
                zeta[rows[k - p]] += self.u[columns[k - p]]
            g.append(Z.T @ linear + 0.5 * Z.T @ (omega * (Z @ zeta)))
            Y.append(0.5 * self.n_(k) + Lambda.T @ g[k])
        for k in range(d):
            for l in range(d):  # noqa: E741
                out[k, l] += self.u_(k) @ Y[l] + Y[k] @ self.u_(l)
                out[k, l] += 0.5 * (self.M(k) * self.M(l)).sum()
                for i, j in ((k, l), (l, k)):
                    if j >= p:
                        out[k, l] += self.X_(i, j, g[i], S, v, Lambda @ Hinv, Hinv)
        return out

    def X_(self, k, l, g, S, v, LambdaHinv, Hinv) -> float:  # noqa: E741
        a, b = self.structure.rows[l - self.p], self.structure.columns[l - self.p]
        z, D = self.Z[:, a], self.D(k)
        c = 1.0 if k < self.p else 0.5
        x = self.u[b] * (g[a] - c * (self.w * self.P(k, self.u) * z).sum())
        x += -0.5 * S[a] * self.u_(k)[b] + 0.5 * v[b] * (self.w * D * z).sum()
        x -= (self.Z.T @ (self.w3 * D * z)) @ LambdaHinv[:, b]
        if k >= self.p:
            ak, bk = self.structure.rows[k - self.p], self.structure.columns[k - self.p]
            x -= 0.5 * Hinv[b, bk] * (self.w * z * self.Z[:, ak]).sum()
        return float(x)

    # -- section 7 -----------------------------------------------------------------------

    def quadrature(self, nodes: int) -> tuple[float, Array, Array]:
        x, log_weights = product_rule(nodes, self.structure.q)
        A, d = self.A, self.d
        R = np.linalg.inv(self.L).T
        c = self.u + x @ R.T
        F = np.array([self.f(point) for point in c]) + 0.5 * (x**2).sum(axis=1) + log_weights
        value = np.logaddexp.reduce(F) - np.log(self.L.diagonal()).sum()
        prob = np.exp(F - np.logaddexp.reduce(F))
        M = [self.M(k) for k in range(d)]
        Phi = [phi(m) for m in M]
        r = np.array([self.at(point)[1] for point in c])
        W = np.array([self.at(point)[2] for point in c])
        ck = np.array([self.u_(k) - x @ (R @ Phi[k].T).T for k in range(d)])
        D = np.array([[self.P(k, c[j]) + A @ ck[k, j] for j in range(len(c))] for k in range(d)])
        Fk = (r * D).sum(axis=2) - (c * ck).sum(axis=2)
        gradient = Fk @ prob - 0.5 * np.array([np.trace(m) for m in M])

        g = r @ A - c
        S_u = prob @ g
        N = R.T @ ((prob[:, None] * g).T @ x + self.L)
        N_s = 0.5 * (np.triu(N) + np.triu(N, 1).T)
        G = -R @ N_s @ R.T
        h = np.diag(A @ G @ A.T)
        v = np.linalg.solve(self.H, S_u + A.T @ (self.w3 * h))
        hessian = np.zeros((d, d))
        for k in range(d):
            for l in range(d):  # noqa: E741
                cov = prob @ (Fk[k] * Fk[l]) - (prob @ Fk[k]) * (prob @ Fk[l])
                square = (D[k] * W * D[l]).sum(axis=1) + (ck[k] * ck[l]).sum(axis=1)
                moved = (r * (ck[l] @ self.Z_(k).T + ck[k] @ self.Z_(l).T)).sum(axis=1)
                inner = Phi[l].T @ Phi[k].T + phi(Phi[l] @ M[k] + M[k] @ Phi[l].T).T
                hessian[k, l] = cov - prob @ square + prob @ moved
                hessian[k, l] += -np.trace(Phi[k] @ Phi[l]) + (N * inner).sum()
                hessian[k, l] += self.T(k, l, G, h, v)
        return value, gradient, hessian


def phi(M: Array) -> Array:
    """Lower triangle with half the diagonal."""
    return np.tril(M) - 0.5 * np.diag(np.diag(M))


def example(blocks: tuple[int, ...], seed: int):
    """One group of 7 rows, 2 fixed effects, and the core's likelihood of it."""
    rng = np.random.default_rng(seed)
    q = sum(blocks)
    X = np.column_stack([np.ones(7), rng.normal(size=7)])
    Z = np.column_stack([np.ones(7), *rng.normal(size=(q - 1, 7))])
    n = rng.integers(1, 4, size=7).astype(float)
    y = rng.binomial(n.astype(int), 0.5).astype(float)
    structure = CovarianceStructure.of_blocks(blocks)
    beta = rng.normal(size=2)
    theta = np.where(structure.diagonal, 0.9, 0.4) * rng.uniform(0.5, 1.5, size=structure.m)
    return X, Z, n, y, structure, beta, theta


def core(X, Z, n, y, blocks, psi: Array, nodes: int):
    columns = [[np.ascontiguousarray(c) for c in matrix.T] for matrix in (X, Z)]
    codes = np.zeros(len(y), dtype=np.int32)
    return GroupedLikelihood(*columns, blocks, y, n, codes, 1, nodes=nodes).evaluate(psi)


@pytest.mark.parametrize("blocks", [(1,), (2,), (1, 1), (2, 1)])
@pytest.mark.parametrize("nodes", [1, 4])
def test_equations_are_what_is_computed(blocks: tuple[int, ...], nodes: int) -> None:
    X, Z, n, y, structure, beta, theta = example(blocks, seed=sum(blocks))
    group = Group(X, Z, y, n, beta, structure, theta)
    value, gradient, hessian = group.laplace() if nodes == 1 else group.quadrature(nodes)
    computed = core(X, Z, n, y, blocks, np.concatenate([beta, theta]), nodes)
    assert computed.value == pytest.approx(value, rel=1e-11)
    np.testing.assert_allclose(computed.gradient, gradient, rtol=1e-9, atol=1e-10)
    np.testing.assert_allclose(computed.hessian, hessian, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("blocks", [(1,), (2,), (2, 1)])
def test_order_of_work_gives_the_hessian(blocks: tuple[int, ...]) -> None:
    X, Z, n, y, structure, beta, theta = example(blocks, seed=10 + sum(blocks))
    group = Group(X, Z, y, n, beta, structure, theta)
    np.testing.assert_allclose(group.low_rank(), group.laplace()[2], rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("blocks", [(1,), (2,)])
def test_one_node_is_laplace(blocks: tuple[int, ...]) -> None:
    X, Z, n, y, structure, beta, theta = example(blocks, seed=20 + sum(blocks))
    group = Group(X, Z, y, n, beta, structure, theta)
    for one, other in zip(group.quadrature(1), group.laplace(), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-10)
