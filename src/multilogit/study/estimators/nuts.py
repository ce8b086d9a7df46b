"""Full Bayesian inference by NUTS (NumPyro), under the same prior as the entropy estimators.

    η = Xβ + ZΛu,   u ~ N(0, I),   log π(β) = −λ Σ_i KL(u ‖ π_i),   l_jj ~ Rayleigh(s),
    l_jk ~ N(0, s²)

non-centred. One model is compiled for the shapes of a cell and used for all its data sets.
"""

from __future__ import annotations

import importlib.util
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from multilogit.evaluation import Matrix, Vector
from multilogit.extras import require
from multilogit.study.estimators.base import FAILED, Estimated, Settings
from multilogit.study.generate import Dataset
from multilogit.study.truth import Layout

CHAINS, WARMUP, DRAWS = 4, 300, 500
_EXTENSIONS = 4
"""Chains that have not mixed go on, by ``DRAWS`` each time, at most so often."""
LARGEST_RHAT, LEAST_ESS = 1.01, 400.0
_ONE_THREAD = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"


def numpyro_installed() -> bool:
    """Whether NumPyro is there."""
    return importlib.util.find_spec("numpyro") is not None


@dataclass(frozen=True, slots=True)
class NutsEstimator:
    """Posterior medians, standard deviations and quantiles.

    Attributes
    ----------
    settings
        What the design asks for.
    reference
        u of the prior: ``"tempered"`` (the default of ``RelativeEntropy``) or ``"uniform"``.
    """

    settings: Settings
    reference: Literal["tempered", "uniform"]

    def fit(self, data: Sequence[Dataset], seeds: Sequence[int]) -> list[Estimated]:
        """Four chains per data set, with their convergence checked (R̂, effective sample size)."""
        for dataset in data:  # compile before the clock runs
            if not self._sampler(dataset).compiled:
                self._sampler(dataset).draw(dataset, seeds[0])
                self._sampler(dataset).extend(dataset)
        return [self._one(dataset, seed) for dataset, seed in zip(data, seeds, strict=True)]

    def _sampler(self, data: Dataset) -> Sampler:
        scale = self.settings.prior_scale if self.reference == "uniform" else 5.0
        return sampler(_shape(data), self.reference, scale)

    def _one(self, data: Dataset, seed: int) -> Estimated:
        began = time.perf_counter()
        draws, rhat, ess, divergences = self._mixed_draws(data, seed)
        seconds = time.perf_counter() - began
        flat = draws.reshape(-1, data.layout.size)
        working = data.layout.working(flat.T)
        good = _good(rhat, ess)
        tail = 0.5 * (1.0 - self.settings.level)
        return Estimated(
            status="converged" if good else FAILED,
            converged=bool(good),
            seconds=seconds,
            estimate=np.median(flat, axis=0),
            se=np.asarray(working.std(axis=1, ddof=1)),
            intervals={"posterior": np.quantile(flat, [tail, 1.0 - tail], axis=0).T},
            posterior_below=np.mean(flat < data.truth, axis=0),
            notes=() if good else ("not-mixed",),
            numbers={"rhat": rhat, "ess": ess, "divergences": float(divergences)},
        )

    def _mixed_draws(
        self, data: Dataset, seed: int
    ) -> tuple[NDArray[np.float64], float, float, int]:
        """Draws of β, σ, ρ, shape ``(chains, draws, d)``, R̂, effective size, divergences."""
        sampler = self._sampler(data)
        parts, divergences = [], 0
        for again in range(1 + _EXTENSIONS):
            found = sampler.extend(data) if again else sampler.draw(data, seed)
            parts.append(_parameters(data.layout, found["beta"], found.get("theta")))
            divergences += found["diverging"]
            draws = np.concatenate(parts, axis=1)
            rhat, ess = _diagnostics(data.layout.working(np.moveaxis(draws, 2, 0)))
            if _good(rhat, ess):
                break
        return draws, rhat, ess, divergences


def _good(rhat: float, ess: float) -> bool:
    """Whether chains have mixed (Vehtari et al. 2021)."""
    return rhat <= LARGEST_RHAT and ess >= LEAST_ESS


def _shape(data: Dataset) -> tuple[int, int, int, int]:
    return (*data.X.shape, data.Z.shape[1], int(data.codes.max()) + 1)


