"""The fields of a fit, and every single number that follows from them."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from multilogit.data.model_frame import ModelFrame
from multilogit.errors import DataNotSavedError, Diagnostic, Status
from multilogit.estimate import Options, information_inverse
from multilogit.evaluation import Evaluation
from multilogit.newton import Solution
from multilogit.result.fields.random_effects import RandomEffects
from multilogit.result.fields.spec import Spec
from multilogit.result.fields.training import (
    Labels,
    Training,
    TrainingData,
    TrainingFiles,
    TrainingWithoutColumns,
)

if TYPE_CHECKING:
    from multilogit.evidence.strength import EvidenceCurve
    from multilogit.formula.design import Design
    from multilogit.predict.modes import ModeUncertainty
    from multilogit.result.fields.level_effects import LevelEffects
    from multilogit.result.fields.robust_covariance import RobustCovariance

_BEFORE_SAVING = (
    "Ask the fit itself before it is saved, or fit the model again with the data in memory: a "
    "table, without memory= and client=."
)


@dataclass(frozen=True, eq=False, repr=False)
class Measures:
    """The fields, which :class:`multilogit.result.Fit` describes, and the measures of fit.

    Only what estimation hands over is stored. The rest is computed when it is first asked
    for, so that a refit in a bootstrap pays only for what it uses.
    """

    spec: Spec
    design: Design
    training: Training
    solution: Solution
    likelihood: Evaluation
    boundary: NDArray[np.bool_]
    random: tuple[RandomEffects, ...]
    aliased: tuple[str, ...]
    diagnostics: tuple[Diagnostic, ...]
    seconds: float
    far: NDArray[np.float64] | None
    evidence: EvidenceCurve | None
    options: Options = field(default_factory=Options)
    robust: RobustCovariance | None = field(default_factory=lambda: None)  # no class attribute
    modes: ModeUncertainty | None = field(default_factory=lambda: None)
    relation: NDArray[np.float64] | None = field(default_factory=lambda: None)
    levels: LevelEffects | None = field(default_factory=lambda: None)

    # ------------------------------------------------------------------ the data

    @property
    def labels(self) -> Labels:
        """Names of response, categories, columns and terms; levels of the grouping factors."""
        return self.training.labels

    @property
    def has_data(self) -> bool:
        """Whether the fit has its data; a model that was loaded from a file has not."""
        return isinstance(self.training, TrainingData | TrainingFiles)

    @property
    def frame(self) -> ModelFrame:
        """The data as estimation saw them (after aliased columns were dropped).

        Raises
        ------
        DataNotSavedError
            If the fit was loaded from a file, which does not contain them.
        """
        return self.training.frame

    def _frame_for(self, what: str, remedy: str = "") -> ModelFrame:
        """The data, or an error that says what needs them and what to do instead."""
        if not self.has_data:
            raise DataNotSavedError(what, remedy or self._way_to_data)
        return self.frame

    def _rows_for(self, what: str, remedy: str = "") -> ModelFrame:
        """The same for what does with the codes of very many levels, and needs no columns."""
        if isinstance(self.training, TrainingWithoutColumns):
            return self.training.data.frame
        if not self.has_data:
            raise DataNotSavedError(what, remedy or _BEFORE_SAVING)
        return self.frame

    @property
    def _way_to_data(self) -> str:
        if self.levels is None:
            return _BEFORE_SAVING
        return "A model with random effects in place of the factor, (1 | column), has it."

    # ------------------------------------------------------------------ covariances

    @property
    def penalised(self) -> bool:
        """Whether a prior was used: the estimate is a posterior mode, not maximum likelihood."""
        return self.options.prior is not None

    @cached_property
    def covariance(self) -> NDArray[np.float64]:
        """Inverse of the observed information −ℓ″ of ψ = (β, θ) at ψ̂, shape ``(d, d)``.

        Rows and columns of parameters on their boundary (zero variances) are NaN; everything
        is where the information is not positive definite. Then, if there is a prior, it is
        the inverse of −Q″ instead, and :attr:`se_source` says so. A fit of
        :meth:`~multilogit.result.Fit.with_vcov` has its robust covariance here.
        """
        if self.robust is not None:
            return self.robust.matrix
        return self._likelihood_covariance if self._likelihood_rules else self.posterior_covariance

    @cached_property
    def posterior_covariance(self) -> NDArray[np.float64]:
        """Inverse of −Q″, Q = ℓ + log π: covariance of the posterior's Gaussian approximation."""
        return self._inverse(self.solution.evaluation)

    @property
    def se_source(self) -> str:
        """What standard errors are made of: ``"likelihood"`` (−ℓ″) or ``"posterior"`` (−Q″).

        After :meth:`~multilogit.result.Fit.with_vcov`: the kind of robust covariance, such as
        ``"CR1"``.
        """
        if self.robust is not None:
            return self.robust.kind
        return "likelihood" if self._likelihood_rules else "posterior"

    @cached_property
    def _likelihood_covariance(self) -> NDArray[np.float64]:
        return self._inverse(self.likelihood)

    @cached_property
    def _variances(self) -> NDArray[np.float64]:
        """The diagonal of :attr:`covariance`, without forming it where levels are very many."""
        if self.levels is not None:
            return self.levels.variances(self._of_others)
        return self.covariance.diagonal()

    def _inverse(self, there: Evaluation) -> NDArray[np.float64]:
        """(−H)⁻¹ of all parameters; of very many levels from that of the other coefficients."""
        if self.levels is None:
            return information_inverse(there.hessian, ~self.boundary)
        return self.levels.covariance(self._of_others)

    def _covariance_of(self, chosen: NDArray[np.intp]) -> NDArray[np.float64]:
        """The block of :attr:`covariance` that belongs to some parameters."""
        if self.levels is not None:
            return self.levels.covariance(self._of_others, chosen)
        return self.covariance[np.ix_(chosen, chosen)]

    @cached_property
    def _of_others(self) -> NDArray[np.float64]:
        """Of a fit with very many levels: the covariance of the other coefficients."""
        hessian = self.likelihood.hessian
        return information_inverse(hessian, np.ones(hessian.shape[0], dtype=bool))

    @property
    def _likelihood_rules(self) -> bool:
        if not self.penalised:
            return True
        free = ~self.boundary
        return bool(np.isfinite(self._likelihood_covariance[np.ix_(free, free)]).all())

    # ------------------------------------------------------------------ log-likelihoods

    @cached_property
    def loglik(self) -> float:
        """Full log-likelihood, with the binomial or multinomial coefficients (Czepiel, eq. 39)."""
        return self.likelihood.value + self.training.log_coefficient

    @property
    def null_loglik(self) -> float:
        """Full log-likelihood of the intercept (or the offset) alone, without random effects."""
        return self.training.null_loglik + self.training.log_coefficient

    @property
    def saturated_loglik(self) -> float:
        """Full log-likelihood of the model in which every row has its own probabilities."""
        return self.training.saturated_loglik + self.training.log_coefficient

    @property
    def deviance(self) -> float:
        """Single level: residual deviance 2(ℓ_saturated − ℓ), as R's ``glm``.

        Multilevel: −2ℓ with the marginal log-likelihood ℓ, as ``summary`` of lme4 prints it.
        """
        return self._deviance(self.loglik)

    @property
    def null_deviance(self) -> float:
        """Deviance of the model with an intercept and the offset only, on :attr:`deviance`'s scale.

        Without an intercept in the formula: of the offset alone, as R.
        """
        return self._deviance(self.null_loglik)

    def _deviance(self, loglik: float) -> float:
        return -2.0 * loglik if self.random else 2.0 * (self.saturated_loglik - loglik)

    @property
    def log_prior(self) -> float:
        """log π(ψ̂), up to the constants that the prior leaves out; 0 without a prior."""
        return self.solution.evaluation.value - self.likelihood.value

    @property
    def aic(self) -> float:
        """Akaike's criterion −2ℓ + 2d, full log-likelihood, d = :attr:`effective_df`."""
        return -2.0 * self.loglik + 2.0 * self.effective_df

    @property
    def bic(self) -> float:
        """Schwarz's criterion −2ℓ + d log n, d = :attr:`effective_df`, n = :attr:`n_obs`."""
        return -2.0 * self.loglik + self.effective_df * math.log(self.n_obs)

    # ------------------------------------------------------------------ counts

    @property
    def n_obs(self) -> int:
        """Number of observations as R's ``nobs`` counts them: rows that carry information.

        Rows of the data that were used and have weight × trials > 0. Frequency weights and
        trials do not multiply it: a row of 10 trials is one observation.
        """
        return self.training.n_obs

    @property
    def formula(self) -> str:
        """The formula, as it was given."""
        return self.spec.formula

    @property
    def n_groups(self) -> dict[str, int]:
        """Number of levels of each grouping factor."""
        return {effects.group: effects.modes.shape[0] for effects in self.random}

    @property
    def n_parameters(self) -> int:
        """Number of estimated parameters d, β and θ together."""
        return int(self.solution.psi.shape[0])

    @cached_property
    def effective_df(self) -> float:
        """Effective number of parameters tr{(−Q″)⁻¹(−ℓ″)} of a penalised fit (Gray 1992, §3).

        Without a prior: :attr:`n_parameters`.
        """
        if not self.penalised:
            return float(self.n_parameters)
        free = ~self.boundary
        information = -self.likelihood.hessian[np.ix_(free, free)]
        spread = self.posterior_covariance[np.ix_(free, free)]
        return float(np.einsum("ij,ji->", spread, information))

    @property
    def df_residual(self) -> int:
        """Residual degrees of freedom: observations × logits − parameters."""
        return self.n_obs * self.labels.n_logits - self.n_parameters

    @property
    def df_null(self) -> int:
        """Degrees of freedom of the null model, which has one intercept per logit or none."""
        intercept = "(Intercept)" in self.labels.columns
        return (self.n_obs - int(intercept)) * self.labels.n_logits

    # ------------------------------------------------------------------ how it ended

    @property
    def status(self) -> Status:
        """How the iteration ended."""
        return self.solution.status

    @property
    def converged(self) -> bool:
        """Whether the answer is to be trusted.

        True if the iteration ended at a maximum, to rounding, and no diagnostic is an error.
        """
        return self.solution.converged and all(d.severity != "error" for d in self.diagnostics)

    @property
    def n_iterations(self) -> int:
        """Newton steps taken."""
        return sum(1 for row in self.solution.trace if not math.isnan(row.step))
