"""Models whose rows are elsewhere: in scratch files, or on the workers of a cluster."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from multilogit.data.model_frame import ModelFrame
from multilogit.divergence.symptoms import shows_symptoms
from multilogit.errors import Diagnostic
from multilogit.estimate import Estimate, Options, arranged
from multilogit.estimate.effects import factor_effects, logit_prefixes
from multilogit.estimate.mixed import mixed_maximum
from multilogit.estimate.priors import bind_elsewhere
from multilogit.estimate.rank import split_dependent
from multilogit.estimate.single import constant_loglik, single_maximum
from multilogit.evaluation import Evaluation, Vector
from multilogit.formula import Design
from multilogit.formula.frame import group_diagnostics, rare_categories
from multilogit.likelihood.fixed import SingleLevel
from multilogit.likelihood.summed import MixedShape, SummedMixed, pooled_scale
from multilogit.newton import maximise
from multilogit.outofcore.rows import Packing
from multilogit.outofcore.separated import Direction, recession_direction
from multilogit.outofcore.totals import Totals
from multilogit.prior import Prior, RowsElsewhere, SumPrior
from multilogit.result.fields.training import Labels, TrainingRecord


@dataclass(frozen=True)
class Streamed:
    """A model whose rows are in scratch files, or on workers.

    Attributes
    ----------
    frame
        Names, levels and categories of the model, and a few of its rows.
    design
        Rebuilds the columns for new data.
    aliased
        Columns that were dropped because they depend on earlier ones.
    totals
        Sums over all rows.
    mixed
        The likelihood with random effects; None for single-level models.
    single
        The likelihood without them.
    elsewhere
        What priors may know of the rows.
    """

    frame: ModelFrame
    design: Design
    aliased: tuple[str, ...]
    totals: Totals
    mixed: SummedMixed | None
    single: SingleLevel
    elsewhere: RowsElsewhere

    def digest(self) -> str:
        """Digest of the response."""
        return self.totals.digest(self.frame.response.categories)

    def fingerprint(self) -> str:
        """SHA-256 of all that a search depends on."""
        response, fixed = self.frame.response, self.frame.fixed
        blocks = [(block.group, block.names, block.correlated) for block in self.frame.random]
        return self.totals.model.text((response.categories, fixed.names, blocks))

    def estimate(self, options: Options) -> Estimate:
        """The maximum of Q = ℓ + log π."""
        prior = bind_elsewhere(options.prior, self.frame, self.mixed, options, self.elsewhere)
        if self.mixed is None:
            return single_maximum(self.single, prior, options)
        return mixed_maximum(self.mixed, self.single, prior, options, self.totals.n_rows)

    def training(self) -> TrainingRecord:
        """What the fit knows of its data; the log-likelihood of the null model is computed."""
        return TrainingRecord(
            labels=Labels.of(self.frame),
            n_rows=self.totals.n_rows,
            n_obs=self.totals.n_obs,
            n_trials=self.totals.trials,
            log_coefficient=self.totals.log_coefficient,
            null_loglik=self._null_loglik(),
            saturated_loglik=self.totals.saturated_loglik,
            digest=self.digest(),
        )

    def _null_loglik(self) -> float:
        names = self.frame.fixed.names
        intercepts = np.flatnonzero(np.array(names) == "(Intercept)")
        if self.frame.offset is None and intercepts.size:
            return constant_loglik(self.totals.as_response(self.frame.response))
        places = [c * len(names) + k for c in range(self.single.n_logits) for k in intercepts]
        null = _Restricted(self.single, np.array(places, dtype=np.intp))
        if not places:
            return null.evaluate(np.zeros(0)).value
        return maximise(null, np.zeros(len(places))).evaluation.value


@dataclass(frozen=True, slots=True)
class _Restricted:
    """A single-level likelihood with all coefficients 0 but some."""

    whole: SingleLevel
    free: NDArray[np.intp]

    def evaluate(self, psi: Vector, /) -> Evaluation:
        """ℓ and its derivatives in the free coefficients."""
        beta = np.zeros(self.whole.n_parameters)
        beta[self.free] = psi
        there = self.whole.evaluate(beta)
        hessian = there.hessian[np.ix_(self.free, self.free)]
        return Evaluation(there.value, there.gradient[self.free], hessian, there.status)


def like_the_model(frame: ModelFrame, model: ModelFrame) -> ModelFrame:
    """A frame with the columns, bar terms and factors of the model, in its order."""
    keep = [frame.fixed.names.index(name) for name in model.fixed.names]
    random = []
    for wanted in model.random:
        block = next(
            b
            for b in frame.random
            if b.group == wanted.group
            and set(wanted.names) <= set(b.names)
            and b.correlated == wanted.correlated
        )
        random.append(block.keep([block.names.index(name) for name in wanted.names]))
    used = {block.group for block in random}
    left = {name: g for name, g in frame.groupings.items() if name in used}
    return replace(frame, fixed=frame.fixed.keep(keep), random=tuple(random), groupings=left)


def identified(
    shown: ModelFrame, totals: Totals, packing: Packing
) -> tuple[ModelFrame, tuple[str, ...]]:
    """The model without columns that depend on others, and the names of those of X.

    R holds all inner products of columns: its columns stand for those of the data.
    """
    R = totals.R
    assert R is not None
    stand_in = [np.ascontiguousarray(column) for column in R.T]
    x = tuple(stand_in[k] for k in packing.fixed)
    random = tuple(
        replace(block, columns=tuple(stand_in[k] for k in places))
        for block, places in zip(shown.random, packing.random, strict=True)
    )
    keep, dropped = split_dependent(x) if x else ([], [])
    found = arranged(replace(shown, random=random))
    by_term = {
        (b.group, b.correlated, name): column
        for b in shown.random
        for name, column in zip(b.names, b.columns, strict=True)
    }
    blocks = tuple(
        replace(b, columns=tuple(by_term[b.group, b.correlated, name] for name in b.names))
        for b in found.random
    )
    aliased = tuple(shown.fixed.names[k] for k in dropped)
    return replace(found, fixed=shown.fixed.keep(keep), random=blocks), aliased


def shape_of(model: ModelFrame, totals: Totals, packing: Packing) -> MixedShape:
    """What all parts of a model with random effects have in common."""
    effects = factor_effects(model)
    return MixedShape(
        p=len(model.fixed.columns) * model.response.counts.shape[1],
        blocks=tuple(size for one in effects for size in one.blocks),
        effects=tuple(one.q for one in effects),
        levels=tuple(one.n_levels for one in effects),
        z_scale=_scales(model, totals, packing),
    )


def _scales(model: ModelFrame, totals: Totals, packing: Packing) -> Vector:
    """Root mean square of the column of each random effect, in the order of the effects."""
    R = totals.R
    assert R is not None
    squares = (R**2).sum(axis=0)
    n_logits = model.response.counts.shape[1]
    found: list[float] = []
    for name in dict.fromkeys(block.group for block in model.random):
        for block, places in zip(model.random, packing.random, strict=True):
            if block.group == name:
                found += squares[list(places)].tolist() * n_logits
    return pooled_scale(np.array(found), totals.n_rows)


def evaluates_rows(prior: object) -> bool:
    """Whether a prior is evaluated with the likelihood without random effects."""
    if isinstance(prior, SumPrior):
        return any(map(evaluates_rows, prior.parts))
    return isinstance(prior, Prior) and type(prior).__name__ == "RelativeEntropy"


def assembled(
    model: ModelFrame,
    design: Design,
    aliased: tuple[str, ...],
    totals: Totals,
    packing: Packing,
    mixed: SummedMixed | None,
    single: SingleLevel,
    noticed: tuple[Diagnostic, ...] = (),
) -> Streamed:
    """The model, with what is noticed of all its rows and what priors may know of them."""
    places = list(packing.fixed)
    elsewhere = RowsElsewhere(
        single,
        np.atleast_1d(totals.counts),
        totals.U_trials[places],
        totals.U_counts[places],
        totals.offset_trials,
        np.atleast_1d(totals.offset_counts),
    )
    found = rare_categories(totals.as_response(model.response), len(model.fixed.columns))
    for name, grouping in model.groupings.items():
        n_levels = len(grouping.levels)
        found += group_diagnostics(name, n_levels, totals.n_rows, totals.largest)
    frame = replace(model, diagnostics=(*model.diagnostics, *found, *noticed))
    return Streamed(frame, design, aliased, totals, mixed, single, elsewhere)


def separation_suspected(model: Streamed, estimate: Estimate) -> bool:
    """Whether a maximum likelihood fit looks as separation makes it look."""
    response = model.totals.as_response(model.frame.response)
    frame = replace(model.frame, response=response)
    return shows_symptoms(frame, model.single.at_zero.hessian, estimate)


def separation_noticed(model: Streamed) -> tuple[Diagnostic, ...]:
    """What sums tell of separation: a direction that proves it, or the symptoms alone."""
    found = recession_direction(model.single)
    if found is not None:
        return (_separated(model, found),)
    return (
        Diagnostic(
            "separation",
            "error",
            "The search ended as it does where predictors separate the responses: some estimates "
            "may be infinite. The predictors alone do not show it, and data in parts are not "
            "examined further.",
            "Use a prior, such as prior=ml.RelativeEntropy(), or look at ml.separation() of a "
            "sample.",
        ),
    )


def _separated(model: Streamed, found: Direction) -> Diagnostic:
    frame = model.frame
    names = [prefix + name for prefix in logit_prefixes(frame) for name in frame.fixed.names]
    direction = dict(zip(names, found.delta.tolist(), strict=True))
    infinite = [name for name, element in direction.items() if element]
    shown = ", ".join(map(repr, infinite[:8])) + (", ..." if len(infinite) > 8 else "")
    one = len(infinite) == 1
    return Diagnostic(
        "separation",
        "error",
        f"{found.kind.capitalize()} separation: the log-likelihood rises for ever in a direction "
        f"of {shown}; {'its' if one else 'their'} maximum likelihood "
        f"estimate{' is' if one else 's are'} infinite.",
        "Use prior=ml.RelativeEntropy() for finite estimates; ml.separation() of a sample shows "
        "rows.",
        {"kind": found.kind, "infinite": infinite, "direction": direction},
    )


def collapsed(n: int, kept: int) -> tuple[Diagnostic, ...]:
    """What is said where ``n`` rows were collapsed to ``kept`` populations."""
    if kept == n:
        return ()
    return (
        Diagnostic(
            "rows-collapsed",
            "info",
            f"{n} rows were collapsed to {kept} with their counts ({n / kept:.3g} to 1): rows of "
            "equal predictors within a group are one.",
            facts={"rows": n, "kept": kept, "ratio": n / kept},
        ),
    )