class Sampler:
    """A sampler for data of one shape, compiled once: data are arguments of what is compiled.

    (``numpyro.infer.MCMC`` traces and compiles its initialisation anew for every data set, which
    takes longer than sampling.)

    Parameters
    ----------
    shape
        n, p, q and the number of groups.
    reference
        ``"tempered"`` or ``"uniform"``.
    scale
        s of the covariance part.
    """

    def __init__(self, shape: tuple[int, int, int, int], reference: str, scale: float) -> None:
        os.environ.setdefault("XLA_FLAGS", _ONE_THREAD)
        numpyro = require("numpyro", needs="numpyro", extra="study", purpose="NUTS")
        infer = require("numpyro.infer", needs="numpyro", extra="study", purpose="NUTS")
        self._jax = require("jax", needs="jax", extra="study", purpose="NUTS")
        numpyro.enable_x64()
        model = _model(numpyro, self._jax, shape, scale)
        first, more = _chains(infer.NUTS, self._jax, model)
        self._first, self._more = self._jax.jit(first), self._jax.jit(more)
        self._state: Any = None
        self.p, self.reference, self.compiled = shape[1], reference, False

    def draw(self, data: Dataset, seed: int) -> dict[str, Any]:
        """Draws of β and θ, shape ``(chains, draws, ...)``, and the number of divergences."""
        keys = self._jax.random.split(self._jax.random.PRNGKey(seed), CHAINS)
        return self._drawn(self._first(keys, self._arguments(data)))

    def extend(self, data: Dataset) -> dict[str, Any]:
        """More draws from where the chains are, without warm-up."""
        return self._drawn(self._more(self._state, self._arguments(data)))

    def _arguments(self, data: Dataset) -> tuple[Any, ...]:
        p = self.p
        u = 0.5 if self.reference == "uniform" else (0.5 + (p - 1.0) * data.y.mean()) / p
        return data.X, data.Z, data.y, data.codes, u

    def _drawn(self, found: tuple[Any, dict[str, Any], Any]) -> dict[str, Any]:
        self._state, drawn, diverging = found
        out: dict[str, Any] = {"diverging": int(np.asarray(diverging).sum())}
        out |= {name: np.asarray(drawn[name]) for name in ("beta", "theta") if name in drawn}
        self.compiled = True
        return out


Chains = Callable[[Any, tuple[Any, ...]], tuple[Any, dict[str, Any], Any]]
"""From keys or states, and data, to the chains' states, draws and divergences."""


def _chains(kernel_of: Any, jax: Any, model: Any) -> tuple[Chains, Chains]:
    """Functions of keys, or of states, and data, for all chains at once."""

    def begin(key: Any, data: tuple[Any, ...]) -> tuple[Any, Any]:
        kernel = kernel_of(model)
        return kernel, kernel.init(key, WARMUP, None, data, {})

    def sample(kernel: Any, state: Any, data: tuple[Any, ...]) -> tuple[Any, Any, Any]:
        def step(state: Any, _: None) -> tuple[Any, Any]:
            state = kernel.sample(state, data, {})
            return state, (state.z, state.diverging)

        state, (z, diverging) = jax.lax.scan(step, state, None, DRAWS)
        return state, jax.vmap(kernel.postprocess_fn(data, {}))(z), diverging

    def first(key: Any, data: tuple[Any, ...]) -> tuple[Any, Any, Any]:
        kernel, state = begin(key, data)
        warm = jax.lax.fori_loop(0, WARMUP, lambda _, s: kernel.sample(s, data, {}), state)
        return sample(kernel, warm, data)

    def more(state: Any, data: tuple[Any, ...]) -> tuple[Any, Any, Any]:
        kernel, _ = begin(state.rng_key, data)  # what it computes is not used, nor compiled
        return sample(kernel, state, data)

    return jax.vmap(first, (0, None)), jax.vmap(more, (0, None))


@cache
def sampler(shape: tuple[int, int, int, int], reference: str, scale: float) -> Sampler:
    """The sampler of one shape: the same for all data sets and cells that share it."""
    return Sampler(shape, reference, scale)


