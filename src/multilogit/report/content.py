"""The content of a summary, as plain values: what the renderers are given."""

from __future__ import annotations

from dataclasses import dataclass

from multilogit.errors import Diagnostic


@dataclass(frozen=True, slots=True)
class Equation:
    """Coefficient table of one logit.

    Attributes
    ----------
    heading
        What the coefficients are about.
    names, estimate, std_error, z, p
        One entry per coefficient, in the order of the formula.
    """

    heading: str
    names: tuple[str, ...]
    estimate: tuple[float, ...]
    std_error: tuple[float, ...]
    z: tuple[float, ...]
    p: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class RandomRow:
    """One random effect.

    Attributes
    ----------
    group
        Grouping factor; empty for the second and later effects of a bar term.
    name
        The effect.
    variance, sd, sd_error
        Variance, standard deviation and its standard error.
    correlations
        With the earlier effects of the same bar term.
    """

    group: str
    name: str
    variance: float
    sd: float
    sd_error: float
    correlations: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Content:
    """All that R prints for a fit, and how the iteration ended.

    Attributes
    ----------
    title
        Kind of model and method of estimation.
    call
        Label and value of each line of the head: formula, response, options.
    random
        Random effects; empty for a single-level model.
    counts
        Observations and groups in one line.
    equations
        One coefficient table per logit.
    aliased
        Columns without a coefficient, because they depend on earlier ones.
    criteria
        AIC, BIC, log-likelihood, deviance, degrees of freedom: label and value.
    deviances
        Null and residual deviance with degrees of freedom; empty for multilevel models.
    convergence
        One line about the iteration.
    diagnostics
        What the reader must know.
    """

    title: str
    call: tuple[tuple[str, str], ...]
    random: tuple[RandomRow, ...]
    counts: str
    equations: tuple[Equation, ...]
    aliased: tuple[str, ...]
    criteria: tuple[tuple[str, str], ...]
    deviances: tuple[tuple[str, float, int], ...]
    convergence: str
    diagnostics: tuple[Diagnostic, ...]
