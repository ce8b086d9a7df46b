"""Arguments and options that several commands share."""

from __future__ import annotations

from typing import Annotated

import typer

Formula = Annotated[
    str, typer.Argument(metavar="FORMULA", help="As in R: 'y ~ x + (1 + x | group)'.")
]
Weights = Annotated[str | None, typer.Option(metavar="COLUMN", help="Column of frequency weights.")]
Offset = Annotated[
    str | None, typer.Option(metavar="COLUMN", help="Column added to the predictor.")
]
Trials = Annotated[
    str | None, typer.Option(metavar="COLUMN", help="Column with the number of trials.")
]
Baseline = Annotated[str | None, typer.Option(metavar="CATEGORY", help="Reference category.")]
Missing = Annotated[
    str | None,
    typer.Option(
        metavar="drop|raise", help="Leave rows with missing values out (default), or refuse them."
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
