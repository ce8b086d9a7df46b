"""``multilogit study``: simulation studies."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from multilogit.cli.app import one_message
from multilogit.study.designs import Design, available, load_design
from multilogit.study.estimators import ESTIMATORS, estimator_named
from multilogit.study.report import write_report
from multilogit.study.runner import plan, run
from multilogit.study.summary import summary_of

study = typer.Typer(
    name="study",
    add_completion=False,
    help="Simulation studies of estimators: designs, runs, reports.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
DesignName = Annotated[
    str, typer.Argument(metavar="DESIGN", help="A name from 'study list', or a TOML file.")
]


@study.command("list")
def list_designs() -> None:
    """List the designs that come with the package, and the estimators."""
    typer.echo("Designs:")
    for name in available():
        design = load_design(name)
        typer.echo(f"  {name:<16} {len(design.cells):>3} cells  {design.title}")
    typer.echo("Estimators:")
    for name, entry in ESTIMATORS.items():
        lacks = "" if entry.available() else f"  (needs {entry.needs})"
        typer.echo(f"  {name:<34} {entry.title}{lacks}")


@study.command()
def describe(design: DesignName) -> None:
    """Say what a design is for: aims, data, estimands, methods."""
    with one_message():
        typer.echo(_described(load_design(design)))


@study.command("run")
def run_design(
    design: DesignName,
    output: Annotated[Path, typer.Option(help="Directory of the results.")],
    replicates: Annotated[int | None, typer.Option(help="At most so many per cell.")] = None,
    estimator: Annotated[
        list[str] | None, typer.Option(help="Only this one; may be repeated.")
    ] = None,
    cell: Annotated[list[str] | None, typer.Option(help="Only this one; may be repeated.")] = None,
    workers: Annotated[int, typer.Option(help="Processes.")] = 1,
) -> None:
    """Simulate and fit. A run that was interrupted or killed goes on with the same command."""
    with one_message():
        store = run(
            design,
            output,
            replicates=replicates,
            estimators=estimator,
            cells=cell,
            workers=workers,
            progress=True,
        )
        fits = store.results().fits
        typer.echo(
            f"{len(fits)} fits in {output}; 'multilogit study report {output}' writes them up."
        )


@study.command()
def summarise(
    results: Annotated[Path, typer.Argument(metavar="RESULTS", help="Directory of the results.")],
    output: Annotated[Path, typer.Option(help="Parquet file.")] = Path("study.parquet"),
) -> None:
    """Keep all measures in one small file that 'report' reads."""
    with one_message():
        typer.echo(f"Summary: {summary_of(results).save(output)}")


@study.command()
def report(
    results: Annotated[
        Path,
        typer.Argument(metavar="RESULTS", help="Directory of results, or a file of 'summarise'."),
    ],
    output: Annotated[Path, typer.Option(help="Markdown file; figures go beside it.")] = Path(
        "study.md"
    ),
) -> None:
    """Write the page: measures, figures, claims judged one by one."""
    with one_message():
        typer.echo(f"Report: {write_report(results, output)}")


def _described(design: Design) -> str:
    lines = [design.title, ""]
    lines += [f"{key.capitalize()}: {text}" for key, text in design.ademp.items()]
    lines += ["", f"{len(design.cells)} cells:"]
    lines += [f"  {cell.name}" for cell in design.cells]
    lines += ["", "Estimators, with replicates per cell:"]
    for name in design.estimators:
        entry = estimator_named(name)
        lacks = "" if entry.available() else f"  (needs {entry.needs})"
        lines.append(f"  {entry.title:<40} {design.replicates_for(name):>6}{lacks}")
    lines += ["", f"{len(plan(design))} batches."]
    return "\n".join(lines)
