"""A whole process from a CSV file: start, imports, reading, fit, and the printed summary.

Code is compiled beforehand, as it is by ``pip install`` and by R's installation: an editable
installation compiles on first use, and never keeps it where ``PYTHONDONTWRITEBYTECODE`` is set. So
a first process, not measured, leaves bytecode below ``build/``.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

from cases import Case
from data import csv_file
from log import Measurement

BYTECODE = Path(__file__).resolve().parent.parent / "build" / "bench-bytecode"
OF_R = (
    "suppressPackageStartupMessages(library(lme4)); arguments <- commandArgs(TRUE); "
    "data <- read.csv(arguments[1]); "
    "print(summary(glmer(as.formula(arguments[2]), family = binomial, data = data)))"
)


def command(engine: str, csv: Path, formula: str) -> list[str]:
    if engine == "multilogit":
        return [str(Path(sys.executable).with_name("multilogit")), "fit", str(csv), formula]
    return ["Rscript", "-e", OF_R, str(csv), formula]


def run_cold(engine: str, case: Case, path: Path, environment: dict[str, str]) -> Measurement:
    """CPU and wall seconds and peak memory of the process and its children."""
    words = command(engine, csv_file(path), case.formula)
    environment = {**environment, "PYTHONPYCACHEPREFIX": str(BYTECODE)}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    measured(words, environment)
    return measured(words, environment)


def measured(words: list[str], environment: dict[str, str]) -> Measurement:
    """What one process took."""
    started = time.perf_counter()
    process = subprocess.Popen(
        words, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    _, status, used = os.wait4(process.pid, 0)
    wall = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        return {"failed": f"exit code {process.returncode}"}
    peak = used.ru_maxrss / 1024
    return {"cpu": used.ru_utime + used.ru_stime, "wall": wall, "peak_mib": peak}
