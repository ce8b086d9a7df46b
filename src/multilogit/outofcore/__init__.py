"""Fitting to files that are larger than memory.

The files are read twice. The first pass learns what there is to learn: levels, groups, means. The
second one makes the columns of the model, deals the rows out to parts of whole groups, and puts
every part into scratch files as the core reads it. From then on the model is a sum over parts
(:mod:`multilogit.likelihood.summed`) and is estimated like any other.
"""

from multilogit.outofcore.choice import parquet_files, refuse_in_chunks
from multilogit.outofcore.elsewhere import Streamed
from multilogit.outofcore.model import stream

__all__ = ["Streamed", "parquet_files", "refuse_in_chunks", "stream"]
