"""The methods of a fit that assess it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from multilogit.checks import check_whole
from multilogit.errors import OptionError
from multilogit.result.assessment import later
from multilogit.result.description.tables import Tables

if TYPE_CHECKING:
    import pandas as pd

    from multilogit.assess.simulation import Level as SimulationLevel
    from multilogit.predict import Level as PredictionLevel
    from multilogit.predict import NewGroups
    from multilogit.progress import Show
    from multilogit.result.assessment.findings import (
        Calibration,
        GoodnessOfFit,
        Influence,
        ResidualTests,
        Roc,
    )
    from multilogit.result.assessment.judged import Judged

ResidualKind = Literal["response", "pearson", "deviance", "quantile"]


class Assessed(Tables):
    """Simulation, residuals, influence, discrimination, calibration."""

    def simulate(
        self,
        n: int = 1,
        *,
        seed: int = 0,
        level: SimulationLevel = "marginal",
        new: object = None,
        trials: object = None,
        offset: object = None,
    ) -> pd.DataFrame:
        """Draw new responses from the fitted model, the parameters at their estimates.

        Parameters
        ----------
        n
            Number of data sets.
        seed
            Of the random numbers: draw k depends on the seed and k alone.
        level
            ``"marginal"``: new random effects are drawn for every level of every grouping
            factor, then the response (lme4's ``re.form = NA``); ``"conditional"``: the random
            effects stay at their modes. The same for single-level models.
        new
            New data in any form that :func:`multilogit.fit` takes; default: the data of the
            fit. New levels of a grouping factor are fine at level ``"marginal"``.
        trials
            Trials of the new data: a column name, one number, or one per row. Default: the
            column that ``trials=`` of the fit named, otherwise 1.
        offset
            Offset of the new data, as in :meth:`predict`.

        Returns
        -------
        DataFrame
            One row per row of the fit, whose labels are the row numbers of its data (or per
            row of the new data without missing values); columns ``sim_1`` … ``sim_n``: counts of
            successes, 0/1 where there is one trial. For more than two categories the columns
            are pairs (``"sim_1"``, category) that add up to the trials. Counts of a row with
            frequency weight w are out of w times its trials.

        Raises
        ------
        OptionError
            Unknown level, n below 1, frequency weights that are not whole.
        DataError
            New data that cannot be used; new groups at level ``"conditional"``.
        """
        return later.simulation.simulate(self, n, seed, level, new, trials, offset)

    def residuals(
        self,
        kind: ResidualKind = "deviance",
        *,
        level: PredictionLevel = "conditional",
        seed: int = 0,
    ) -> pd.Series | pd.DataFrame:
        """Residuals of the rows of the fit.

        Parameters
        ----------
        kind
            ``"response"``: y/n − π. ``"pearson"``: (y − nπ)/√(nπ(1 − π)). ``"deviance"``:
            their squares add up to the deviance given the probabilities. ``"quantile"``:
            randomised quantile residuals, uniform on (0, 1) under the model.
        level
            Which probabilities π: ``"conditional"`` (random effects at their modes),
            ``"population"`` (at 0) or ``"marginal"`` (averaged over).

            Quantile residuals are different, because at modes that were fitted to the same
            data they would not be uniform: ``"conditional"`` draws the random effects from
            their distribution given the data, which makes the residuals uniform and
            independent; ``"marginal"`` ranks each row among 250 simulated data sets with new
            random effects, as R's DHARMa: uniform, but dependent within groups.
        seed
            Of the random numbers behind quantile residuals.

        Returns
        -------
        Series or DataFrame
            A Series for two categories (residuals of the successes), and for deviance
            residuals, which have no sign for more than two; otherwise a column per category.
            The index is the number of the row in the data. A row of frequency weight w has
            the residual of each of the w rows that it stands for.

        Raises
        ------
        OptionError
            Unknown kind or level; quantile residuals at level ``"population"`` of a model with
            random effects, where they are not uniform.
        DataNotSavedError
            If the fit was loaded from a file.
        """
        return later.residuals.residuals(self, kind, level, seed)

    def residual_tests(
        self,
        *,
        level: SimulationLevel = "conditional",
        by: object = None,
        n_simulations: int = 250,
        seed: int = 0,
    ) -> ResidualTests:
        """Test quantile residuals: is the response distributed as the model says?

        ================== ===============================================================
        ``uniformity``     Kolmogorov–Smirnov distance from the uniform distribution
        ``dispersion``     Σ(y − m)²/v per row, mean m and variance v under the model
        ``outliers``       rows in the outermost 0.1 % on either side
        ``zeros``          rows without a success (where rows have several trials)
        ``fitted``         observed against expected counts in tenths of the fitted
                           probability, or of ``by``
        ``random effects`` Λ⁻¹b against the normal distribution, for each grouping factor
        ================== ===============================================================

        Parameters
        ----------
        level
            ``"conditional"``: random effects drawn given the data, which makes rows
            independent; ``"marginal"``: whole data sets with new random effects, as R's
            DHARMa. See :meth:`residuals`.
        by
            Bin the rows of ``fitted`` by this: the name of a column of the design (as in
            :attr:`coef`), or one number per row of the fit or of its data.
        n_simulations
            Simulated responses; the smallest p-value that they can give is 1/(n + 1).
        seed
            Of the random numbers.

        Returns
        -------
        ResidualTests
            ``table``, ``residuals``; prints as the table. A row of frequency weight w counts
            as w rows.

        Raises
        ------
        OptionError
            Unknown level or column; frequency weights that are not whole numbers.
        DataNotSavedError
            If the fit was loaded from a file.

        Notes
        -----
        The parameters are taken as known, so that p-values are a little too large. With one
        trial per row ``uniformity`` and ``dispersion`` can see little; ``fitted`` is then the
        test to look at, with ``by=`` each predictor in turn.
        """
        return later.residuals.residual_tests(self, level, by, n_simulations, seed)

    def augment(self) -> pd.DataFrame:
        """The rows of the fit with what the model says of them, after R's ``broom.mixed``.

        Returns
        -------
        DataFrame
            The index is the number of the row in the data. First the response: the counts of
            every category, or for single trials of two categories a column named as the
            response; ``.trials`` and ``.weights`` where there are any; the grouping factors.
            Then, for two categories

            ``.fixed``, ``.fitted``
                linear predictor without and with random effects (``.fitted`` alone in
                single-level models)
            ``.mu``
                probability of the second category
            ``.resid``, ``.pearson``
                deviance and Pearson residuals given the random effects
            ``.hat``, ``.cooksd``
                leverage and Cook's distance (single-level models)

            and for more than two ``.fitted``, ``.mu`` and ``.pearson`` of every category, in
            brackets, and ``.resid``.

        Raises
        ------
        DataNotSavedError
            If the fit was loaded from a file.
        """
        return later.augmented_rows.augment(self)

    def influence(self, group: object = None, *, progress: Show = False) -> Influence:
        """What leaving rows or groups out does to the estimates, by one Newton step.

        Parameters
        ----------
        group
            A grouping factor of the model; or an array of labels, one per row of the fit or of
            its data, whose rows are left out together. Default: the model's only grouping
            factor, or the single rows of a single-level model.
        progress
            True shows a bar; a function is called with (levels done, levels in all). Levels of
            crossed factors cost an evaluation of the whole likelihood each.

        Returns
        -------
        Influence
            ``table`` (Cook's distance, and ``hat`` of single rows), ``dfbeta``, ``dfbetas``.
            The whole likelihood, random effects included, is taken without the rows; the step
            moves β and θ together. A prior stays as it is.

        Raises
        ------
        OptionError
            No such grouping factor, or a choice of several.
        DataError
            Labels of the wrong length; rows without one.
        DataNotSavedError
            If the fit was loaded from a file.
        """
        return later.influence.influence(self, group, progress)

    def goodness_of_fit(self, bins: int = 10) -> GoodnessOfFit:
        """Tests of a single-level model against more general ones.

        ``pearson`` and ``deviance`` compare it with the saturated model of its covariate
        patterns (no p-value where more than a fifth of the expected counts is below 5);
        ``hosmer-lemeshow`` bins the fitted probabilities; ``osius-rojek`` standardises
        Pearson's χ² and ``stukel`` tests the tails of the logistic link (both for two
        categories).

        Parameters
        ----------
        bins
            Of Hosmer and Lemeshow's test.

        Returns
        -------
        GoodnessOfFit
            ``table``, ``bins``.

        Raises
        ------
        OptionError
            For models with random effects: use :meth:`residual_tests`.
        DataNotSavedError
            If the fit was loaded from a file.
        """
        return later.goodness_of_fit.goodness_of_fit(self, bins)

    def roc(
        self,
        new: object = None,
        y: object = None,
        *,
        level: PredictionLevel = "conditional",
        interval: float = 0.95,
        new_groups: NewGroups = "error",
        offset: object = None,
        trials: object = None,
    ) -> Roc:
        """ROC curves and the areas under them.

        Parameters
        ----------
        new, y
            New data and their response: the name of a column of them, or values; categories
            as in the fit, whichever is the baseline; 0 and 1 (the second category); or
            successes out of ``trials`` (of the second category, or of the first if the column
            has its name). Default: the data of the fit, on which any model looks better than
            it is.
        level, new_groups, offset
            Which probabilities: as in :meth:`~multilogit.Fit.predict`.
        interval
            Level of the confidence interval, which is symmetric on the logit scale.
        trials
            Trials of the new data.

        Returns
        -------
        Roc
            ``auc``, ``areas``, ``table``. Standard errors are DeLong's; at levels other than
            ``"conditional"``, where the groups of the data are known, these are taken as the
            independent units (Obuchowski 1997;
            crossed ones as Cameron, Gelbach & Miller 2011).

        Raises
        ------
        OptionError, DataError
            Unknown level; new data that cannot be used, or without ``y``.
        DataNotSavedError
            If the fit was loaded from a file and there are no new data.
        """
        data = self._judged("roc()", level, new, y, new_groups, offset, trials)
        return later.accuracy.roc(data, level, interval)

    def calibration(
        self,
        new: object = None,
        y: object = None,
        *,
        bins: int = 10,
        level: PredictionLevel = "marginal",
        interval: float = 0.95,
        new_groups: NewGroups = "error",
        offset: object = None,
        trials: object = None,
    ) -> Calibration:
        """Do events of probability π happen in a share π of the cases?

        Parameters
        ----------
        new, y, new_groups, offset, trials
            As in :meth:`roc`. A single-level maximum likelihood fit has intercept 0 and slope
            1 on its own data by construction.
        level
            Which probabilities: those averaged over the random effects by default. On the
            fit's own data conditional probabilities look too little extreme (slope above 1)
            even if the model is right, since conditional modes are shrunken.
        bins
            Bins of about equally many trials; fewer where probabilities coincide.
        interval
            Level of the confidence intervals.

        Returns
        -------
        Calibration
            ``table``: observed shares by bin with Wilson's intervals; ``line``: intercept and
            slope of logistic recalibration. Independent units as in :meth:`roc`.

        Raises
        ------
        OptionError, DataError, DataNotSavedError
            As :meth:`roc`.
        """
        data = self._judged("calibration()", level, new, y, new_groups, offset, trials)
        return later.accuracy.calibration(data, level, bins, interval)

    def scores(
        self,
        new: object = None,
        y: object = None,
        *,
        bins: int = 10,
        level: PredictionLevel = "conditional",
        new_groups: NewGroups = "error",
        offset: object = None,
        trials: object = None,
    ) -> pd.Series:
        """How good the probabilities are, in single numbers.

        Parameters
        ----------
        new, y, level, new_groups, offset, trials
            As in :meth:`roc`.
        bins
            Bins behind ``reliability``.

        Returns
        -------
        Series
            ``brier`` = ``reliability`` − ``resolution`` + ``uncertainty`` (mean squared error;
            for more than two categories summed over them), ``brier_skill`` (1 − brier /
            uncertainty), ``log_score`` (mean −log probability of what happened), ``auc``,
            ``accuracy`` (share of trials in the most probable category), ``tjur`` (mean
            probability where it happened minus where not; per category).

        Raises
        ------
        OptionError, DataError, DataNotSavedError
            As :meth:`roc`.
        """
        check_whole("bins", bins, 2)
        return later.accuracy.scores(
            self._judged("scores()", level, new, y, new_groups, offset, trials), bins
        )

    @property
    def brier(self) -> float:
        """Brier score of the fit's own data, random effects at their modes: see :meth:`scores`."""
        return float(self.scores()["brier"])

    @property
    def auc(self) -> float:
        """Area under the ROC curve of the fit's own data: see :meth:`roc`."""
        return later.accuracy.area(later.judged.judged(self, "conditional", "auc"))

    def _judged(
        self,
        what: str,
        level: PredictionLevel,
        new: object,
        y: object,
        new_groups: NewGroups,
        offset: object,
        trials: object,
    ) -> Judged:
        """Probabilities and response of the fit's data or of new ones."""
        if new is not None:
            request = later.predictions.PredictionRequest(
                "response", level, new_groups, se=False, interval=None
            )
            pi = later.predictions.predict(self, new, request, offset, None)
            return later.judged.judged_new(self, pi, level, new, y, trials)
        if any(given is not None for given in (y, offset, trials)):
            raise OptionError("y=, offset= and trials= belong to new data; give them as new=.")
        return later.judged.judged(self, level, what)
