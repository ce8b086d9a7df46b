"""How the model agrees with the data: calibration, discrimination, residuals."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from multilogit.errors import OptionError
from multilogit.page.document import Block, Section, Table, Text
from multilogit.result.reporting.cells import column, p_values, table, texts, typeset
from multilogit.result.reporting.reporter import Reporter, picture

_QUICK = 2000
"""Rows of crossed factors up to which influence is shown."""
_SCORES = {
    "brier": ("Brier score", "mean squared error of the probabilities; 0 is perfect"),
    "brier_skill": ("Brier skill", "share of the error that the model takes away; 1 is perfect"),
    "log_score": ("log score", "mean −log probability of what happened; 0 is perfect"),
    "auc": (
        "area under the ROC curve",
        "how often the case gets the higher probability of a random pair; ½ is chance",
    ),
    "accuracy": ("accuracy", "share of trials in the most probable category"),
}


def checks_section(report: Reporter) -> Section:
    """Calibration, scores, residuals."""
    blocks = (
        Text(f"On {report.where}. A model looks better on its own data than on others."),
        *report.attempt("calibration", lambda: _calibration(report)),
        *report.attempt("scores", lambda: [_scores(report)]),
        *report.attempt("residuals", lambda: _residuals(report)),
        *report.attempt("explained variance", lambda: [_r2(report)]),
        *report.attempt("influence", lambda: _influence(report)),
    )
    return Section("Agreement with the data", blocks)


def _calibration(report: Reporter) -> Iterator[Block]:
    figure = report.plot.calibration(interval=report.level, new=report.new, y=report.y)
    yield picture(figure, "Observed shares against predicted probabilities, in bins.")


def _scores(report: Reporter) -> Table:
    if report.new is None:
        made = report.fit.scores()
    else:
        made = report.fit.scores(report.new, report.y, new_groups="population")
    known = [name for name in _SCORES if name in made.index]
    columns = [
        [_SCORES[name][0] for name in known],
        [_SCORES[name][1] for name in known],
        [typeset(f"{float(made[name]):.3f}") for name in known],
    ]
    return table(["", "meaning", "value"], columns, 2, "Scores of the predictions")


def _residuals(report: Reporter) -> Iterator[Block]:
    tests = report.test_residuals()
    figure = report.plot._residuals(tests)
    yield picture(figure, "Quantile residuals: their distribution, and over the predictions.")
    made = tests.table
    columns = [
        texts(made["test"]),
        texts(made["of"]),
        [_four(x) for x in made["statistic"]],
        [_four(x) for x in made["expected"]],
        p_values(made["p_value"]),
    ]
    header = ["test", "of", "statistic", "expected", "p"]
    yield table(header, columns, 2, "Tests of the quantile residuals")


def _four(x: float) -> str:
    """A statistic to four digits; a dash where it is not known."""
    return "–" if np.isnan(x) else typeset(f"{x:.4g}")


def _r2(report: Reporter) -> Table:
    made = report.fit.r2()
    if isinstance(made, pd.Series):
        names = [str(name).replace("_", " ") for name in made.index]
        return table(["R²", "value"], [names, column(made, 3)], caption="Explained variance")
    columns = [texts(made.index), *(column(made[name], 3) for name in made)]
    header = ["log odds of", *(str(name).replace("_", " ") for name in made)]
    return table(header, columns, caption="Explained variance, R²")


def _influence(report: Reporter) -> Iterator[Block]:
    """The groups, or rows, whose absence would move the estimates most."""
    groups = list(report.fit.n_groups)
    if len(groups) > 1 and report.fit.n_obs > _QUICK:
        raise OptionError("it takes long where grouping factors cross; see fit.influence().")
    made = report.fit.influence(groups[0] if groups else None)
    known = made.dfbetas.abs().fillna(-1.0)
    place = np.argsort(-made.table["cooks_distance"].to_numpy(), kind="stable")[:5]
    most = made.table.iloc[place]
    shift = known.iloc[place]
    columns = [
        texts(most["level"]),
        [str(name) for name in shift.idxmax(axis=1)],
        column(most["rows"]),
        column(most["cooks_distance"], 3),
        column(shift.max(axis=1).where(lambda s: s >= 0.0), 3),
    ]
    header = [made.of, "moves most", "rows", "Cook's distance", "std. errors moved"]
    named = "rows" if made.of == "row" else f"levels of {made.of}"
    caption = f"The {len(most)} most influential {named}, left out one at a time"
    yield table(header, columns, 2, caption)
