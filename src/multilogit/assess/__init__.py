"""Assessment of a fit: simulation, residuals, influence, discrimination, calibration, variance.

Pure functions of arrays; the methods of :class:`multilogit.result.Fit` call them.
"""
