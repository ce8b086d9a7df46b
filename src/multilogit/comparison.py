"""``compare``: likelihood ratio tests and information criteria of several fits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise

import numpy as np
import pandas as pd

from multilogit.data.model_frame import Column
from multilogit.errors import OptionError
from multilogit.estimate.rank import split_dependent
from multilogit.inference.bootstrap import Ratios
from multilogit.inference.likelihood_ratio import RatioTest, ratio_test
from multilogit.progress import Show
from multilogit.result import Fit, RandomEffects
from multilogit.result.fields.parameter_names import effect_terms
from multilogit.result.fields.training import Labels, TrainingData
from multilogit.result.inference.resampling import ratios

_WRONG_WAY = 1e-3
"""A larger model whose 2ℓ is lower by more than this is not at its maximum."""

_MIXTURE = (
    "0.5 chi2(d - 1) + 0.5 chi2(d): a variance is on its boundary under the hypothesis (Self & "
    "Liang 1987; Stram & Lee 1994)."
)


@dataclass(frozen=True, eq=False, repr=False)
class Comparison:
    """Fits side by side, from the smallest model to the largest.

    Attributes
    ----------
    table
        One row per fit, called as asked for (``fit0``, ``fit1``, … in the order given): ``npar``,
        ``aic``, ``bic``, ``loglik``, ``deviance`` (−2 log-likelihood), and of the test against the
        row above: ``chisq``, ``df``, ``p_value``, ``reference`` (the distribution behind it), and
        ``p_bootstrap`` where one was asked for.
    formulas
        For each row its formula.
    notes
        What a reader of the table must know.
    """

    table: pd.DataFrame
    formulas: dict[str, str]
    notes: tuple[str, ...]

    def __repr__(self) -> str:
        """Formulas, table, notes."""
        lines = [f"{name}: {formula}" for name, formula in self.formulas.items()]
        return "\n".join([*lines, "", _shown(self.table).to_string(), *_listed(self.notes)])

    def _repr_html_(self) -> str:
        """The table, for notebooks."""
        items = "".join(
            f"<li>{escape(name)}: <code>{escape(formula)}</code></li>"
            for name, formula in self.formulas.items()
        )
        notes = "".join(f"<p>{escape(note)}</p>" for note in self.notes)
        return f"<ul>{items}</ul>{_shown(self.table).to_html()}{notes}"


def compare(
    *fits: Fit,
    names: Sequence[str] | None = None,
    test: bool = True,
    boundary: bool = True,
    bootstrap: int = 0,
    seed: int = 0,
    workers: int | None = None,
    progress: Show = False,
) -> Comparison:
    """Compare nested fits of the same data by likelihood ratio tests, AIC and BIC.

    Parameters
    ----------
    *fits
        Two or more; they are sorted by the number of parameters, and each is tested against
        the one before it. They may differ in the baseline where the model does not depend on it.
    names
        What the fits are called in the table, in the order given; default: fit0, fit1, …
    test
        False: no tests, only the criteria; then models need not be nested, and may have priors.
    boundary
        A variance that the smaller model sets to 0 lies on the boundary: the statistic is then
        compared with ½χ²(d − 1) + ½χ²(d) (Self & Liang 1987; Stram & Lee 1994). It is exact
        for one variance, with any number of covariances and fixed effects, and an upper bound
        of the p-value for several. False: χ²(d) throughout, as R's ``anova``.
    bootstrap
        Number of data sets to draw from the smaller model of every test: ``p_bootstrap`` is the
        share in which the statistic is at least as large. It needs no theory of boundaries.
    seed, workers, progress
        Of the bootstrap, as in :meth:`multilogit.Fit.bootstrap`.

    Returns
    -------
    Comparison
        ``table``, ``notes``; shows itself.

    Raises
    ------
    OptionError
        Fits that cannot be compared: of other data, with other numbers of quadrature nodes;
        and for tests: penalised, not converged, not nested. The message says which and why.

    Examples
    --------
    >>> import multilogit as ml
    >>> data = {"y": [0, 1, 0, 1, 1, 0], "x": [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]}
    >>> ml.compare(ml.fit("y ~ 1", data), ml.fit("y ~ x", data)).table["df"].tolist()
    [<NA>, 1]
    """
    named = _named(fits, names)
    _check_same_data(named)
    _check_nodes(named)
    if test and bootstrap:
        _check_one_order(named)
    ordered = sorted(named.items(), key=lambda item: item[1].n_parameters)
    tests: list[RatioTest | None] = [None] * len(ordered)
    notes: list[str] = []
    if test:
        for name, fit in ordered:
            _check_maximum(name, fit)
        for k, (smaller, larger) in enumerate(pairwise(ordered), start=1):
            tests[k] = _test(smaller, larger, boundary, notes)
    formulas = {name: fit.spec.formula for name, fit in ordered}
    table = _table(ordered, tests)
    if test and bootstrap:
        table.insert(8, "p_bootstrap", np.nan)
        for smaller, larger in pairwise(ordered):
            drawn = ratios(smaller[1], larger[1], bootstrap, seed, workers, progress)
            _note_bootstrap(larger[0], drawn, bootstrap, notes)
            observed = float(table.loc[larger[0], "chisq"])
            table.loc[larger[0], "p_bootstrap"] = drawn.p_value(observed)
    return Comparison(table, formulas, tuple(notes))


def _note_bootstrap(name: str, drawn: Ratios, asked: int, notes: list[str]) -> None:
    """Data sets that take no part in a p-value."""
    used = int(np.isfinite(drawn.statistic).sum())
    if used < asked:
        notes.append(
            f"{name}: the bootstrap rests on {used} of {asked} data sets; the others were not "
            "reached, or their searches failed."
        )


def _named(fits: Sequence[Fit], names: Sequence[str] | None) -> dict[str, Fit]:
    for k, fit in enumerate(fits):
        if not isinstance(fit, Fit):
            raise OptionError(
                f"Argument {k} of compare() is a {type(fit).__name__}; give results of ml.fit()."
            )
    if len(fits) < 2:
        raise OptionError("compare() needs at least two fits.")
    if names is None:
        names = [f"fit{k}" for k in range(len(fits))]
    if isinstance(names, str) or len({*map(str, names)}) != len(fits) or len(names) != len(fits):
        raise OptionError(f"names={names!r}: give {len(fits)} different names, one for each fit.")
    return dict(zip(map(str, names), fits, strict=True))


# ---------------------------------------------------------------------- may they be compared?


def _check_same_data(named: dict[str, Fit]) -> None:
    (first_name, first), *others = named.items()
    for name, fit in others:
        difference = _difference(first, fit)
        if difference:
            raise OptionError(
                f"{first_name} and {name} are not fits of the same data: {difference}. Log-"
                "likelihoods can be compared only for the same response in the same rows; drop "
                "rows with missing values before fitting."
            )


def _difference(a: Fit, b: Fit) -> str:
    """How the responses of two fits differ; empty if they do not."""
    if a.training.n_rows != b.training.n_rows:
        return f"{a.training.n_rows} and {b.training.n_rows} rows were used"
    if set(a.labels.categories) != set(b.labels.categories):
        return f"the categories are {a.labels.categories} and {b.labels.categories}"
    if a.labels.categories == b.labels.categories:
        return "" if a.training.digest == b.training.digest else "their responses differ"
    return _difference_but_for_order(a, b)


def _difference_but_for_order(a: Fit, b: Fit) -> str:
    """The same for fits whose categories are in different order: one needs its data."""
    for one, other in ((a, b), (b, a)):
        if one.has_data:
            digest = TrainingData(one.frame).digest_from(other.labels.categories)
            same = digest == other.training.digest
            return "" if same else "their responses differ, not in the baseline alone"
    return (
        f"the baselines are {_baselines(a, b)}, and neither has its data, without which nobody can "
        "tell whether the responses are the same; fit one of them again"
    )


def _baselines(a: Fit, b: Fit) -> str:
    return f"{a.labels.categories[0]!r} and {b.labels.categories[0]!r}"


def _equal(a: Column | None, b: Column | None, default: float) -> bool:
    """Whether two columns are equal; None stands for a column of ``default``."""
    if a is None or b is None:
        known = b if a is None else a
        return known is None or bool((known == default).all())
    return bool(np.array_equal(a, b))


def _check_one_order(named: dict[str, Fit]) -> None:
    (name, first), *others = named.items()
    for other_name, other in others:
        if other.labels.categories != first.labels.categories:
            raise OptionError(
                f"The baselines of {name} and {other_name} are {_baselines(first, other)}: a "
                "bootstrap refits the same counts; fit both with the same baseline=."
            )


def _check_nodes(named: dict[str, Fit]) -> None:
    mixed = {name: fit.options.nodes for name, fit in named.items() if fit.random}
    if len(set(mixed.values())) > 1:
        shown = ", ".join(f"{name} {nodes}" for name, nodes in mixed.items())
        raise OptionError(
            f"The fits have different numbers of quadrature nodes ({shown}): their log-"
            "likelihoods are different approximations. Fit them with the same nodes=."
        )


def _check_maximum(name: str, fit: Fit) -> None:
    if fit.penalised:
        raise OptionError(
            f"{name} has a prior: likelihood ratio tests need maximum likelihood. Fit without "
            "prior=, or use compare(..., test=False) for AIC with effective parameters."
        )
    if not fit.status.at_supremum:
        raise OptionError(
            f"{name} did not converge ({fit.status.value}): its log-likelihood is not the "
            "maximum. Look at its diagnostics, or use compare(..., test=False)."
        )


# ---------------------------------------------------------------------- tests


def _test(
    smaller: tuple[str, Fit], larger: tuple[str, Fit], boundary: bool, notes: list[str]
) -> RatioTest:
    (name0, fit0), (name1, fit1) = smaller, larger
    reason = _not_nested(fit0, fit1)
    if reason:
        raise OptionError(
            f"{name0} is not nested in {name1}: {reason}. A likelihood ratio test needs nested "
            "models; use compare(..., test=False) for AIC and BIC."
        )
    df = fit1.n_parameters - fit0.n_parameters
    if df == 0:
        raise OptionError(
            f"{name0} and {name1} have the same number of parameters: there is nothing to test. "
            "Use compare(..., test=False)."
        )
    statistic = 2.0 * (fit1.loglik - fit0.loglik)
    n_variances = _n_effects(fit1) - _n_effects(fit0) if boundary else 0
    _note(name0, fit0, name1, statistic, n_variances, notes)
    return ratio_test(statistic, df, n_variances)


def _note(
    name0: str, fit0: Fit, name1: str, statistic: float, n_variances: int, notes: list[str]
) -> None:
    if n_variances and _MIXTURE not in notes:
        notes.append(_MIXTURE)
    if n_variances > 1:
        notes.append(
            f"{name0} against {name1}: {n_variances} variances are on the boundary at once; the "
            "p-value is an upper bound."
        )
    if statistic < -_WRONG_WAY:
        notes.append(
            f"{name1} contains {name0} but its log-likelihood is lower by {-0.5 * statistic:.3g}: "
            "it is not at its maximum; try starts=5."
        )
    if n_variances and fit0.boundary.any():
        notes.append(
            f"{name0} itself has a variance at 0, where the mixture is not exact: use "
            "bootstrap=1000."
        )


def _n_effects(fit: Fit) -> int:
    return sum(len(effects.names) for effects in fit.random)


def _not_nested(smaller: Fit, larger: Fit) -> str:
    """Why one model is not a special case of the other; empty if it is."""
    reordered = smaller.labels.categories != larger.labels.categories
    with_data = [fit for fit in (smaller, larger) if fit.has_data]
    if reordered and any(fit.frame.offset is not None for fit in with_data):
        return (
            f"the baselines are {_baselines(smaller, larger)}, and an offset belongs to the log "
            "odds against one of them; fit both with the same baseline="
        )
    return _fixed_outside(smaller, larger) or _random_outside(smaller, larger)


def _fixed_outside(smaller: Fit, larger: Fit) -> str:
    extra = [name for name in smaller.labels.columns if name not in larger.labels.columns]
    if not (smaller.has_data and larger.has_data):
        named = ", ".join(map(repr, extra))
        return f"{named} is not in it, and without data nothing else can be checked" * bool(extra)
    if not _equal(smaller.frame.offset, larger.frame.offset, 0.0):
        return "their offsets differ"
    columns = larger.frame.fixed.columns
    own = smaller.frame.fixed
    kept, _ = split_dependent((*columns, *own.columns))
    outside = [own.names[k - len(columns)] for k in kept if k >= len(columns)]
    named = ", ".join(map(repr, outside))
    return f"its fixed effect {named} is not a combination of those of the other" * bool(outside)


def _random_outside(smaller: Fit, larger: Fit) -> str:
    """Why the random effects of one are no special case of the other's."""
    factors = {effects.group: effects for effects in larger.random}
    reordered = smaller.labels.categories != larger.labels.categories
    if reordered and smaller.labels.n_logits > 1:
        for fit in (smaller, larger):
            for effects in fit.random:
                if not _covers_logits(effects, fit.labels):
                    return (
                        f"the baselines are {_baselines(smaller, larger)}, and random effects of "
                        f"{effects.group!r} that are independent across logits depend on it; fit "
                        "both with the same baseline="
                    )
    for effects in smaller.random:
        if effects.group not in factors:
            return f"it has random effects of {effects.group!r}, the other has none"
        wide = _blocks(factors[effects.group], larger.labels, reordered)
        for block in _blocks(effects, smaller.labels, reordered):
            if not any(block <= other for other in wide):
                named = ", ".join(map(repr, sorted(block)))
                return f"the random effects {named} of {effects.group!r} are no term of the other"
    return ""


