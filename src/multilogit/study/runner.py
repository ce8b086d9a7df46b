"""Run a design: batches in parallel processes, each stored as soon as it is done."""

from __future__ import annotations

import multiprocessing
import os
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from pathlib import Path

from multilogit.progress import Progress, Show
from multilogit.study.designs import Design, StudyError, available, load_design
from multilogit.study.estimators import ESTIMATORS, estimator_named
from multilogit.study.replicate import compute
from multilogit.study.store import Batch, Store, batches_of

_ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
_HEAVY_SHARE = 5
"""Batches of heavy estimators are so much smaller."""
_LOOK_FOR_PARENT = 0.25
"""Seconds between two looks whether the parent process is still there."""


def run(
    design: str | Path,
    directory: str | Path,
    *,
    replicates: int | None = None,
    estimators: Sequence[str] | None = None,
    cells: Sequence[str] | None = None,
    workers: int = 1,
    progress: Show = False,
) -> Store:
    """Run what is missing of a design; a run that was killed goes on where it was.

    Parameters
    ----------
    design
        Name of a design that comes with the package, or the path of a TOML file.
    directory
        Where results are and go.
    replicates
        At most so many per cell; more may follow later.
    estimators, cells
        Only these; default: all of the design whose requirements are installed.
    workers
        Processes.
    progress
        Whether to show a bar.

    Returns
    -------
    Store
        The results.

    Raises
    ------
    StudyError
        If the design, or an option, or the directory cannot be used, or a process died.
    """
    chosen = load_design(design)
    store = Store(Path(directory))
    todo = plan(chosen, replicates, estimators, cells)
    path = available().get(str(design), Path(design))
    store.begin(chosen, path.read_text(encoding="utf-8"))
    missing = store.missing(todo)
    sizes = [batch.stop - batch.start for batch in missing]
    with Progress(chosen.name, sum(sizes), progress) as shown:
        for batch in _done(store, chosen, missing, workers):
            shown.advance(batch.stop - batch.start, batch.cell)
    store.finish()
    return store


def plan(
    design: Design,
    replicates: int | None = None,
    estimators: Sequence[str] | None = None,
    cells: Sequence[str] | None = None,
) -> list[Batch]:
    """The batches of a run, the heavy ones first.

    Raises
    ------
    StudyError
        Unknown estimators or cells; an estimator that was asked for and is not installed.
    """
    names = _chosen_estimators(design, estimators)
    unknown = set(cells or ()) - {cell.name for cell in design.cells}
    if unknown:
        known = "; ".join(cell.name for cell in design.cells)
        raise StudyError(f"There is no cell {sorted(unknown)[0]!r}; available: {known}.")
    if replicates is not None and replicates < 1:
        raise StudyError(f"replicates = {replicates}: give at least 1.")
    out = []
    for name in sorted(names, key=lambda name: not ESTIMATORS[name].heavy):
        size = max(1, design.batch // (_HEAVY_SHARE if ESTIMATORS[name].heavy else 1))
        for cell in design.cells_for(name):
            if cells is None or cell.name in cells:
                batches = batches_of(design, cell, name, size)
                out += [b for b in batches if replicates is None or b.start < replicates]
    return out


def _chosen_estimators(design: Design, asked: Sequence[str] | None) -> list[str]:
    if asked is None:
        return [name for name in design.estimators if estimator_named(name).available()]
    for name in asked:
        entry = estimator_named(name)
        if not entry.available():
            raise StudyError(f"The estimator {name!r} needs {entry.needs}, which is not there.")
    return list(asked)


def _done(store: Store, design: Design, batches: Sequence[Batch], workers: int) -> Iterator[Batch]:
    """Batches as they are done."""
    if workers <= 1:
        for batch in batches:
            _work(store, design, batch)
            yield batch
        return
    context = multiprocessing.get_context("spawn")  # JAX and threads do not survive a fork
    with (
        _single_threaded(),
        ProcessPoolExecutor(workers, context, _watch_parent, (os.getpid(),)) as pool,
    ):
        running: dict[Future[None], Batch] = {
            pool.submit(_work, store, design, batch): batch for batch in batches
        }
        try:
            while running:
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    future.result()
                    yield running.pop(future)
        except BrokenProcessPool:
            raise StudyError(
                "A process of the study died, perhaps for lack of memory. What was done is "
                "stored; run the same command again to go on, with fewer workers."
            ) from None
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _work(store: Store, design: Design, batch: Batch) -> None:
    cell = design.cell(batch.cell)
    store.write(batch, *compute(design, cell, batch.estimator, batch.start, batch.stop))


def _watch_parent(parent: int) -> None:
    """End this process when its parent is gone: a kill -9 leaves no orphans."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(_LOOK_FOR_PARENT)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


@contextmanager
def _single_threaded() -> Iterator[None]:
    """Processes that are started inside use one thread for linear algebra."""
    before = {name: os.environ.get(name) for name in _ONE_THREAD}
    os.environ.update(dict.fromkeys(_ONE_THREAD, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
