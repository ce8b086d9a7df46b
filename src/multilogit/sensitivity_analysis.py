"""Does the answer depend on the strength of the prior? The same model at another strength."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pandas as pd

from multilogit.errors import OptionError
from multilogit.fitting import fit_frame
from multilogit.prior import BoundPrior, Prior, RelativeEntropy, ShannonEntropy, SumPrior
from multilogit.prior.options import positive, strength_by_size
from multilogit.result import Fit

_EntropyPrior = RelativeEntropy | ShannonEntropy
_FAR = 1.0
"""A move of more than so many standard errors is worth telling."""


def sensitivity(fit: Fit, strength: float = 1.0) -> pd.DataFrame:
    """Refit with another strength of the entropy prior and see what moves.

    With few groups or rare events even a weak prior may decide a coefficient. Such coefficients
    are those that move by more than a standard error when the prior is weakened.

    Parameters
    ----------
    fit
        A fit with ``prior=RelativeEntropy(...)`` or ``ShannonEntropy(...)``, also as one part of
        a sum.
    strength
        κ of the second fit, in pseudo-observations; everything else is kept.

    Returns
    -------
    DataFrame
        One row per parameter, named as by :meth:`~multilogit.result.Fit.confint`; columns

        * ``estimate``, ``std_error``: of ``fit``;
        * ``refit``: the estimate at ``strength``, NaN if that fit did not converge;
        * ``move``: (refit − estimate) / std_error;
        * ``sensitive``: whether it moves by more than one standard error, or cannot be followed.

        ``.attrs`` holds the two strengths, ``"strength"`` and ``"refit_strength"``.

    Raises
    ------
    OptionError
        If ``fit`` has no entropy prior, or ``strength`` is not a positive number.

    Examples
    --------
    >>> import multilogit as ml
    >>> data = {"y": [0, 0, 0, 1, 1, 1], "x": [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]}
    >>> fit = ml.fit("y ~ x", data, prior=ml.RelativeEntropy())
    >>> bool(ml.sensitivity(fit)["refit"]["x"] > fit.coef["x"])
    True
    """
    kappa = positive(strength, "strength")
    before = prior_strength(fit)
    if before is None:
        raise OptionError(
            f"prior={fit.options.prior!r} has no strength to change; fit with "
            "prior=ml.RelativeEntropy()."
        )
    table, other = _estimates(fit), _refit(fit, kappa)
    refit = _estimates(other)["estimate"] if other.converged else np.nan
    change = refit - table["estimate"]
    move = change / table["std_error"]
    table = table.assign(refit=refit, move=move)
    table["sensitive"] = ~(move.abs() <= _FAR) & ~(change == 0.0)
    table.attrs = {"strength": before, "refit_strength": kappa}
    return table


def prior_strength(fit: Fit) -> float | None:
    """κ of the entropy prior of a fit, whoever chose it; None without exactly one such prior."""
    found = [part for part in _parts(fit.options.prior) if isinstance(part, _EntropyPrior)]
    if len(found) != 1:
        return None
    strength = found[0].strength
    if strength is None:
        return strength_by_size(len(fit.labels.columns), len(fit.labels.categories))
    return strength if isinstance(strength, float) else None


def _refit(fit: Fit, kappa: float) -> Fit:
    """The model of ``fit`` at the strength κ, searched from its estimates."""
    parts = [
        part.with_strength(kappa) if isinstance(part, _EntropyPrior) else part
        for part in _parts(fit.options.prior)
    ]
    prior = parts[0] if len(parts) == 1 else SumPrior(tuple(parts))
    options = replace(fit.options, prior=prior, start=fit.solution.psi, callback=None)
    spec = replace(fit.spec, options=fit.spec.options | {"prior": prior})
    return fit_frame(fit.frame, fit.design, spec, options, time.perf_counter())


def _parts(prior: Prior | BoundPrior | None) -> tuple[Prior | BoundPrior, ...]:
    if prior is None:
        return ()
    return prior.parts if isinstance(prior, SumPrior) else (prior,)


def _estimates(fit: Fit) -> pd.DataFrame:
    """Estimates and standard errors of all parameters on the scale that people read."""
    table = fit.tidy()[["estimate", "std_error"]]
    return table.set_index(fit.confint().index)
