"""How the parameters of a model are called, from the names in its frame."""

from __future__ import annotations

from collections.abc import Sequence

from multilogit.data.model_frame import ModelFrame
from multilogit.inference.variance import positions
from multilogit.result.parts import RandomEffects


def logit_names(frame: ModelFrame) -> tuple[str, ...]:
    """Label of each logit: its category; the empty label for a binary response."""
    response = frame.response
    return ("",) if response.family == "binomial" else response.categories[1:]


def coefficient_names(frame: ModelFrame) -> list[str]:
    """Names of β: the terms as R writes them, in multinomial models after their logit."""
    return [
        f"logit[{logit}] {term}" if logit else term
        for logit in logit_names(frame)
        for term in frame.fixed.names
    ]


def theta_names(random: Sequence[RandomEffects]) -> list[str]:
    """Names of θ as lme4 writes them: ``"g.x.y"`` is row x, column y of Λ; ``"g.x"`` row x, x."""
    names = []
    for effects in random:
        for i, j in positions(effects.blocks):
            inner = [effects.names[i]] if i == j else [effects.names[i], effects.names[j]]
            names.append(".".join([effects.group, *inner]))
    return names