def _model(numpyro: Any, jax: Any, shape: tuple[int, int, int, int], scale: float) -> Any:
    """The model for data of one shape; λ = κ/n with κ = p."""
    n, p, q, groups = shape
    distributions, jnp = numpyro.distributions, jax.numpy
    rows, columns = np.array(np.triu_indices(q))[::-1]  # column-major lower triangle
    diagonal = rows == columns

    def model(X: Any, Z: Any, y: Any, codes: Any, u: Any) -> None:
        flat = distributions.ImproperUniform(distributions.constraints.real_vector, (), (p,))
        beta = numpyro.sample("beta", flat)
        eta = X @ beta
        kl = u * jnp.log(u) + (1.0 - u) * jnp.log1p(-u) - u * eta + jax.nn.softplus(eta)
        numpyro.factor("entropy", -(p / n) * kl.sum())
        if q:
            l = numpyro.sample("l", distributions.HalfNormal(1.0).expand([q]).mask(False))  # noqa: E741
            numpyro.factor("l_prior", (jnp.log(l) - 0.5 * (l / scale) ** 2).sum())
            below = numpyro.sample(
                "below", distributions.Normal(0.0, scale).expand([int((~diagonal).sum())])
            )
            theta = jnp.zeros(rows.size).at[np.flatnonzero(diagonal)].set(l)
            theta = theta.at[np.flatnonzero(~diagonal)].set(below)
            numpyro.deterministic("theta", theta)
            Lambda = jnp.zeros((q, q)).at[rows, columns].set(theta)
            normal = numpyro.sample("u", distributions.Normal().expand([groups, q]))
            eta = eta + jnp.sum(Z * (normal @ Lambda.T)[codes], axis=1)
        numpyro.sample("y", distributions.Bernoulli(logits=eta), obs=y)

    return model


def _parameters(
    layout: Layout, beta: NDArray[np.float64], theta: NDArray[np.float64] | None
) -> NDArray[np.float64]:
    """Draws of β, σ, ρ, shape ``(chains, draws, d)``, from draws of β and θ."""
    q = len(layout.effects)
    if theta is None or not q:
        return beta
    Lambda = np.zeros((*theta.shape[:2], q, q))
    rows, columns = np.triu_indices(q)[::-1]
    Lambda[..., rows, columns] = theta
    S = Lambda @ np.swapaxes(Lambda, -1, -2)
    sd = np.sqrt(np.diagonal(S, axis1=-2, axis2=-1))
    cor = [S[..., a, b] / (sd[..., a] * sd[..., b]) for a, b in layout.pairs]
    return np.concatenate([beta, sd, *(c[..., None] for c in cor)], axis=-1)


def _diagnostics(draws: NDArray[np.float64]) -> tuple[float, float]:
    """Largest split R̂ and least effective sample size of draws, shape (d, chains, draws)."""
    found = [(split_rhat(one), effective_size(one)) for one in draws]
    return max(r for r, _ in found), min(e for _, e in found)


def split_rhat(draws: Matrix) -> float:
    """Split R̂ of one parameter, draws of shape ``(chains, draws)`` (Gelman et al., BDA3 §11.4)."""
    half = draws.shape[1] // 2
    halves = np.concatenate([draws[:, :half], draws[:, -half:]])
    within = halves.var(axis=1, ddof=1).mean()
    between = half * halves.mean(axis=1).var(ddof=1)
    if not within > 0.0:
        return np.inf
    return float(np.sqrt(((half - 1) / half * within + between / half) / within))


def effective_size(draws: Matrix) -> float:
    """Effective sample size by Geyer's initial positive sequence, shape ``(chains, draws)``."""
    m, n = draws.shape
    within = draws.var(axis=1, ddof=1).mean()
    if not within > 0.0:
        return 0.0
    variance = (n - 1) / n * within + draws.mean(axis=1).var(ddof=1)
    gamma = np.mean([_autocovariance(chain) for chain in draws], axis=0)
    rho = 1.0 - (within - gamma * n / (n - 1)) / variance
    pairs = rho[1 : n - n % 2 - 1].reshape(-1, 2).sum(axis=1)
    last = int(np.argmax(pairs < 0.0)) if np.any(pairs < 0.0) else pairs.size
    tau = 1.0 + 2.0 * float(np.minimum.accumulate(pairs[:last]).sum())
    return float(m * n / max(tau, 1.0 / np.log10(m * n)))


def _autocovariance(x: Vector) -> Vector:
    n = x.size
    transform = np.fft.rfft(x - x.mean(), 2 * n)
    return np.asarray(np.fft.irfft(np.abs(transform) ** 2)[:n] / n)
