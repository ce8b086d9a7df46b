"""Simulation studies: designs as small files, many replicates, results that survive a kill.

The scheme is ADEMP (Morris, White & Crowther 2019, Using simulation studies to evaluate
statistical methods, Statistics in Medicine 38): aims, data-generating mechanisms, estimands,
methods, performance measures. A :class:`Design` says all five; :func:`run` simulates and fits,
:func:`summarise` computes the measures with their Monte Carlo errors, :class:`Summary` keeps them
in one small file, :func:`write_report` writes the page. On the command line: ``multilogit study
list``, ``describe``, ``run``, ``summarise``, ``report``.
"""

from multilogit.study.designs import Cell, Design, StudyError, available, load_design
from multilogit.study.measures import summarise
from multilogit.study.report import write_report
from multilogit.study.runner import run
from multilogit.study.store import Results, Store
from multilogit.study.summary import Summary, summary_of

__all__ = [
    "Cell",
    "Design",
    "Results",
    "Store",
    "StudyError",
    "Summary",
    "available",
    "load_design",
    "run",
    "summarise",
    "summary_of",
    "write_report",
]
