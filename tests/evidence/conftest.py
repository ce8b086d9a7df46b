"""Small single-level models with the entropy prior, fitted at any strength."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest

from multilogit.evaluation import Matrix, Vector
from multilogit.evidence.design import summarise
from multilogit.evidence.normaliser import BetaNormaliser
from multilogit.evidence.strength import Mode
from multilogit.likelihood.fixed import FixedLikelihood
from multilogit.newton import maximise
from multilogit.objective import Sum
from multilogit.prior import PriorContext, RelativeEntropy
from multilogit.prior.relative_entropy import reference_shares


@dataclass(frozen=True)
class Model:
    """Binary or multinomial data with RelativeEntropy(reference=...)."""

    x: Matrix
    counts: Matrix
    trials: Vector
    reference: str

    @property
    def columns(self) -> tuple[Vector, ...]:
        return tuple(np.ascontiguousarray(column) for column in self.x.T)

    @property
    def context(self) -> PriorContext:
        empty = np.array([], dtype=np.intp)
        return PriorContext(
            columns=self.columns,
            names=tuple(f"x{k}" for k in range(self.x.shape[1])),
            trials=self.trials,
            offset=None,
            mean=self.counts.sum(axis=0) / self.trials.sum(),
            theta_rows=empty,
            theta_columns=empty,
        )

    def objective(self, kappa: float) -> Sum:
        prior = RelativeEntropy(strength=kappa, reference=self.reference).bind(self.context)
        return Sum((FixedLikelihood(self.columns, self.counts, self.trials), prior))

    def fit_at(self, kappa: float, start: Vector | None = None) -> Mode:
        objective = self.objective(kappa)
        zero = np.zeros(self.context.n_beta)
        solution = maximise(objective, zero if start is None else start)
        return Mode(solution.psi, solution.evaluation, converged=solution.converged, fit=objective)

    def normaliser(self, bounds: tuple[float, float], seed: int = 0) -> BetaNormaliser:
        shares = self.context.shares
        design = summarise(self.columns, self.trials, n_logits=self.counts.shape[1])
        return BetaNormaliser(
            design,
            lambda kappa: reference_shares(self.reference, kappa, shares)[1:],
            bounds,
            seed=seed,
        )


@pytest.fixture(scope="session")
def make_model() -> Callable[..., Model]:
    def make(
        x: Matrix, counts: Matrix, trials: Vector | None = None, reference: str = "tempered"
    ) -> Model:
        counts = np.asarray(counts, dtype=np.float64)
        counts = counts[:, None] if counts.ndim == 1 else counts
        ones = np.ones(len(counts)) if trials is None else np.asarray(trials, dtype=np.float64)
        return Model(np.asarray(x, dtype=np.float64), counts, ones, reference)

    return make


@pytest.fixture(scope="session")
def endometrial(reference_data) -> tuple[Matrix, Vector]:
    """X and y of HG ~ NV + PI + EH, 79 patients."""
    data = np.genfromtxt(
        reference_data / "endometrial.csv",
        delimiter=",",
        skip_header=1,
        usecols=(0, 1, 2, 3),
    )
    return np.column_stack([np.ones(len(data)), data[:, :3]]), data[:, 3]
