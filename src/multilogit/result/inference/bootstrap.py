"""The parametric bootstrap of a fit: its result, and how it is run."""

from __future__ import annotations

import hashlib
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from multilogit.checks import check_choice
from multilogit.errors import Diagnostic, OptionError, Status
from multilogit.evaluation import Vector
from multilogit.inference.bootstrap import (
    STATUSES,
    Replicates,
    basic_interval,
    load,
    percentile_interval,
    run,
    save,
)
from multilogit.inference.variance import positions
from multilogit.inference.wald import critical_value
from multilogit.paths import as_target, writing
from multilogit.progress import Progress, Show
from multilogit.result.fields.measures import Measures
from multilogit.result.inference.parameters import Parameter, parameters_of
from multilogit.result.inference.resampling import check_run, estimating

_MANY_FAILED = 0.01
"""Share of replicates without convergence that is worth a warning."""
_FEW = 40
"""Replicates below which the tails of an interval are not seen."""

IntervalKind = Literal["percentile", "basic"]


@dataclass(frozen=True, eq=False, repr=False)
class Bootstrap:
    """Estimates from data sets that were drawn from the fitted model.

    Attributes
    ----------
    estimates
        The estimates of the fit: fixed effects, standard deviations, correlations.
    replicates
        One row per data set, by its number; a column per parameter. Rows of replicates that
        were not computed (an interrupted run) are left out.
    converged
        For each row whether its search converged; the others take no part in intervals.
    statuses
        How many searches ended in which way.
    seed, n
        Of the random numbers; data sets asked for.
    complete
        False if it was interrupted; with the same ``path`` it goes on where it ended.
    diagnostics
        What a reader must know.
    seconds
        Wall time, s.
    """

    estimates: pd.Series
    replicates: pd.DataFrame
    converged: pd.Series
    statuses: dict[str, int]
    seed: int
    n: int
    complete: bool
    diagnostics: tuple[Diagnostic, ...]
    seconds: float

    def confint(self, level: float = 0.95, kind: IntervalKind = "percentile") -> pd.DataFrame:
        """Bootstrap intervals (Davison & Hinkley 1997, ch. 5).

        Parameters
        ----------
        level
            Confidence level.
        kind
            ``"percentile"``: quantiles of the replicates; ``"basic"``: the same mirrored at
            the estimate, which corrects bias.

        Returns
        -------
        DataFrame
            Index: parameters; columns ``lower``, ``upper``.

        Raises
        ------
        OptionError
            Unknown kind or level; fewer than two replicates converged.
        """
        critical_value(level)  # complains about a level that is none
        check_choice("kind", kind, get_args(IntervalKind))
        used = self._used()
        rows = []
        for name, estimate in self.estimates.items():
            values = used[name].to_numpy()
            values = values[np.isfinite(values)]
            if not values.size:
                rows.append((np.nan, np.nan))
            elif kind == "percentile":
                rows.append(percentile_interval(values, level))
            else:
                rows.append(basic_interval(estimate, values, level, _range(str(name))))
        return pd.DataFrame(rows, index=self.estimates.index, columns=["lower", "upper"])

    @property
    def se(self) -> pd.Series:
        """Standard deviations of the replicates."""
        return self._used().std().rename("se")

    @property
    def bias(self) -> pd.Series:
        """Means of the replicates minus the estimates."""
        return (self._used().mean() - self.estimates).rename("bias")

    def _used(self) -> pd.DataFrame:
        used = self.replicates[self.converged]
        if len(used) < 2:
            raise OptionError(
                f"{len(used)} of {len(self.replicates)} replicates converged ({self.statuses}): "
                "there is nothing to compute from."
            )
        return used

    def __repr__(self) -> str:
        """Estimates, bias, standard errors and intervals."""
        ended = ", ".join(f"{count} {status}" for status, count in self.statuses.items())
        head = f"Parametric bootstrap: {len(self.replicates)} of {self.n} replicates ({ended})"
        if self.converged.sum() < 2:
            return head
        table = pd.DataFrame({"estimate": self.estimates, "bias": self.bias, "se": self.se})
        notes = [str(noticed) for noticed in self.diagnostics]
        return "\n".join([head, table.join(self.confint()).to_string(), *notes])


def _range(name: str) -> tuple[float, float]:
    if name.startswith("sd_") and "|" in name:
        return 0.0, np.inf
    return (-1.0, 1.0) if name.startswith("cor_") and "|" in name else (-np.inf, np.inf)


