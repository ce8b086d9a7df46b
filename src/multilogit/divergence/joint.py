"""Fixed and random effects that together predict the response: they may grow without end."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from multilogit.data.model_frame import ModelFrame
from multilogit.errors import Diagnostic
from multilogit.estimate.effects import FactorEffects, factor_effects
from multilogit.estimate.joint_cone import jointly_separated
from multilogit.evaluation import Vector

_FEW_CATEGORIES = 6
"""Up to so many, any set of categories that random effects tell from the others is looked for."""


def joint_diagnostics(frame: ModelFrame) -> tuple[Diagnostic, ...]:
    """A warning where fixed and random effects of one factor together predict every row."""
    groups = {block.group for block in frame.random}
    if len(groups) != 1 or not (predicted := _predicted(frame, groups)):
        return ()
    (group,) = groups
    return (
        Diagnostic(
            "joint-separation",
            "warning",
            f"Fixed and random effects of {group!r} together predict {predicted} without error: "
            "the likelihood does not vanish as fixed effects and variances grow together, and "
            "their estimates may be very large or infinite.",
            "Use a prior that keeps variances bounded, such as prior=ml.RelativeEntropy(), or a "
            "model with fewer random effects.",
            {"group": group},
        ),
    )


def _predicted(frame: ModelFrame, groups: Collection[str]) -> str | None:
    """What fixed effects and random effects of ``groups`` predict without error, in words.

    Every row, or which rows are of some categories; the empty text: nothing; None: there is too
    much to look at.
    """
    response = frame.response
    counts, trials = response.weighted()
    effects = [f for f in factor_effects(frame) if f.group in groups]
    factors = [(_on_first_logit(f), f.codes) for f in effects]
    every = jointly_separated(frame.fixed.columns, factors, counts, trials)
    if every or response.family == "binomial":
        return "every row" if every else (None if every is None else "")
    rest = trials - counts.sum(axis=1)
    columns = np.column_stack([np.where(rest > 1e-12 * trials, rest, 0.0), counts])
    for chosen in _sets(len(response.categories)):
        some = columns[:, chosen].sum(axis=1)
        told_apart = jointly_separated(frame.fixed.columns, factors, some, trials)
        if told_apart:
            named = " or ".join(repr(response.categories[k]) for k in chosen)
            return f"which rows are {named}"
        every = None if told_apart is None else every
    return None if every is None else ""


def _sets(n_categories: int) -> list[list[int]]:
    """Sets of categories to tell from the others: single ones, of a few categories all sets."""
    largest = n_categories // 2 if n_categories <= _FEW_CATEGORIES else 1
    sizes = range(1, largest + 1)
    return [list(chosen) for size in sizes for chosen in combinations(range(n_categories), size)]


@dataclass(frozen=True, slots=True)
class _Telling:
    """A grouping factor all of whose levels have one outcome only."""

    group: str
    is_response: bool

    @property
    def why(self) -> str:
        return f"each level of {self.group!r} has one outcome only, so that "

    @property
    def remedy(self) -> str:
        if self.is_response:
            return f"{self.group!r} is the response by another name: leave it out."
        return (
            f"Where the response does not vary within {self.group!r}, a model without its random "
            "effects, of one row per level, says all that there is; or use "
            "prior=ml.RelativeEntropy(), which keeps variances finite."
        )


def _telling(frame: ModelFrame, groups: Collection[str]) -> _Telling | None:
    """The factor of ``groups`` that tells the response, if there is one.

    One with as many levels as observations does, and tells nothing.
    """
    counts, trials = frame.response.weighted()
    observed = np.column_stack([trials - counts.sum(axis=1), counts]) > 1e-12 * trials[:, None]
    for group in groups:
        grouping = frame.groupings[group]
        seen = np.zeros((len(grouping.levels), observed.shape[1]), dtype=bool)
        np.logical_or.at(seen, grouping.codes, observed)
        if 2 * len(grouping.levels) <= trials.sum() and (seen.sum(axis=1) <= 1).all():
            return _Telling(group, bool((seen.sum(axis=0) <= 1).all()))
    return None


def _on_first_logit(effects: FactorEffects) -> list[Vector]:
    """The columns of Z, which are the same on every logit."""
    return [column for column, c in zip(effects.columns, effects.logits, strict=True) if c == 0]


def run_off(frame: ModelFrame, grown: dict[str, float]) -> tuple[Diagnostic, ...]:
    """An error where the factors of ``grown`` predict the response; a warning if nobody knows."""
    predicted = _predicted(frame, grown)
    if predicted == "":
        return ()
    named = ", ".join(f"{group!r} ({sd:.3g})" for group, sd in grown.items())
    large = f"The standard deviation of the random effects of {named} is very large on the logit "
    facts = {"groups": list(grown), "sd": list(grown.values())}
    if predicted is None:
        message = (
            f"{large}scale; the data are too large to find out whether fixed and random effects "
            "together predict the response, so that it is infinite."
        )
        return (Diagnostic("large-variance", "warning", message, _AGAINST_RUN_OFF, facts),)
    telling = _telling(frame, grown)
    message = (
        f"{large}scale, and {telling.why if telling else ''}fixed and random effects together "
        f"predict {predicted} without error: the likelihood does not vanish as they grow, and "
        "what is reported need not be its maximum."
    )
    remedy = telling.remedy if telling else _AGAINST_RUN_OFF
    return (Diagnostic("joint-separation", "error", message, remedy, facts),)


_AGAINST_RUN_OFF = (
    "Look whether the grouping determines the response; use prior=ml.RelativeEntropy(), which "
    "keeps variances finite; nodes='auto' (one grouping factor) shows what is due to Laplace's "
    "approximation."
)
