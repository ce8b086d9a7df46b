"""The class that :func:`multilogit.fit` returns."""

from __future__ import annotations

from dataclasses import dataclass
from os import PathLike
from typing import TYPE_CHECKING

from multilogit.errors import Status
from multilogit.result import later
from multilogit.result.methods import Methods

if TYPE_CHECKING:
    from multilogit.progress import Show
    from multilogit.result.pictures.plots import Plots


@dataclass(frozen=True, eq=False, repr=False)
class Fit(Methods):
    """A fitted model: estimates, how they were found, and everything that follows from them.

    A multinomial model with J categories has C = J − 1 logits, log Pr(category)/Pr(baseline);
    its coefficients are named ``"logit[category] term"``. A fit is frozen: what it hands out
    are copies. Whether to trust it is said by ``converged`` and ``diagnostics``.

    ================  ==================================================================
    Estimates         ``coef``, ``se``, ``vcov``, ``vcov_of()``, ``theta``,
                      ``variance_components``, ``random_effects()``; ``covariance`` (of β
                      and θ, an array)
    With a prior      ``penalised``, ``log_prior``, ``effective_df``, ``se_source``,
                      ``posterior_sd``, ``posterior_covariance``, ``posterior_sample()``
    Inference         ``summary()``, ``confint()``, ``profile()``, ``tidy()``, ``glance()``,
                      ``test()``, ``test_terms()``, ``with_vcov()``, ``bootstrap()``
    Measures          ``loglik``, ``deviance``, ``aic``, ``bic``, ``n_obs``, ``n_groups``,
                      ``n_parameters``, ``df_residual``; ``null_loglik``,
                      ``null_deviance``, ``df_null``, ``saturated_loglik``
    How it ended      ``converged``, ``status``, ``diagnostics``, ``n_iterations``, ``trace``
    Predictions       ``predict()``; ``marginal_effects()``, ``adjusted_predictions()``,
                      ``contrasts()``; ``mode_uncertainty`` (arrays)
    Effects           ``odds_ratios()``, ``median_odds_ratio()``, ``icc()``, ``r2()``
    Assessment        ``simulate()``, ``residuals()``, ``residual_tests()``, ``augment()``,
                      ``influence()``, ``goodness_of_fit()``, ``roc()``, ``auc``,
                      ``calibration()``, ``scores()``, ``brier``
    Report            ``report()``: one HTML page with all of it
    Saving            ``save()``; :func:`multilogit.load` reads the file
    Data              ``formula``, ``labels``, ``has_data``, ``frame`` (the columns of the
                      model)
    Pictures          ``plot.coefficients()``, ``random_effects()``, ``calibration()``,
                      ``residuals()``, ``profile()``, ``adjusted_predictions()``,
                      ``evidence()``, ``trace()``
    ================  ==================================================================

    Attributes
    ----------
    spec
        What was asked for.
    design
        Rebuilds the design columns for new data.
    training
        What the fit knows of its data: see ``labels``, ``frame`` and ``has_data``.
    solution
        ψ̂ = (β̂, θ̂), the objective Q = ℓ + log π there (ℓ without binomial coefficients),
        status and trace. β is ordered category by category (all columns for the first
        non-baseline category, then the next); θ follows.
    likelihood
        ℓ(ψ̂) without binomial coefficients, its gradient and Hessian: Q itself without a prior.
    boundary
        Shape ``(d,)``: the elements of ψ̂ that belong to zero variances.
    random
        One entry per grouping factor.
    aliased
        Names of columns that were dropped because they depend on earlier ones.
    diagnostics
        What a reader of the fit must know.
    seconds
        Wall time of the fit, s.
    options
        Options of the search, the prior and the number of quadrature nodes among them.
    evidence
        With ``strength="auto"`` or ``"cv"``: the curve that the strength was chosen from.
    far
        With ``infinite="freeze"``: ψ̂ with large numbers for infinite ones, for predictions.
    robust
        After :meth:`with_vcov`: the covariance that standard errors come from.
    modes
        Of a loaded model: its ``mode_uncertainty``.
    relation
        Of a loaded model: how its ``aliased`` columns depended on the others, shape ``(p, r)``.
    levels
        A factor of very many levels that was kept without columns (docs/scale.md), or None.

    Examples
    --------
    >>> import multilogit as ml
    >>> data = {"y": [0, 1, 0, 1, 1, 0], "x": [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]}
    >>> fit = ml.fit("y ~ x", data)
    >>> list(fit.coef.index)
    ['(Intercept)', 'x']
    """

    @property
    def plot(self) -> Plots:
        """Plots of the fit; they need the extra ``plot`` (matplotlib)."""
        return later.plots.Plots(self)

    def report(
        self,
        path: str | PathLike[str],
        *,
        title: str | None = None,
        new: object = None,
        level: float = 0.95,
        profile: bool = False,
        seed: int = 0,
        progress: Show = False,
    ) -> None:
        """Write a report: one HTML file that needs no network, no script and no other file.

        Whether to trust the fit, first of all; then what was fitted on what, estimates and odds
        ratios, effects on probabilities, differences between groups, agreement with the data,
        how the search went, and the call that repeats it. It reads well on a phone, and prints.

        Parameters
        ----------
        path
            Of the file; one that exists is replaced.
        title
            Heading of the page; default: the kind of model.
        new
            Data to check the model on, response included: for calibration, scores and effects
            on probabilities. Default: the data of the fit. A loaded fit has none; what needs
            them is then left out, with a note.
        level
            Confidence level of all intervals.
        profile
            Whether to draw the profiles of the likelihood, which may take a while.
        seed
            Of simulated residuals: the same fit and seed give the same page.
        progress
            Whether to show a bar where it takes more than a second.

        Raises
        ------
        MissingExtraError
            Without matplotlib (extra ``plot``).
        OptionError
            If ``level`` is not between 0 and 1.
        InputError
            If the file cannot be written.
        """
        later.write.write_report(
            self, path, title=title, new=new, level=level, profile=profile, seed=seed,
            progress=progress,
        )  # fmt: skip

    def save(self, path: str | PathLike[str]) -> None:
        """Write the fit to a JSON file, from which :func:`multilogit.load` makes it again.

        Everything is kept but the data and what belongs to this computer: estimates, standard
        errors, log-likelihoods, random effects, diagnostics, the trace, the prior, and what new
        data need to be predicted. Numbers are kept exactly.

        Parameters
        ----------
        path
            Of the file; one that exists is replaced once the new one is complete.

        Raises
        ------
        InputError
            If the file cannot be written.
        """
        later.files.write_file(self, path)

    def __repr__(self) -> str:
        """One line: formula, size, log-likelihood, how it ended."""
        groups = "".join(f", {n} {name}" for name, n in self.n_groups.items())
        errors = [d.code for d in self.diagnostics if d.severity == "error"]
        why = self.status.value if self.status is not Status.CONVERGED else ", ".join(errors)
        ending = "converged" if self.converged else f"NOT converged ({why})"
        return (
            f"<Fit {self.spec.formula!r}: {self.n_obs} obs{groups}, "
            f"logLik {self.loglik:.4f}, AIC {self.aic:.2f}, {ending}>"
        )

    def _repr_html_(self) -> str:
        """The summary, for notebooks."""
        return self.summary()._repr_html_()


def load(path: str | PathLike[str]) -> Fit:
    """Read a fit that :meth:`Fit.save` has written.

    The fit shows and predicts what it did before, to the last bit. It has no data: what needs
    them (predictions without new data, residuals, another fit) says so. A prior that was an
    object of the user's own is shown by its name alone.

    Nothing in the file is executed: formulas pass the same checks as a user's, everything else
    is numbers and texts. So a file may come from a stranger.

    Parameters
    ----------
    path
        Of the file; also one that an earlier version has written.

    Returns
    -------
    Fit
        Without its data: ``fit.has_data`` is False.

    Raises
    ------
    ModelFileError
        If there is no such file, or it is not a model, is damaged, or was written by a later
        version.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> import multilogit as ml
    >>> data = {"y": [0, 1, 0, 1, 1, 0], "x": [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]}
    >>> fit = ml.fit("y ~ x", data)
    >>> with tempfile.TemporaryDirectory() as directory:
    ...     path = pathlib.Path(directory) / "fit.json"
    ...     fit.save(path)
    ...     again = ml.load(path)
    >>> bool((again.predict(data) == fit.predict(data)).all())
    True
    """
    return Fit(**later.files.read_file(path))
