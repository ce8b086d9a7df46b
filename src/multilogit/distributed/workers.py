"""What runs on a worker: the likelihood of a part of the rows, held between evaluations.

A likelihood lives in the memory of the worker as long as its Dask future does. It is found by its
name, not passed to the tasks that evaluate it, so that Dask never moves it; where a worker was
lost, its future makes Dask build it again elsewhere, from the data.

A likelihood has a state: nodes of quadrature, the order of the effects, conditional modes. One
that was built again does not know it. So every call says which state it expects, and the
likelihood is brought there first; modes that it lacks are found by one evaluation.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from threading import Lock
from typing import Any
from weakref import WeakValueDictionary

import numpy as np

from multilogit.errors import Status
from multilogit.evaluation import Evaluation, Matrix, Vector
from multilogit.likelihood.mixed import Order

_OF_LAST_EVALUATION = ("modes", "mode_covariance")
"""Methods that tell of the point that was evaluated last."""


@dataclass(frozen=True, slots=True, eq=False)
class State:
    """What a likelihood has been told since it was built.

    Attributes
    ----------
    nodes, order
        Last arguments of ``set_nodes`` and ``reorder``; None: as built.
    psi
        The point evaluated last in this state; None: there was none.
    """

    nodes: int | None = None
    order: Order | None = None
    psi: Vector | None = None

    def after(self, method: str, arguments: tuple[Any, ...]) -> State:
        """The state after a call."""
        if method == "evaluate":
            return replace(self, psi=arguments[0].copy())
        if method == "set_nodes":
            return replace(self, nodes=arguments[0], psi=None)
        if method == "reorder":
            return replace(self, order=arguments[0], psi=None)
        if method == "restart":
            return replace(self, order=None, psi=None)
        return self

    def evaluated(self, psi: Vector | None) -> bool:
        """Whether ``psi``, if there is one, was the point evaluated last."""
        return psi is None or (self.psi is not None and np.array_equal(self.psi, psi))


@dataclass(frozen=True, slots=True)
class Packed:
    """An evaluation as it travels: of the Hessian its lower triangle."""

    value: float
    gradient: Vector
    triangle: Vector
    status: Status

    @classmethod
    def of(cls, evaluation: Evaluation) -> Packed:
        """The evaluation packed."""
        triangle = evaluation.hessian[np.tril_indices(evaluation.gradient.size)]
        return cls(evaluation.value, evaluation.gradient, triangle, evaluation.status)

    def evaluation(self) -> Evaluation:
        """The evaluation again."""
        size = self.gradient.size
        hessian: Matrix = np.empty((size, size))
        rows, columns = np.tril_indices(size)
        hessian[rows, columns] = self.triangle
        hessian[columns, rows] = self.triangle
        return Evaluation(self.value, self.gradient, hessian, self.status)


class Held:
    """A likelihood on a worker, and its state.

    Parameters
    ----------
    likelihood
        Of the rows of one part.
    """

    def __init__(self, likelihood: Any) -> None:
        self.likelihood = likelihood
        self._state = State()
        self._lock = Lock()  # Dask may run a task twice

    def call(self, expected: State, method: str, arguments: tuple[Any, ...]) -> Any:
        """What a method returns in the state that is expected."""
        with self._lock:
            self._follow(expected, method)
            result = self._tell(method, *arguments)
        return Packed.of(result) if isinstance(result, Evaluation) else result

    def _follow(self, expected: State, method: str) -> None:
        if expected.nodes != self._state.nodes:
            self._tell("set_nodes", expected.nodes or 1)
        if expected.order != self._state.order:
            if expected.order is None:
                self._tell("restart")
            else:
                self._tell("reorder", expected.order)
        if method in _OF_LAST_EVALUATION and not self._state.evaluated(expected.psi):
            self._tell("evaluate", expected.psi)

    def _tell(self, method: str, *arguments: Any) -> Any:
        result = getattr(self.likelihood, method)(*arguments)
        self._state = self._state.after(method, arguments)
        return result


# --- tasks -------------------------------------------------------------------------------------

_HELD: WeakValueDictionary[str, Held] = WeakValueDictionary()
"""The likelihoods of this process by name; Dask's futures keep them alive."""


@dataclass(frozen=True, slots=True)
class Missing:
    """The answer of a worker that does not hold what it was asked about."""


def n_held() -> int:
    """Likelihoods that this process holds."""
    return len(_HELD)


def hold(name: str, build: Callable[..., Any], *source: Any) -> Held:
    """Build the likelihood of a part, and hold it under a name."""
    _HELD[name] = held = Held(build(*source))
    return held


def call(name: str, expected: State, method: str, arguments: tuple[Any, ...]) -> Any:
    """What a method of the likelihood called ``name`` returns; or :class:`Missing`."""
    held = _HELD.get(name)
    return Missing() if held is None else held.call(expected, method, arguments)
