"""Simulation studies: designs as small files, many replicates, results that survive a kill.

The scheme is ADEMP (Morris, White & Crowther 2019, Using simulation studies to evaluate
statistical methods, Statistics in Medicine 38): aims, data-generating mechanisms, estimands,
methods, performance measures. A :class:`Design` says all five; :func:`run` simulates and fits,
:func:`summarise` computes the measures with their Monte Carlo errors, :func:`write_report` the
page. On the command line: ``multilogit study list``, ``describe``, ``run``, ``report``.
"""

from multilogit.study.designs import Cell, Design, StudyError, available, load_design
from multilogit.study.measures import summarise
from multilogit.study.report import write_report
from multilogit.study.runner import run
from multilogit.study.store import Results, Store

__all__ = [
    "Cell",
    "Design",
    "Results",
    "Store",
    "StudyError",
    "available",
    "load_design",
    "run",
    "summarise",
    "write_report",
]
