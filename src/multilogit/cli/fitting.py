"""``multilogit fit``, thin: read options, fit, print."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from multilogit.cli import later
from multilogit.cli.app import exit_code, on_terminal, one_message, working
from multilogit.cli.options import AsJson, Baseline, Formula, Missing, Offset, Trials, Weights
from multilogit.cli.priors import PriorName, PriorOptions
from multilogit.distributed.tables import on_scheduler
from multilogit.fitting import fit as fit_model


def fit(
    data: Annotated[
        Path,
        typer.Argument(
            metavar="DATA",
            help="CSV or Parquet file; also a directory of Parquet files, or 'data/*.parquet'.",
        ),
    ],
    formula: Formula,
    prior: Annotated[
        PriorName | None, typer.Option(help="Prior; without one: maximum likelihood.")
    ] = None,
    strength: Annotated[
        str | None,
        typer.Option(
            metavar="NUMBER|auto|cv",
            help="Strength of an entropy prior, in pseudo-observations, or how to choose it.",
        ),
    ] = None,
    reference: Annotated[
        str | None,
        typer.Option(
            help="Reference of the relative entropy: tempered, marginal, uniform, a probability, "
            "or shares with commas between."
        ),
    ] = None,
    prior_scale: Annotated[
        float | None, typer.Option(help="Scale of a normal, Student t or Cauchy prior.")
    ] = None,
    prior_df: Annotated[
        float | None, typer.Option(help="Degrees of freedom of a Student t prior.")
    ] = None,
    nodes: Annotated[
        str | None,
        typer.Option(metavar="K|auto", help="Quadrature nodes per random effect; 1 is Laplace."),
    ] = None,
    starts: Annotated[
        int | None, typer.Option(help="Number of starts of a multilevel model.")
    ] = None,
    infinite: Annotated[
        str | None,
        typer.Option(metavar="report|freeze", help="What to do with infinite estimates."),
    ] = None,
    weights: Weights = None,
    offset: Offset = None,
    trials: Trials = None,
    baseline: Baseline = None,
    missing: Missing = None,
    start: Annotated[
        str | None,
        typer.Option(metavar="zero|ols", help="Start values: 0, or a linear regression."),
    ] = None,
    max_iterations: Annotated[int | None, typer.Option(help="Limit of Newton iterations.")] = None,
    tolerance: Annotated[
        float | None, typer.Option(help="Newton decrement at which to stop, in standard errors.")
    ] = None,
    threads: Annotated[int | None, typer.Option(help="Number of threads.")] = None,
    checkpoint: Annotated[
        Path | None, typer.Option(help="Write every Newton iterate to this file.")
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on from the checkpoint, if it is there.")
    ] = False,
    memory: Annotated[
        str | None,
        typer.Option(
            metavar="SIZE", help="Most memory to take, such as 2GB: files are read in chunks."
        ),
    ] = None,
    scheduler: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS",
            help="Fit on the Dask cluster of this scheduler, such as tcp://10.0.0.1:8786.",
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(help="Save the model, without its data, to this JSON file."),
    ] = None,
    report: Annotated[Path | None, typer.Option(help="Write a report to this HTML file.")] = None,
    as_json: AsJson = False,
) -> None:
    """Fit a model to a file and print its summary.

    Exit code 0: converged; 1: fitted, but not to be trusted (the diagnostics say why);
    2: the input cannot be used.
    """
    options: dict[str, Any] = {
        "nodes": None if nodes is None else _count_or_word(nodes),
        "starts": starts,
        "infinite": infinite,
        "weights": weights,
        "offset": offset,
        "trials": trials,
        "baseline": baseline,
        "missing": missing,
        "start": start,
        "max_iterations": max_iterations,
        "tolerance": tolerance,
        "threads": threads,
        "checkpoint": checkpoint,
        "resume": resume or None,
        "memory": memory,
    }
    with one_message():
        chosen = PriorOptions(prior, strength, reference, prior_scale, prior_df).prior()
        given = {name: value for name, value in options.items() if value is not None}
        with on_scheduler(scheduler) as client, working("Reading the data") as iteration:
            result = fit_model(
                formula, data, prior=chosen, progress=iteration, client=client, **given
            )
        if output is not None:
            result.save(output)
        if report is not None:
            result.report(report, progress=on_terminal())
        typer.echo(later.document.to_json(result) if as_json else str(result.summary()))
    raise typer.Exit(exit_code(result))


def _count_or_word(text: str) -> int | str:
    """A whole number where the text is one, else the text."""
    try:
        return int(text)
    except ValueError:
        return text
