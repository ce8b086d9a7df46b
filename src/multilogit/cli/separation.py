"""``multilogit separation``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from multilogit.cli.app import CONVERGED, NOT_TRUSTED, one_message, working
from multilogit.cli.document import to_json
from multilogit.cli.options import AsJson, Baseline, Formula, Missing, Offset, Trials, Weights
from multilogit.separability import separation as find_separation


def separation(
    data: Annotated[Path, typer.Argument(metavar="DATA", help="CSV or Parquet file.")],
    formula: Formula,
    weights: Weights = None,
    offset: Offset = None,
    trials: Trials = None,
    baseline: Baseline = None,
    missing: Missing = None,
    as_json: AsJson = False,
) -> None:
    """Say which coefficients have no finite estimate, and why.

    Linear programs prove it. Exit code 0: the data overlap, all are finite; 1: the responses are
    separated; 2: the input cannot be used.
    """
    options: dict[str, Any] = {
        "weights": weights,
        "offset": offset,
        "trials": trials,
        "baseline": baseline,
        "missing": missing,
    }
    with one_message():
        given = {name: value for name, value in options.items() if value is not None}
        with working("Looking for separation"):
            found = find_separation(formula, data, **given)
        typer.echo(to_json(found) if as_json else found.summary())
    raise typer.Exit(NOT_TRUSTED if found.separated else CONVERGED)
