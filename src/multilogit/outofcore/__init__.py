"""Fitting to files that are larger than memory.

The files are read twice. The first pass learns what there is to learn: levels, groups, means. The
second one makes the columns of the model, deals the rows out to parts of whole groups, and puts
every part into scratch files as the core reads it. From then on the model is a sum over parts
(:mod:`multilogit.likelihood.summed`) and is estimated like any other.
"""

from typing import TYPE_CHECKING

from multilogit.lazy import modules_of
from multilogit.outofcore.choice import chosen_files

if TYPE_CHECKING:
    from multilogit.outofcore import elsewhere as elsewhere
    from multilogit.outofcore import model as model
    from multilogit.outofcore import refusals as refusals

__getattr__ = modules_of("multilogit.outofcore", {"elsewhere", "model", "refusals"})

__all__ = ["chosen_files"]
