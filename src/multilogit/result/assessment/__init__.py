"""Whether a fit agrees with data: simulation, residuals, influence, discrimination, calibration."""
