"""``fit``: formula and data in, frozen :class:`~multilogit.result.Fit` out."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from multilogit import distributed, later, outofcore, storage
from multilogit.assembly import check_supported, random_effects, status_diagnostics
from multilogit.data.model_frame import ModelFrame
from multilogit.data.populations import collapse, collapse_pays
from multilogit.distributed.tables import connected, dask_frame, is_dask
from multilogit.divergence.symptoms import check_fit
from multilogit.errors import Diagnostic, FormulaError, InputError, OptionError
from multilogit.estimate import (
    Estimate,
    Options,
    arranged,
    estimate_mixed,
    estimate_single,
    fixed_likelihood,
    split_aliased,
)
from multilogit.formula import Design, build_frame
from multilogit.likelihood.fixed import FixedLikelihood
from multilogit.prior import BoundPrior, Prior, needs_strength
from multilogit.result import Fit, Spec
from multilogit.result.fields.training import Training, TrainingData, TrainingFiles
from multilogit.search_options import Progress, search_options

if TYPE_CHECKING:
    from multilogit.data.csv_file import CsvFile
    from multilogit.data.parquet import ParquetFiles
    from multilogit.evidence.strength import EvidenceCurve
    from multilogit.outofcore.elsewhere import Streamed
    from multilogit.storage.checkpoints import CheckpointFile


def fit(
    formula: str,
    data: Any,
    *,
    prior: Prior | BoundPrior | None = None,
    nodes: int | Literal["auto"] = 1,
    weights: str | NDArray[np.float64] | float | None = None,
    offset: str | NDArray[np.float64] | float | None = None,
    trials: str | NDArray[np.float64] | float | None = None,
    baseline: object = None,
    start: NDArray[np.float64] | Literal["zero", "ols"] | Fit | None = None,
    starts: int = 1,
    infinite: Literal["report", "freeze"] = "report",
    max_iterations: int = 100,
    tolerance: float = 1e-8,
    threads: int | None = None,
    progress: Progress = False,
    missing: Literal["drop", "raise"] = "drop",
    checkpoint: str | os.PathLike[str] | None = None,
    resume: bool = False,
    memory: str | float | None = None,
    client: Any = None,
) -> Fit:
    """Fit a binomial, multinomial or multilevel logistic regression by maximum likelihood.

    Parameters
    ----------
    formula
        ``"response ~ terms"`` with random effects in bars: ``(1 + x | g)`` correlated,
        ``(1 + x || g)`` uncorrelated. The response is a 0/1, boolean or categorical column,
        ``cbind(successes, failures)``, or successes with ``trials=``; more than two categories
        make the model multinomial.
    data
        pandas, polars or Arrow table, dict of arrays, or the path of a CSV or Parquet file. Also
        several Parquet files: a directory, a pattern such as ``"data/*.parquet"``, or a list.
    prior
        None: maximum likelihood. Otherwise the estimate is the mode of the posterior, or the
        maximum of the penalised likelihood, which is the same thing: a specification such as
        ``RelativeEntropy()``, a sum of several, or an object with
        ``evaluate(psi) -> Evaluation``.
    nodes
        1: Laplace approximation of the marginal likelihood. K > 1: adaptive Gauss–Hermite
        quadrature with K nodes per random effect, K^q per group, for one grouping factor or
        nested ones (q: the effects of all levels together); not for crossed factors. ``"auto"``:
        more and more nodes until log-likelihood and estimates stay; ``fit.options.nodes`` and a
        diagnostic say how many.
    weights, offset, trials
        Column name, array of shape ``(n,)``, or one number for all rows: frequency weights (2 is
        the row twice), known part of the linear predictor, number of trials.
    baseline
        Reference category of the response; default: its first level.
    start
        ``"zero"``, ``"ols"`` (linear regression), or values: the fixed effects, and for a
        multilevel model optionally theta behind them. A fit of a model with the same parameters
        stands for its estimates, such as one that was interrupted.
    starts
        Search from so many starts and report the highest maximum of a multilevel model; the
        others are named in ``fit.diagnostics``.
    infinite
        Maximum likelihood estimates at infinity (separated data): ``"report"`` ends the fit
        with a diagnostic that names them; ``"freeze"``, for single-level models, holds them,
        converges the others and reports ±inf (Czepiel, §2.1.4).
    max_iterations
        Newton iterations at most.
    tolerance
        Newton decrement at which the search stops: the distance to the maximum, in standard
        errors.
    threads
        Worker threads at most; default: all processors of this process. The result is the
        same, bit by bit, for every number.
    progress
        True prints each Newton iteration; a function is called with it.
    missing
        What to do with rows with missing values: ``"drop"`` (reported in
        ``fit.diagnostics``) or ``"raise"``.
    checkpoint
        A file to which every Newton iterate is written, for fits that take long. It stays when
        the fit has ended.
    resume
        Go on from the last iterate of ``checkpoint``, if that file is there, to the same end. It
        must be of the same formula, data and options; ``max_iterations``, ``threads`` and
        ``progress`` may change.
    memory
        ``"2GB"``: most memory that the process may take. Files are then read in chunks,
        rows go to scratch files, and the fit has no data (docs/scale.md). Default: files that
        would take more than half of the machine's memory are read so, within half of it.
    client
        Of a Dask cluster, whose workers do the work: the data are then a Dask data frame, a pandas
        data frame, or the path of files that every worker can read. A Dask data frame alone goes
        to the present client. The fit has no data (docs/scale.md).

    Returns
    -------
    Fit
        Always; whether to trust it is said by ``fit.converged`` and ``fit.diagnostics``.

    Raises
    ------
    FormulaError, DataError, OptionError
        All are :class:`multilogit.errors.InputError`: the message names the culprit and what
        to do.

    Notes
    -----
    The log-likelihood is maximised by Newton–Raphson with exact gradient and Hessian:
    Czepiel, *Maximum likelihood estimation of logistic regression models*, for single-level
    models; the Laplace approximation with its exact derivatives (docs/mathematics) otherwise.

    Examples
    --------
    >>> import multilogit as ml
    >>> data = {"y": [0, 1, 0, 1, 1, 0], "x": [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]}
    >>> ml.fit("y ~ x", data).converged
    True
    """
    began = time.perf_counter()
    if not isinstance(formula, str):
        what = f"The formula must be a text, not {type(formula).__name__}."
        raise FormulaError(f"{what} It comes first: ml.fit('y ~ x', data).")
    if isinstance(start, Fit):
        start = start.solution.psi.copy()
    options = search_options(
        prior, nodes, start, starts, infinite, max_iterations, tolerance, threads, progress
    )
    file = _checkpoint_file(checkpoint, resume, options)
    remote = client is not None or is_dask(data)
    files = None if remote else outofcore.chosen_files(data, memory)
    asked = {
        "prior": prior,
        "nodes": None if nodes == 1 else nodes,
        "weights": weights,
        "offset": offset,
        "trials": trials,
        "baseline": baseline,
        "start": start,
        "starts": None if starts == 1 else starts,
        "infinite": None if infinite == "report" else infinite,
        "missing": None if missing == "drop" else missing,
    }
    spec = Spec(formula, {name: value for name, value in asked.items() if value is not None})
    if remote:
        return _fit_on_cluster(data, client, spec, options, file, began)
    if files is not None and files.memory is not None:
        return _fit_files(files.files, spec, options, files.memory, progress is True, file, began)
    if files is not None and files.large:
        made = _fit_parts(files.files, spec, options, progress is True, file, began)
        if made is not None:
            return made
    if files is not None:
        data = files.files.whole()
    return _fit_in_memory(data, spec, options, file, began)


def _fit_in_memory(
    data: Any, spec: Spec, options: Options, file: CheckpointFile | None, began: float
) -> Fit:
    """The fit to a table."""
    compact = options.prior is None
    frame, design = build_frame(spec.formula, data, compact=compact, **_of_frame(spec))
    if file is not None:
        digest = storage.checkpoints.digest_of(frame)
        of_fit = file.of(storage.checkpoints.identity(spec.formula, options, digest))
        options = replace(options, checkpoint=of_fit)
        frame = replace(frame, diagnostics=(*frame.diagnostics, *_resumed(file)))
    return fit_frame(frame, design, spec, options, began)


def _of_frame(spec: Spec) -> dict[str, Any]:
    """The keywords that a frame is built with, as far as they were given."""
    keywords = ("weights", "offset", "trials", "baseline", "missing")
    return {name: spec.options[name] for name in keywords if name in spec.options}


def _fit_files(
    files: ParquetFiles | CsvFile,
    spec: Spec,
    options: Options,
    memory: int,
    show: bool,
    file: CheckpointFile | None,
    began: float,
) -> Fit:
    """The fit to files that are read in chunks."""
    outofcore.refusals.refuse_in_chunks(options)
    streamed = outofcore.model.stream(
        files, spec.formula, dict(spec.options), options, memory, show
    )
    return _fit_elsewhere(streamed, spec, options, file, began)


def _fit_parts(
    files: ParquetFiles | CsvFile,
    spec: Spec,
    options: Options,
    show: bool,
    file: CheckpointFile | None,
    began: float,
) -> Fit | None:
    """The fit to files that are read into the core at once; None where columns are needed.

    Columns beside the core's copy of them would more than double the memory. Where the fit is
    asked for its data, the files are read again. What is wrong with the data or the formula is
    found again, and said, by the fit to columns.
    """
    try:
        outofcore.refusals.refuse_in_chunks(options)
        streamed = outofcore.model.stream(
            files, spec.formula, dict(spec.options), options, None, show
        )
    except InputError:
        return None
    model = streamed.frame

    def read() -> ModelFrame:
        frame, _ = build_frame(spec.formula, files.whole(), **_of_frame(spec))
        return outofcore.elsewhere.like_the_model(frame, model)

    return _fit_elsewhere(streamed, spec, options, file, began, read)


def _fit_on_cluster(
    data: Any,
    client: Any,
    spec: Spec,
    options: Options,
    file: CheckpointFile | None,
    began: float,
) -> Fit:
    """The fit by the workers of a Dask cluster."""
    outofcore.refusals.refuse_in_chunks(options)
    client = connected(client)
    frame = dask_frame(data, client)
    model = distributed.model.distribute(client, frame, spec.formula, dict(spec.options), options)
    return _fit_elsewhere(model, spec, options, file, began)


def _fit_elsewhere(
    streamed: Streamed,
    spec: Spec,
    options: Options,
    file: CheckpointFile | None,
    began: float,
    read: Callable[[], ModelFrame] | None = None,
) -> Fit:
    """The fit of a model whose rows are elsewhere; ``read``: reads them again, if that is fine."""
    frame = streamed.frame
    check_supported(frame, options)
    if file is not None:
        model = storage.checkpoints.identity(spec.formula, options, streamed.fingerprint())
        options = replace(options, checkpoint=file.of(model))
        frame = replace(frame, diagnostics=(*frame.diagnostics, *_resumed(file)))
    estimate, training = streamed.estimate(options), streamed.training()
    if read is not None:
        training = TrainingFiles.again(training, read)
    if options.prior is None and outofcore.elsewhere.separation_suspected(streamed, estimate):
        if read is None:
            noticed = outofcore.elsewhere.separation_noticed(streamed)
        else:
            noticed = check_fit(training.frame, streamed.single.at_zero.hessian, estimate)
        estimate = replace(estimate, diagnostics=(*estimate.diagnostics, *noticed))
    design, aliased = streamed.design, streamed.aliased
    return assemble(frame, estimate, design, spec, options, aliased, began, training=training)


def fit_frame(frame: ModelFrame, design: Design, spec: Spec, options: Options, began: float) -> Fit:
    """Estimate the model of a frame and put the result together.

    Raises
    ------
    DataError, OptionError
        What this version cannot estimate.
    """
    check_supported(frame, options)
    if frame.fixed.levels is not None:
        return later.many_levels.fit_levels(frame, design, spec, options, began)
    frame = arranged(frame)
    compact = collapse(frame)[0] if collapse_pays(frame) else frame
    fixed = fixed_likelihood(compact, options.threads)
    keep, dropped = split_aliased(fixed, compact.fixed)
    aliased = tuple(frame.fixed.names[k] for k in dropped)
    if aliased:
        frame = replace(frame, fixed=frame.fixed.keep(keep))
        compact = replace(compact, fixed=compact.fixed.keep(keep))
        fixed = fixed_likelihood(compact, options.threads)
    curve = None
    if needs_strength(options.prior):
        resolved = later.strength.resolve_strength(compact, fixed, options)
        options, estimate, curve = resolved.options, resolved.estimate, resolved.curve
    else:
        estimate = _estimate(compact, fixed, options)
    if options.prior is None and options.infinite == "report":
        noticed = check_fit(compact, fixed.at_zero.hessian, estimate)
        estimate = replace(estimate, diagnostics=(*estimate.diagnostics, *noticed))
    return assemble(frame, estimate, design, spec, options, aliased, began, curve)


def _estimate(frame: ModelFrame, fixed: FixedLikelihood, options: Options) -> Estimate:
    """The estimate of the kind of model that the frame is, by the method asked for."""
    if frame.random:
        return estimate_mixed(frame, fixed, options)
    if options.infinite == "report":
        return estimate_single(frame, fixed, options)
    frozen = later.freeze.estimate_frozen(fixed, options)
    if frozen.recession is None or frozen.recession.kind == "overlap":
        return frozen.estimate
    noticed = later.finding.separation_diagnostic(frame, frozen.recession)
    return replace(frozen.estimate, far=frozen.far, diagnostics=(noticed,))


def assemble(
    frame: ModelFrame,
    estimate: Estimate,
    design: Design,
    spec: Spec,
    options: Options,
    aliased: tuple[str, ...],
    began: float,
    evidence: EvidenceCurve | None = None,
    training: Training | None = None,
) -> Fit:
    """The result: what estimation hands over, with the names of the model.

    ``training``: what is known of the data where ``frame`` does not hold all rows.
    """
    return Fit(
        spec=spec,
        design=design,
        training=TrainingData(frame) if training is None else training,
        solution=estimate.solution,
        likelihood=estimate.likelihood,
        boundary=estimate.boundary,
        random=random_effects(frame, estimate),
        aliased=aliased,
        diagnostics=(
            *frame.diagnostics,
            *_aliased_diagnostics(aliased),
            *estimate.diagnostics,
            *status_diagnostics(estimate, frame),
        ),
        seconds=time.perf_counter() - began,
        options=_settled(options, estimate.nodes),
        far=estimate.far,
        evidence=evidence,
    )


def _settled(options: Options, nodes: int) -> Options:
    """The options that a result remembers: so many nodes were used, and no file is kept."""
    if options.nodes == nodes and options.checkpoint is None:
        return options
    return replace(options, nodes=nodes, checkpoint=None)


def _checkpoint_file(
    path: str | os.PathLike[str] | None, resume: bool, options: Options
) -> CheckpointFile | None:
    """The file of the checkpoint that was asked for, and what an earlier fit has left in it."""
    if path is None:
        if resume:
            raise OptionError("resume=True needs checkpoint=: the file to go on from.")
        return None
    if options.infinite == "freeze":
        raise OptionError("infinite='freeze' keeps no iterates: leave out checkpoint=.")
    return storage.checkpoints.open_checkpoint(path, resume)


def _resumed(file: CheckpointFile) -> tuple[Diagnostic, ...]:
    if file.model is None:
        return ()
    done = file.n_iterations
    return (
        Diagnostic(
            "resumed",
            "info",
            f"The fit went on from the checkpoint {str(file.path)!r}, after {done} Newton "
            f"{'iteration' if done == 1 else 'iterations'}.",
            facts={"path": str(file.path), "iterations": done},
        ),
    )


def _aliased_diagnostics(aliased: tuple[str, ...]) -> tuple[Diagnostic, ...]:
    if not aliased:
        return ()
    named = ", ".join(map(repr, aliased))
    one = len(aliased) == 1
    return (
        Diagnostic(
            "aliased-columns",
            "warning",
            f"The column{'' if one else 's'} {named} depend{'s' if one else ''} on earlier columns "
            f"and {'was' if one else 'were'} dropped.",
            facts={"columns": list(aliased)},
        ),
    )
