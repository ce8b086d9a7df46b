"""The parts of a fit on the workers of a Dask cluster."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from multilogit.distributed.workers import Missing, Packed, State, call, hold
from multilogit.errors import WorkersLostError

if TYPE_CHECKING:
    from distributed import Client

_MOMENT = 1.0
"""Seconds after which it is asked whether workers are still there."""
_MOST_ROUNDS = 20
"""Times that a question is asked again, where workers were lost, before the fit gives up."""


class DaskParts:
    """Likelihoods on the workers of a Dask cluster: :class:`~multilogit.likelihood.summed.Parts`.

    A question goes as a small task to the worker that holds the part. What comes back from an
    evaluation is one value, one gradient and one triangle per part. Dask builds parts again that
    were lost with their worker, and they are asked again.

    Parameters
    ----------
    client
        Of the cluster.
    build
        Makes the likelihood of a part from its source, on a worker.
    sources
        Of each part the arguments of ``build``; a Dask future among them says what a part that was
        lost is computed from.
    """

    def __init__(
        self, client: Client, build: Callable[..., Any], sources: Sequence[Sequence[Any]]
    ) -> None:
        fit = uuid.uuid4().hex
        self._client = client
        self._names = [f"multilogit-{fit}-{k}" for k in range(len(sources))]
        self._held: list[Any] = [
            client.submit(hold, name, build, *source, key=name)
            for name, source in zip(self._names, sources, strict=True)
        ]
        self._homes: dict[int, str | None] = {}
        self._state = State()

    def __len__(self) -> int:
        return len(self._names)

    def call(self, method: str, /, *arguments: Any) -> list[Any]:
        """What ``method`` of every part returns, in the order of the parts.

        Raises
        ------
        WorkersLostError
            Workers are lost again and again.
        """
        found: dict[int, Any] = {}
        left = list(range(len(self)))
        for _ in range(_MOST_ROUNDS):
            self._find_homes(left)
            found |= self._ask(left, method, arguments)
            left = [k for k in left if isinstance(found[k], Missing)]
            if not left:
                self._state = self._state.after(method, arguments)
                return [_unpacked(found[k]) for k in range(len(self))]
            for k in left:
                del self._homes[k]
        raise WorkersLostError(
            f"Workers of the Dask cluster were lost {_MOST_ROUNDS} times during one evaluation: "
            "look at their logs; most often their memory is too small."
        )

    def _find_homes(self, parts: Sequence[int]) -> None:
        """Wait until parts are built, and learn where."""
        from distributed import wait

        unknown = [k for k in parts if k not in self._homes]
        if not unknown:
            return
        futures = [self._held[k] for k in unknown]
        wait(futures)
        for future in futures:
            if future.status == "error":
                future.result()  # raises what building has raised
        where = self._client.who_has(futures)
        for k in unknown:
            self._homes[k] = next(iter(where.get(self._names[k], ())), None)

    def _ask(self, parts: Sequence[int], method: str, arguments: tuple[Any, ...]) -> dict[int, Any]:
        """The answers; :class:`Missing` from a part whose worker was lost."""
        from distributed.scheduler import KilledWorker

        asked = [
            self._client.submit(
                call,
                self._names[k],
                self._state,
                method,
                arguments,
                workers=self._homes[k],
                allow_other_workers=True,  # where it is lost, another one answers: Missing
                pure=False,
            )
            for k in parts
        ]
        try:
            while not self._answered(parts, asked):
                pass
        except BaseException:  # interrupted
            self._client.cancel(asked)
            raise
        lost = [
            future.status == "cancelled"
            or (future.status == "error" and isinstance(future.exception(), KilledWorker))
            for future in asked
        ]
        kept = [future for future, gone in zip(asked, lost, strict=True) if not gone]
        answers = iter(self._client.gather(kept))
        return {
            k: Missing() if gone else next(answers) for k, gone in zip(parts, lost, strict=True)
        }

    def _answered(self, parts: Sequence[int], asked: Sequence[Any]) -> bool:
        """Wait a moment for the answers; give up those of workers that are gone.

        Where no worker at all was left, Dask does not move what was meant for one of them.
        """
        from distributed import wait

        with suppress(TimeoutError):
            wait(asked, timeout=_MOMENT)
            return True
        workers = self._client.nthreads()
        gone = [
            future
            for k, future in zip(parts, asked, strict=True)
            if not future.done() and self._homes[k] not in workers
        ]
        self._client.cancel(gone)
        return all(future.done() for future in asked)


def _unpacked(answer: Any) -> Any:
    return answer.evaluation() if isinstance(answer, Packed) else answer
