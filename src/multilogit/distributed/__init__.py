"""Fits on a Dask cluster: the rows stay on its workers, derivatives travel.

``workers``
    What runs on a worker: the likelihood of a part of the rows, held between evaluations.
``parts``
    The parts as the fit sees them, wherever their workers are.
"""

from typing import TYPE_CHECKING

from multilogit.lazy import modules_of

if TYPE_CHECKING:
    from multilogit.distributed import model as model

__getattr__ = modules_of("multilogit.distributed", {"model"})
