"""The methods of a fit that draw inference from it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from os import PathLike
from typing import TYPE_CHECKING, Self

from multilogit.errors import OptionError
from multilogit.inference.wald import critical_value
from multilogit.result.description.tables import Tables
from multilogit.result.inference import later

if TYPE_CHECKING:
    import pandas as pd

    from multilogit.evidence.posterior import PosteriorSample
    from multilogit.progress import Show
    from multilogit.result.inference.bootstrap import Bootstrap
    from multilogit.result.inference.parameters import Parameter
    from multilogit.result.inference.profile import Profile
    from multilogit.result.inference.wald_tests import WaldTest

METHODS = ("wald", "profile", "bootstrap")
PROFILE_LEVELS = (0.5, 0.8, 0.9, 0.95, 0.99)
"""Levels whose intervals have exact ends in a profile."""


class Inferred(Tables):
    """Intervals, tests, robust covariances, draws from the posterior."""

    def confint(
        self,
        method: str = "wald",
        level: float = 0.95,
        parm: str | Sequence[str] | None = None,
        *,
        n: int = 1000,
        seed: int = 0,
    ) -> pd.DataFrame:
        """Confidence intervals of fixed effects, standard deviations and correlations.

        Parameters
        ----------
        method
            ``"wald"``: symmetric around the estimate for β, around log sd for a standard
            deviation, around Fisher's z = atanh ρ for a correlation.
            ``"profile"``: the values that a likelihood ratio test does not reject; see
            :meth:`profile`.
            ``"bootstrap"``: quantiles of the estimates from data sets that were drawn from the
            model; see :meth:`bootstrap`.
        level
            Confidence level, between 0 and 1.
        parm
            Names of parameters, or ``"beta_"`` for all fixed effects, ``"theta_"`` for all
            standard deviations and correlations (as lme4). Default: all.
        n, seed
            Data sets of the bootstrap, and the seed of their random numbers.

        Returns
        -------
        DataFrame
            Index: names of fixed effects, ``"sd_x|g"``, ``"cor_x.y|g"`` (as lme4 with
            ``oldNames = FALSE``). Columns ``lower``, ``upper``. Wald: NaN where a standard
            deviation is 0 or a correlation is ±1: no Wald interval covers these. Profile: see
            :meth:`multilogit.result.inference.profile.Profile.confint`.

        Raises
        ------
        OptionError
            Unknown method, level or parameter.
        KeyboardInterrupt
            Ctrl-C: a table does not say that it is unfinished. :meth:`profile` and
            :meth:`bootstrap` keep what they have computed.
        """
        if method not in METHODS:
            available = ", ".join(map(repr, METHODS))
            raise OptionError(f"There is no interval method {method!r}; available: {available}.")
        wanted = later.parameters.named(self, parm)
        if method == "profile":
            profile = later.profile.profile_of(self, wanted, [level])
            _pass_on_interrupt(profile.complete and len(profile.curves) == len(wanted))
            return profile.confint(level)
        if method == "bootstrap":
            critical_value(level)  # complains before the work, not after
            replicates = self.bootstrap(n, seed=seed)
            _pass_on_interrupt(replicates.complete)
            return replicates.confint(level).loc[_labels(wanted)]
        table = self._parameters(level).set_index("label")[["conf_low", "conf_high"]]
        return table.loc[_labels(wanted)].set_axis(["lower", "upper"], axis=1).rename_axis(None)

    def profile(
        self,
        parameters: str | Sequence[str] | None = None,
        *,
        levels: Sequence[float] = PROFILE_LEVELS,
        progress: Show = False,
    ) -> Profile:
        """Profile the likelihood: hold each parameter at a range of values, maximise the rest.

        Of a penalised fit it is the objective Q = ℓ + log π that is profiled. Every point is a
        maximum found by Newton–Raphson with exact derivatives from where the point before
        predicts it; the ends of intervals are roots, not interpolations.

        Parameters
        ----------
        parameters
            Names as in :meth:`confint`; default: all.
        levels
            Levels of intervals whose ends are to be exact; the highest is as far as the
            profile goes. Others are interpolated.
        progress
            Whether to show a bar where it takes more than a second.

        Returns
        -------
        Profile
            ``confint(level)``, ``table()`` of all points, ``ends()``.

        Raises
        ------
        OptionError
            Unknown parameters or levels; a fit that did not converge; a prior that depends on
            the order of the random effects, for parameters that would need another order.
        DataNotSavedError
            If the fit was loaded from a file.
        """
        return later.profile.profile_of(
            self, later.parameters.named(self, parameters), levels, progress
        )

    def test(self, hypothesis: object, value: object = None) -> WaldTest:
        """Wald test of linear hypotheses on the fixed effects.

        Parameters
        ----------
        hypothesis
            Text such as ``"urbanY = 0, livch1 = livch2"`` (both together), ``"a = b = c"``,
            ``"(a + b)/2 - c = 0.5"``. Coefficients are named as in :attr:`coef`, in backticks
            where the name could be read otherwise; ``"livch = 0"`` with the name of a term of
            the formula stands for all its coefficients. Or a matrix R, shape ``(m, k)``.
        value
            With a matrix: r of Rβ = r, shape ``(m,)`` or one number; default 0.

        Returns
        -------
        WaldTest
            ``statistic`` (χ²), ``df``, ``p_value``, and a ``table`` of the single rows. With
            :meth:`with_vcov` it uses the robust covariance.

        Raises
        ------
        FormulaError
            Text that cannot be read; the message points at the token.
        OptionError
            A matrix of the wrong shape, rows that contradict each other, a coefficient without
            standard error.
        """
        return later.wald_tests.wald_test(self, hypothesis, value)

    def test_terms(self) -> pd.DataFrame:
        """Joint Wald tests of every term of the formula (R's ``car::Anova``, type III).

        Returns
        -------
        DataFrame
            Index: terms. Columns ``chisq``, ``df``, ``p_value``. In multinomial models a term
            has the coefficients of all logits. Terms that are part of an interaction are tested
            given the coding of the other one, as in every type III test.

        Raises
        ------
        OptionError
            If a coefficient has no standard error.
        """
        return later.wald_tests.test_terms(self)

    def vcov_of(self, names: Sequence[str]) -> pd.DataFrame:
        """Covariance matrix of some coefficients: a block of :attr:`vcov`, which is not formed.

        Parameters
        ----------
        names
            As in :attr:`coef`.

        Returns
        -------
        DataFrame
            Rows and columns in the order of ``names``.

        Raises
        ------
        OptionError
            There is no such coefficient, or there are too many for a matrix.
        """
        return later.wald_tests.covariance_of(self, names)

    def with_vcov(self, kind: str = "cluster", groups: object = None) -> Self:
        """The same fit with another covariance of its estimates.

        Standard errors, Wald intervals and tests, summary and tables of the new fit follow
        it; estimates and log-likelihood stay.

        Parameters
        ----------
        kind
            ``"hessian"``: the model's own. ``"cluster"``, the same as ``"CR1"``: robust
            against any dependence within clusters (Liang & Zeger 1986), with the factor
            G/(G − 1) for G clusters; ``"CR0"``: without it; ``"CR1S"``: Stata's and
            statsmodels' G/(G − 1)·(n − 1)/(n − d). Single-level models: ``"HC0"`` to
            ``"HC3"``, as R's ``sandwich``.
        groups
            The clusters: a column with one label per row of the data, or the name of a
            grouping factor of the model. Default for multilevel models: the topmost grouping
            factor. Clusters must contain whole levels of every grouping factor.

        Returns
        -------
        Fit
            With ``robust`` set.

        Raises
        ------
        OptionError, DataError
            Unknown kind; clusters that do not fit the model.
        DataNotSavedError
            If the fit was loaded from a file.
        """
        robust = later.robust_covariance.robust_covariance(self, kind, groups)
        kept = tuple(d for d in self.diagnostics if d.code != "few-clusters")
        noticed = () if robust is None else later.robust_covariance.few_clusters(robust)
        return replace(self, robust=robust, diagnostics=(*kept, *noticed))

    def bootstrap(
        self,
        n: int = 1000,
        *,
        seed: int = 0,
        workers: int | None = None,
        progress: Show = False,
        path: str | PathLike[str] | None = None,
    ) -> Bootstrap:
        """Parametric bootstrap: draw data sets from the fitted model and estimate it from each.

        New random effects are drawn for every level, then the response; a penalised fit is
        estimated with its prior. Replicate k is a function of the seed and k: neither the
        number of workers nor an interruption changes it.

        Parameters
        ----------
        n
            Number of data sets.
        seed
            Of the random numbers.
        workers
            Threads, each with its own copy of the design; default: the ``threads`` of the fit.
        progress
            Whether to show a bar where it takes more than a second.
        path
            A file to keep replicates in. If it exists, the run goes on where it ended.

        Returns
        -------
        Bootstrap
            ``replicates``, ``se``, ``bias``, ``confint()``; ``statuses`` counts how the
            searches ended. Ctrl-C returns what there is, with ``complete`` False.

        Raises
        ------
        OptionError
            Options that cannot be used; a fit that did not converge; frequency weights that
            are not whole numbers.
        InputError
            If the file cannot be written.
        DataError
            A file that belongs to another bootstrap, or is damaged.
        DataNotSavedError
            If the fit was loaded from a file.
        """
        return later.bootstrap.bootstrap(self, n, seed, workers, progress, path)

    def posterior_sample(self, n: int = 1000, seed: int = 0) -> PosteriorSample:
        """Draws from the posterior density exp Q(ψ), with importance weights.

        Where the effective sample size is far below n, the Gaussian approximation behind
        :attr:`se` and :attr:`posterior_sd` is not enough, and the draws tell what is.

        Parameters
        ----------
        n
            Number of draws; each costs an evaluation of the likelihood.
        seed
            Of the random numbers.

        Returns
        -------
        PosteriorSample
            ``draws`` of ψ = (β, θ), ``weights``, ``names``, ``ess``, ``pareto_k``; ``table()``,
            ``mean``, ``covariance``, ``quantile()``.

        Raises
        ------
        OptionError
            If n is less than 2, or −Q″ is not positive definite at the estimate.
        """
        return later.posterior.posterior_sample(self, n, seed)


def _pass_on_interrupt(complete: bool) -> None:
    """What was interrupted and would be shown as a bare table ends as other programs do."""
    if not complete:
        raise KeyboardInterrupt


def _labels(parameters: Sequence[Parameter]) -> list[str]:
    return [parameter.label for parameter in parameters]
