"""The parameters that people read: fixed effects, standard deviations, correlations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from multilogit.errors import OptionError
from multilogit.result.fields.measures import Measures
from multilogit.result.fields.parameter_names import coefficient_names


@dataclass(frozen=True, slots=True)
class Parameter:
    """What can be profiled.

    Attributes
    ----------
    label
        As in the tables: ``"x"``, ``"sd_x|g"``, ``"cor_x.y|g"``.
    effects
        None for a fixed effect; for a standard deviation its random effect, for a correlation
        the two, counted over all grouping factors.
    k
        Of a fixed effect: its place in ψ.
    estimate
        β̂, sd or correlation.
    """

    label: str
    effects: tuple[int, ...]
    k: int
    estimate: float


def parameters_of(fit: Measures) -> list[Parameter]:
    """Every parameter of a fit, fixed effects first, in the order of its tables."""
    psi = fit.solution.psi
    found = [
        Parameter(name, (), k, float(psi[k]))
        for k, name in enumerate(coefficient_names(fit.labels))
    ]
    first = 0
    for effects in fit.random:
        sd = np.sqrt((effects.Lambda**2).sum(axis=1))
        for i in range(sd.size):
            found.append(Parameter(effects.sd_label(i), (first + i,), -1, float(sd[i])))
        for i in range(sd.size):
            for j in effects.earlier(i):
                label = effects.correlation_label(i, j)
                with np.errstate(invalid="ignore"):
                    rho = float(effects.Lambda[i] @ effects.Lambda[j] / (sd[i] * sd[j]))
                found.append(Parameter(label, (first + j, first + i), -1, rho))
        first += sd.size
    return found


def named(fit: Measures, names: str | Sequence[str] | None) -> list[Parameter]:
    """The parameters asked for; ``"beta_"`` and ``"theta_"`` stand for all of a kind.

    Raises
    ------
    OptionError
        If there is no parameter of a name.
    """
    every = parameters_of(fit)
    if names is None:
        return every
    found: list[Parameter] = []
    for name in [names] if isinstance(names, str) else names:
        match = [each for each in every if name in (each.label, _kind(each))]
        if not match:
            known = ", ".join(each.label for each in every)
            raise OptionError(f"No parameter {name!r} in this fit; it has: {known}.")
        found += [each for each in match if each not in found]
    return found


def _kind(parameter: Parameter) -> str:
    return "theta_" if parameter.effects else "beta_"