def bootstrap(
    fit: Measures,
    n: int,
    seed: int,
    workers: int | None,
    progress: Show,
    path: str | PathLike[str] | None,
) -> Bootstrap:
    """The bootstrap as :meth:`multilogit.result.Fit.bootstrap` describes it."""
    began = time.perf_counter()
    check_run(n, seed, workers)
    fit._frame_for("bootstrap()")
    if not fit.status.at_supremum:
        raise OptionError(
            f"The fit did not converge ({fit.status.value}): it is no model to draw from. Look at "
            "fit.diagnostics."
        )
    replicates = Replicates.empty(n, fit.solution.psi.size)
    about = _about(fit, seed)
    file = None if path is None else as_target(path)
    if file is not None and file.exists():
        load(file, about, replicates)
    team = min(workers or fit.options.threads, n)
    with Progress("Bootstrap", n, progress) as bar:
        complete = run(
            replicates,
            [estimating(fit, seed)] * team,
            bar,
            None if file is None else lambda: _save(file, about, replicates),
        )
    return _present(fit, replicates, seed, complete, time.perf_counter() - began)


def _save(file: Path, about: Mapping[str, object], replicates: Replicates) -> None:
    with writing(file):
        save(file, about, replicates)


def _about(fit: Measures, seed: int) -> dict[str, object]:
    """What a file must agree in to belong to this bootstrap."""
    response = fit.frame.response
    digest = hashlib.sha256(np.ascontiguousarray(response.counts).tobytes())
    digest.update(np.ascontiguousarray(response.trials).tobytes())
    return {
        "formula": fit.spec.formula,
        "seed": int(seed),
        "nodes": int(fit.options.nodes) if fit.options.nodes != "auto" else 0,
        "prior": repr(fit.options.prior),
        "data": digest.hexdigest(),
        "estimates": [f"{value:.6e}" for value in fit.solution.psi],
    }


# ---------------------------------------------------------------------- the result


def _present(
    fit: Measures, replicates: Replicates, seed: int, complete: bool, seconds: float
) -> Bootstrap:
    parameters = parameters_of(fit)
    done = np.flatnonzero(replicates.done)
    values = _readable(fit, parameters, replicates.psi[done])
    names = [parameter.label for parameter in parameters]
    index = pd.Index(done, name="replicate")
    counted = Counter(STATUSES[k].value for k in replicates.status[done].tolist())
    return Bootstrap(
        estimates=pd.Series([p.estimate for p in parameters], index=names, name="estimate"),
        replicates=pd.DataFrame(values, columns=names, index=index),
        converged=pd.Series(replicates.converged[done], index=index, name="converged"),
        statuses=dict(counted.most_common()),
        seed=seed,
        n=replicates.psi.shape[0],
        complete=complete,
        diagnostics=_noticed(counted, complete, replicates.psi.shape[0]),
        seconds=seconds,
    )


def _readable(
    fit: Measures, parameters: list[Parameter], psi: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Fixed effects, standard deviations and correlations, one column per parameter."""
    columns = [psi[:, p.k] for p in parameters if not p.effects]
    for effects in fit.random:
        q = len(effects.names)
        rows, cols = np.array(positions(effects.blocks)).T
        Lambda = np.zeros((psi.shape[0], q, q))
        Lambda[:, rows, cols] = psi[:, effects.theta]
        sd = np.sqrt((Lambda**2).sum(axis=2))
        columns += list(sd.T)
        with np.errstate(invalid="ignore", divide="ignore"):
            unit = Lambda / sd[:, :, None]
        columns += [_correlation(unit, i, j) for i in range(q) for j in effects.earlier(i)]
    return np.column_stack(columns)


def _correlation(unit: NDArray[np.float64], i: int, j: int) -> Vector:
    return np.asarray(np.einsum("nk,nk->n", unit[:, i], unit[:, j]))


def _noticed(counted: Counter[str], complete: bool, n: int) -> tuple[Diagnostic, ...]:
    done = sum(counted.values())
    failed = done - counted[Status.CONVERGED.value]
    found = []
    if not complete:
        found.append(
            Diagnostic(
                "bootstrap-interrupted",
                "warning",
                f"The bootstrap was interrupted: {done} of {n} replicates.",
                "Run it again with the same seed and path to go on.",
                {"done": done, "n": n},
            )
        )
    if failed > _MANY_FAILED * done or done - failed < _FEW:
        ended = ", ".join(f"{count} {status}" for status, count in counted.most_common())
        found.append(
            Diagnostic(
                "bootstrap-replicates",
                "warning",
                f"Of {done} replicates {done - failed} converged ({ended}); intervals rest on "
                "these alone.",
                "Diverging replicates are separated data sets: their estimates are infinite, and "
                "intervals without them are too short. A prior keeps them finite.",
                dict(counted),
            )
        )
    return tuple(found)