def _blocks(effects: RandomEffects, labels: Labels, across_logits: bool = False) -> list[set[str]]:
    """The names of the effects, term by term; those of all logits under one name if asked for."""
    names = effects.names
    if across_logits:
        names = tuple(term for term, _ in effect_terms(effects, labels))
    ends = np.cumsum(effects.blocks).tolist()
    return [set(names[end - size : end]) for size, end in zip(effects.blocks, ends, strict=True)]


def _covers_logits(effects: RandomEffects, labels: Labels) -> bool:
    """Whether every block has its terms in all logits: then no baseline is special."""
    blocks = _blocks(effects, labels, across_logits=True)
    sizes = zip(blocks, effects.blocks, strict=True)
    return all(len(block) * labels.n_logits == size for block, size in sizes)


# ---------------------------------------------------------------------- the table


def _table(ordered: Sequence[tuple[str, Fit]], tests: Sequence[RatioTest | None]) -> pd.DataFrame:
    rows = []
    for (_, fit), tested in zip(ordered, tests, strict=True):
        row: dict[str, object] = {"npar": fit.n_parameters, "aic": fit.aic, "bic": fit.bic}
        row |= {"loglik": fit.loglik, "deviance": -2.0 * fit.loglik}
        row |= {"chisq": np.nan, "df": pd.NA, "p_value": np.nan, "reference": ""}
        if tested is not None:
            row |= {"chisq": tested.statistic, "df": tested.df, "p_value": tested.p_value}
            row |= {"reference": tested.reference}
        rows.append(row)
    table = pd.DataFrame(rows, index=[name for name, _ in ordered])
    return table.astype({"df": "Int64"})


def _shown(table: pd.DataFrame) -> pd.DataFrame:
    """The table, rounded; nothing where there is no test."""
    digits = {"aic": "{:.2f}", "bic": "{:.2f}", "loglik": "{:.3f}", "deviance": "{:.3f}"}
    digits |= {"chisq": "{:.3f}", "df": "{}", "p_value": "{:.4g}"}
    digits |= {"p_bootstrap": "{:.4g}"} if "p_bootstrap" in table else {}
    out = table.astype(object)
    for name, form in digits.items():
        out[name] = ["" if pd.isna(value) else form.format(value) for value in table[name]]
    return out if table["df"].notna().any() else out[["npar", "aic", "bic", "loglik", "deviance"]]


def _listed(notes: Sequence[str]) -> list[str]:
    return ["", *notes] if notes else []
