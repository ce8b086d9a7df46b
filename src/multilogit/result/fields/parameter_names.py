"""How the parameters of a model are called, from its labels."""

from __future__ import annotations

from collections.abc import Sequence

from multilogit.inference.variance import positions
from multilogit.result.fields.random_effects import RandomEffects
from multilogit.result.fields.training import Labels


def logit_names(labels: Labels) -> tuple[str, ...]:
    """Label of each logit: its category; the empty label for a binary response."""
    return ("",) if labels.family == "binomial" else labels.categories[1:]


def coefficient_names(labels: Labels) -> list[str]:
    """Names of β: the terms as R writes them, in multinomial models after their logit."""
    return [
        f"logit[{logit}] {term}" if logit else term
        for logit in logit_names(labels)
        for term in labels.columns
    ]


def effect_terms(effects: RandomEffects, labels: Labels) -> list[tuple[str, int]]:
    """Column of Z and logit (from 0) of every effect: ``"logit[c] x"`` is x in the logit of c."""
    prefixes = [f"logit[{logit}] " if logit else "" for logit in logit_names(labels)]
    found = []
    for name in effects.names:
        logit = next(c for c, prefix in enumerate(prefixes) if name.startswith(prefix))
        found.append((name.removeprefix(prefixes[logit]), logit))
    return found


def theta_names(random: Sequence[RandomEffects]) -> list[str]:
    """Names of θ as lme4 writes them: ``"g.x.y"`` is row x, column y of Λ; ``"g.x"`` row x, x."""
    names = []
    for effects in random:
        for i, j in positions(effects.blocks):
            inner = [effects.names[i]] if i == j else [effects.names[i], effects.names[j]]
            names.append(".".join([effects.group, *inner]))
    return names
