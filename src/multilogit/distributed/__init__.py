"""Fits on a Dask cluster: the rows stay on its workers, derivatives travel.

``workers``
    What runs on a worker: the likelihood of a part of the rows, held between evaluations.
``parts``
    The parts as the fit sees them, wherever their workers are.
"""
