"""Commands for saved models: show, predict, compare, report."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import pandas as pd
import typer

from multilogit.cli.app import exit_code, on_terminal, one_message, working
from multilogit.cli.document import (
    comparison_document,
    dumped,
    prediction_document,
    report_document,
    to_json,
)
from multilogit.cli.options import AsJson
from multilogit.cli.priors import number_or_word
from multilogit.comparison import Comparison
from multilogit.comparison import compare as compare_fits
from multilogit.errors import InputError, OptionError
from multilogit.paths import writing
from multilogit.result import Fit, load

Model = Annotated[
    Path, typer.Argument(metavar="MODEL", help="Model that 'multilogit fit --output' has written.")
]


def show(model: Model, as_json: AsJson = False) -> None:
    """Print the summary of a saved model.

    Exit code 0: it has converged; 1: it is not to be trusted; 2: the file cannot be used.
    """
    with one_message():
        fit = load(model)
        typer.echo(to_json(fit) if as_json else str(fit.summary()))
    raise typer.Exit(exit_code(fit))


def predict(
    model: Model,
    data: Annotated[
        Path, typer.Argument(metavar="DATA", help="CSV or Parquet file with the new data.")
    ],
    kind: Annotated[
        str, typer.Option(metavar="response|link|class", help="Probabilities, logits or classes.")
    ] = "response",
    level: Annotated[
        str,
        typer.Option(
            metavar="conditional|population|marginal",
            help="With the random effects of the groups, without, or averaged over groups.",
        ),
    ] = "conditional",
    se: Annotated[bool, typer.Option("--se", help="Add standard errors.")] = False,
    interval: Annotated[
        float | None,
        typer.Option(metavar="LEVEL", help="Add intervals of this level, such as 0.95."),
    ] = None,
    new_groups: Annotated[
        str,
        typer.Option(metavar="error|population", help="What to do with groups not seen before."),
    ] = "error",
    offset: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="Column added to the predictor.")
    ] = None,
    trials: Annotated[
        str | None,
        typer.Option(metavar="COLUMN|NUMBER", help="Expected counts out of so many trials."),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(help="File to write: .csv, .parquet or .json; default: CSV to stdout."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Predict new data from a saved model.

    One row per row of the data, in their order; empty where the data have a missing value.
    Exit code 0: done; 1: done, but the model had not converged; 2: the model or the data cannot
    be used.
    """
    options: dict[str, Any] = {
        "kind": kind,
        "level": level,
        "se": se,
        "interval": interval,
        "new_groups": new_groups,
        "offset": offset,
        "trials": None if trials is None else number_or_word(trials),
    }
    with one_message():
        fit = load(model)
        with working("Predicting"):
            made = fit.predict(data, **options)
        table = made.to_frame() if isinstance(made, pd.Series) else made
        document = prediction_document(fit, table, kind=kind, level=level)
        if output is not None:
            _write(table, document, output)
        elif as_json:
            typer.echo(dumped(document))
        else:
            typer.echo(_flat(table).to_csv(index=False), nl=False)
        _warn(fit)
    raise typer.Exit(exit_code(fit))


def compare(
    models: Annotated[
        list[Path],
        typer.Argument(metavar="MODEL", help="Two or more models fitted to the same data."),
    ],
    test: Annotated[
        bool, typer.Option(help="Likelihood ratio tests; without them AIC and BIC alone.")
    ] = True,
    boundary: Annotated[
        bool, typer.Option(help="Variances of 0 lie on the boundary: mixtures of chi-squared.")
    ] = True,
    as_json: AsJson = False,
) -> None:
    """Compare saved models by likelihood ratio tests, AIC and BIC.

    Exit code 0: all have converged; 1: one is not to be trusted; 2: they cannot be compared.
    """
    with one_message():
        fits = [load(model) for model in models]
        found = compare_fits(*fits, test=test, boundary=boundary)
        files = {f"fit{k}": str(model) for k, model in enumerate(models)}
        typer.echo(
            dumped(comparison_document(found, files)) if as_json else _with_files(found, files)
        )
        for model, fit in zip(models, fits, strict=True):
            _warn(fit, str(model))
    raise typer.Exit(exit_code(*fits))


def report(
    model: Model,
    output: Annotated[Path, typer.Argument(metavar="FILE", help="HTML file to write.")],
    data: Annotated[
        Path | None,
        typer.Option(help="Data to check the model on, response included; a model has none."),
    ] = None,
    title: Annotated[str | None, typer.Option(help="Heading of the page.")] = None,
    level: Annotated[float, typer.Option(help="Confidence level of all intervals.")] = 0.95,
    as_json: AsJson = False,
) -> None:
    """Write a report of a saved model: one HTML file.

    It needs no network and no script. What needs data is left out unless --data names some.
    Exit code 0: done; 1: done, but the model is not to be trusted; 2: the model or the data
    cannot be used.
    """
    with one_message():
        fit = load(model)
        fit.report(output, title=title, new=data, level=level, progress=on_terminal())
        if as_json:
            typer.echo(dumped(report_document(fit, output)))
        else:
            typer.echo(f"Report: {output.resolve()}")
        _warn(fit)
    raise typer.Exit(exit_code(fit))


def _with_files(found: Comparison, files: dict[str, str]) -> str:
    """The comparison, with the file of each model behind its formula."""
    named = {name: f"{formula}  [{files[name]}]" for name, formula in found.formulas.items()}
    return repr(replace(found, formulas=named))


def _warn(fit: Fit, name: str = "The model") -> None:
    """Say on stderr that a model is not to be trusted."""
    if not fit.converged:
        reasons = [str(noticed) for noticed in fit.diagnostics if noticed.severity == "error"]
        typer.echo(f"Warning: {name} is not to be trusted. {' '.join(reasons)}", err=True)


def _flat(table: pd.DataFrame) -> pd.DataFrame:
    """Columns with one name each: ``se[bus]``."""
    if table.columns.nlevels == 1:
        return table
    return table.set_axis([f"{what}[{category}]" for what, category in table.columns], axis=1)


def _write(table: pd.DataFrame, document: dict[str, Any], output: Path) -> None:
    """Write predictions in the format that the name of the file tells."""
    suffix = output.suffix.lower()
    if suffix not in (".csv", ".parquet", ".json"):
        raise OptionError(
            f"--output {str(output)!r}: give a name that ends in .csv, .parquet or .json."
        )
    try:
        with writing(output):
            if suffix == ".json":
                output.write_text(dumped(document) + "\n", encoding="utf-8")
            elif suffix == ".csv":
                _flat(table).to_csv(output, index=False)
            else:
                _flat(table).to_parquet(output, index=False)
    except ImportError:
        raise InputError("Parquet files need pyarrow: pip install pyarrow.") from None
