"""lme4::glmer and blme::bglmer, through Rscript; one R process for many data sets."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.special import ndtri

from multilogit.study.designs import StudyError
from multilogit.study.estimators.base import Estimated, Settings, failed, symmetric_intervals
from multilogit.study.generate import Dataset
from multilogit.study.truth import Layout

_WORKER = Path(__file__).parent / "worker.R"


@cache
def r_package_installed(package: str) -> bool:
    """Whether Rscript is there and can load the package."""
    rscript = shutil.which("Rscript")
    if rscript is None:
        return False
    code = f"quit(status = !requireNamespace('{package}', quietly = TRUE))"
    done = subprocess.run([rscript, "-e", code], capture_output=True, check=False)
    return done.returncode == 0


@dataclass(frozen=True, slots=True)
class RscriptEstimator:
    """A mixed model of an R package, at its defaults.

    Attributes
    ----------
    settings
        What the design asks for; only Wald intervals of β are made.
    package
        ``"lme4"`` or ``"blme"``.
    nodes
        ``nAGQ``.
    prior
        blme's prior of the fixed effects: ``"t"`` or ``"normal"``.
    """

    settings: Settings
    package: str
    nodes: int = 1
    prior: str = "none"

    def fit(self, data: Sequence[Dataset], seeds: Sequence[int]) -> list[Estimated]:
        """All data sets in one R process.

        Raises
        ------
        StudyError
            If R itself fails: an error in a single fit is a result.
        """
        with tempfile.TemporaryDirectory() as directory:
            source, target = Path(directory) / "data.csv", Path(directory) / "out.csv"
            stacked = [dataset.frame.assign(set=k) for k, dataset in enumerate(data)]
            pd.concat(stacked).to_csv(source, index=False)
            options = [data[0].formula, self.package, str(self.nodes), self.prior]
            command = ["Rscript", str(_WORKER), str(source), str(target), *options]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode != 0 or not target.is_file():
                raise StudyError(f"R failed with {self.package}: {done.stderr.strip()[-400:]}")
            lines = target.read_text(encoding="utf-8").splitlines()
        return [self._read(line, dataset.layout) for line, dataset in zip(lines, data, strict=True)]

    def _read(self, line: str, layout: Layout) -> Estimated:
        status, message, seconds, *numbers = line.split(",")
        values = np.array([np.nan if text == "NA" else float(text) for text in numbers])
        if status == "failed":
            return failed(layout, message.strip(), float(seconds))
        p = len(layout.beta)
        if values.size != layout.size + p:
            return failed(layout, "columns were dropped", float(seconds))
        estimate = values[: layout.size]
        se = np.full(layout.size, np.nan)
        se[:p] = values[layout.size :]
        z = float(ndtri(0.5 + 0.5 * self.settings.level))
        wald = symmetric_intervals(layout, estimate, se, z)
        kept = {"wald": wald} if "wald" in self.settings.intervals else {}
        good = status == "converged"
        return Estimated(status, good, float(seconds), estimate, se, kept)
