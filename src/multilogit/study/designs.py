"""Designs of simulation studies, as TOML files.

A file has a ``[run]`` table (replicates, estimators, ...), a ``[data]`` table with what all cells
share, ``[[cells]]`` that change some of it, and ``[vary]``: lists of values that are crossed with
one another and with the cells. ``docs/study.md`` explains every key.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import math
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from multilogit.errors import InputError

LIBRARY = Path(__file__).parent / "library"
"""Where the designs are that come with the package."""

ADEMP = ("aims", "data", "estimands", "methods", "performance")
KINDS = ("normal", "bernoulli", "exponential")
SIZES = ("equal", "skewed")
EFFECTS = ("normal", "t", "skewed", "bimodal")
PUBLISHED = ("cell", "estimator", "measure", "parameter", "digit", "n", "source")
INTERVALS = ("wald", "wald-log-sd", "posterior", "profile")


class StudyError(InputError):
    """A design or a directory of results cannot be used. The message says what to change."""


@dataclass(frozen=True, slots=True)
class Covariate:
    """A column of X.

    Attributes
    ----------
    name
        Its name in the formula.
    kind
        ``"normal"`` (mean 0, sd 1), ``"bernoulli"`` or ``"exponential"`` (mean 1).
    beta
        Its true coefficient, logits per unit.
    probability
        Of a one, for ``"bernoulli"``.
    between
        Whether it is constant within groups.
    slope
        Whether its coefficient varies between groups.
    """

    name: str
    kind: str = "normal"
    beta: float = 0.0
    probability: float = 0.5
    between: bool = False
    slope: bool = False

    def __post_init__(self) -> None:
        _one_of(f"covariate {self.name!r}: kind", self.kind, KINDS)
        if not self.name.isidentifier() or self.name in ("y", "g"):
            raise StudyError(f"covariate {self.name!r}: use a plain name other than 'y' and 'g'.")
        if not 0.0 < self.probability < 1.0:
            raise StudyError(f"covariate {self.name!r}: probability must be between 0 and 1.")


@dataclass(frozen=True, slots=True)
class Cell:
    """One data-generating mechanism.

    Attributes
    ----------
    name
        Unique in its design; seeds depend on it.
    groups, group_size
        Number of groups and their mean number of rows.
    sizes
        ``"equal"``; ``"skewed"``: quantiles of a log-normal distribution with log sd 1, the same
        in all replicates: 30 groups of 12 rows on average have 2 to 59.
    covariates
        Columns of X behind the intercept.
    intercept
        True intercept; None: solved for ``prevalence``.
    prevalence
        Marginal probability of y = 1.
    sd
        True standard deviations of the random intercept and of the slopes; empty: no random
        effects.
    correlation
        Between every two random effects.
    effects
        Distribution of the random effects, with mean 0 and standard deviation ``sd``:
        ``"normal"``, ``"t"`` (3 degrees of freedom), ``"skewed"`` (exponential), ``"bimodal"``
        (two normals at ±0.9 sd).
    rows
        Name of fixed covariate rows instead of ``covariates`` (see ``multilogit.study.rows``).
    beta
        True coefficients of ``rows``, ``"(Intercept)"`` among them.
    fixed
        Whether all replicates have the same covariates.
    truth
        ``"fixed"``; ``"prior"``: parameters are drawn from the prior of the estimator
        ``relative-entropy-fixed`` for every replicate (simulation-based calibration);
        ``"fit"``: maximum likelihood estimates of the data set that ``rows`` come from.
    prior_scale
        With ``truth = "prior"``: s of the covariance part.
    varied
        The values of ``[vary]`` that made the cell, for tables and axes.
    """

    name: str
    groups: int = 30
    group_size: int = 10
    sizes: str = "equal"
    covariates: tuple[Covariate, ...] = ()
    intercept: float | None = 0.0
    prevalence: float | None = None
    sd: tuple[float, ...] = (1.0,)
    correlation: float = 0.0
    effects: str = "normal"
    rows: str | None = None
    beta: Mapping[str, float] = field(default_factory=dict)
    fixed: bool = False
    truth: str = "fixed"
    prior_scale: float = 5.0
    varied: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        where = f"cell {self.name!r}"
        _one_of(f"{where}: sizes", self.sizes, SIZES)
        _one_of(f"{where}: effects", self.effects, EFFECTS)
        _one_of(f"{where}: truth", self.truth, ("fixed", "prior", "fit"))
        slopes = sum(covariate.slope for covariate in self.covariates)
        if self.sd and len(self.sd) != 1 + slopes:
            raise StudyError(f"{where}: sd needs {1 + slopes} values, the intercept's first.")
        if self.groups < 1 or self.group_size < 1:
            raise StudyError(f"{where}: groups and group_size must be at least 1.")
        if any(value < 0.0 for value in self.sd):
            raise StudyError(f"{where}: standard deviations cannot be negative.")
        if self.prevalence is None and self.intercept is None:
            raise StudyError(f"{where}: give intercept or prevalence.")
        if self.prevalence is not None and not 0.0 < self.prevalence < 1.0:
            raise StudyError(f"{where}: prevalence must be between 0 and 1.")

    @property
    def slopes(self) -> tuple[str, ...]:
        """Names of covariates whose coefficients vary between groups."""
        return tuple(covariate.name for covariate in self.covariates if covariate.slope)

    @property
    def digest(self) -> str:
        """Of everything that data depend on; results of another digest are not of this cell."""
        content = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "varied"}
        content["covariates"] = [
            {f.name: getattr(covariate, f.name) for f in fields(covariate)}
            for covariate in self.covariates
        ]
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Design:
    """A simulation study.

    Attributes
    ----------
    name
        Unique; seeds depend on it.
    title
        One line.
    ademp
        Aims, data, estimands, methods, performance: one text each.
    cells
        Data-generating mechanisms.
    estimators
        Names in ``multilogit.study.estimators.ESTIMATORS``.
    replicates
        Per cell.
    replicates_of
        Other numbers for some estimators.
    batch
        Replicates that one process does between checkpoints.
    intervals
        Kinds of intervals that are computed: ``"wald"``, ``"wald-log-sd"`` (from the information
        of the likelihood in log standard deviations), ``"posterior"``, ``"profile"``.
    profiled
        Estimators that profile intervals are computed for; empty: all.
    cells_of
        Patterns (``*`` for anything) of the names of the only cells that some (slow) estimators
        are run on.
    fresh_groups
        Groups of the data on which predictions are scored.
    extreme
        |β̂| or a standard error above this is extreme.
    shown
        Estimators in the figures and long tables of the report; empty: all.
    report
        Sections of the report: names in ``multilogit.study.report.SECTIONS``.
    published
        Published values: tables with ``cell``, ``estimator``, ``measure``, ``parameter``,
        ``value``, ``digit`` (unit of its last digit), ``n`` (replicates behind it), ``source``.
        In the file one table may give a whole series: ``at`` and ``values``, lists, with ``{}``
        in ``cell`` or ``parameter`` for the elements of ``at``.
    unusable
        Rule by which the publication counted estimates as unusable.
    """

    name: str
    title: str
    ademp: Mapping[str, str]
    cells: tuple[Cell, ...]
    estimators: tuple[str, ...]
    replicates: int = 1000
    replicates_of: Mapping[str, int] = field(default_factory=dict)
    batch: int = 50
    intervals: tuple[str, ...] = ("wald", "posterior")
    profiled: tuple[str, ...] = ()
    cells_of: Mapping[str, Sequence[str]] = field(default_factory=dict)
    fresh_groups: int = 50
    extreme: float = 30.0
    shown: tuple[str, ...] = ()
    report: tuple[str, ...] = ()
    published: tuple[Mapping[str, Any], ...] = ()
    unusable: Mapping[str, Any] = field(default_factory=dict)

    def replicates_for(self, estimator: str) -> int:
        """Replicates per cell of one estimator."""
        return self.replicates_of.get(estimator, self.replicates)

    def cells_for(self, estimator: str) -> tuple[Cell, ...]:
        """The cells that one estimator is run on."""
        patterns = self.cells_of.get(estimator, ("*",))
        return tuple(cell for cell in self.cells if _matches(cell.name, patterns))

    def intervals_for(self, estimator: str) -> tuple[str, ...]:
        """The kinds of intervals that are computed for one estimator."""
        skipped = "profile" if self.profiled and estimator not in self.profiled else ""
        return tuple(kind for kind in self.intervals if kind != skipped)

    def cell(self, name: str) -> Cell:
        """The cell of that name."""
        return next(cell for cell in self.cells if cell.name == name)


def _matches(name: str, patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def available() -> dict[str, Path]:
    """Names and files of the designs that come with the package."""
    return {path.stem: path for path in sorted(LIBRARY.glob("*.toml"))}


def load_design(name: str | Path) -> Design:
    """Read a design: a name of :func:`available`, or the path of a TOML file.

    Raises
    ------
    StudyError
        If there is none, or a key or value in it cannot be used.
    """
    path = available().get(str(name), Path(name))
    if not path.is_file():
        known = ", ".join(available())
        raise StudyError(f"There is no design {str(name)!r}. Give the path of a file, or: {known}.")
    try:
        text = path.read_text(encoding="utf-8")
        return parse_design(tomllib.loads(text), path.stem)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise StudyError(f"{str(path)!r} is not TOML: {error}") from None


def parse_design(content: Mapping[str, Any], name: str) -> Design:
    """The design of a parsed file.

    Raises
    ------
    StudyError
        If a key or value cannot be used.
    """
    tables = ("title", "ademp", "run", "data", "cells", "vary", "published", "unusable")
    _known("the design", content, tables)
    ademp = content.get("ademp", {})
    _known("[ademp]", ademp, ADEMP)
    settings = dict(content.get("run", {}))
    _known("[run]", settings, _names(Design) - {"name", "title", "ademp", "cells", "published"})
    for key in ("estimators", "intervals", "profiled", "shown", "report"):
        if key in settings:
            settings[key] = tuple(settings[key])
    for kind in settings.get("intervals", ()):
        _one_of("[run] intervals", kind, INTERVALS)
    cells = tuple(_cells(content))
    twice = {cell.name for cell in cells if [c.name for c in cells].count(cell.name) > 1}
    if twice:
        raise StudyError(f"Cells must have different names; several are called {sorted(twice)}.")
    for pattern in itertools.chain.from_iterable(settings.get("cells_of", {}).values()):
        if not any(_matches(cell.name, [pattern]) for cell in cells):
            raise StudyError(f"[run.cells_of]: no cell is called {pattern!r}.")
    if "estimators" not in settings:
        raise StudyError("[run] must list estimators.")
    if settings.get("batch", 1) < 1 or settings.get("replicates", 1) < 1:
        raise StudyError("[run]: batch and replicates must be at least 1.")
    return Design(
        name=name,
        title=content.get("title", name),
        ademp=ademp,
        cells=cells,
        published=tuple(_published(content.get("published", ()))),
        unusable=content.get("unusable", {}),
        **settings,
    )


def _published(tables: Iterable[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    """Published values one by one."""
    for table in tables:
        if missing := [key for key in PUBLISHED if key not in table]:
            raise StudyError(f"[[published]] lacks {', '.join(map(repr, missing))}.")
        common = {key: table[key] for key in PUBLISHED}
        for at, value in zip(table["at"], table["values"], strict=True):
            places = {key: common[key].format(at) for key in ("cell", "parameter")}
            yield {**common, **places, "value": float(value)}


def _cells(content: Mapping[str, Any]) -> Iterator[Cell]:
    """Every cell crossed with every combination of [vary]."""
    vary = content.get("vary", {})
    for given in content.get("cells", [{}]):
        for values in itertools.product(*vary.values()):
            varied = dict(zip(vary, values, strict=True))
            yield _cell({**content.get("data", {}), **given}, varied)


def _cell(settings: dict[str, Any], varied: dict[str, Any]) -> Cell:
    base = settings.pop("name", "")
    beta = dict(settings.pop("beta", {}))
    for key, value in varied.items():
        if key.startswith("beta."):
            beta[key.removeprefix("beta.")] = value
        else:
            settings[key] = value
    name = ", ".join(filter(None, [base, *(f"{k} = {v}" for k, v in varied.items())])) or "all"
    _known(f"cell {name!r}", settings, (_names(Cell) - {"name", "varied", "beta"}) | {"log_sd"})
    if "rows" in settings:
        settings["beta"] = beta
        beta = {}
    settings["covariates"] = _covariates(settings.get("covariates", ()), beta)
    if "log_sd" in settings:
        settings["sd"] = math.exp(settings.pop("log_sd"))
    if "sd" in settings:
        sd = settings["sd"]
        settings["sd"] = tuple(map(float, sd if isinstance(sd, list) else [sd]))
    if "prevalence" in settings:
        settings.setdefault("intercept", None)
    return Cell(name=name, varied=varied, **settings)


def _covariates(given: Any, beta: dict[str, float]) -> tuple[Covariate, ...]:
    made = []
    for table in given:
        _known("a covariate", table, _names(Covariate))
        made.append(Covariate(**{**table, "beta": beta.pop(table["name"], table.get("beta", 0.0))}))
    if beta:
        raise StudyError(f"beta of {', '.join(map(repr, beta))}: there is no such covariate.")
    return tuple(made)


def _names(kind: type[Any]) -> set[str]:
    return {item.name for item in fields(kind)}


def _known(where: str, table: Mapping[str, Any], names: Any) -> None:
    for key in table:
        if key not in names:
            raise StudyError(f"{where} has the key {key!r}; available: {', '.join(sorted(names))}.")


def _one_of(what: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise StudyError(f"{what} = {value!r}; available: {', '.join(map(repr, choices))}.")
