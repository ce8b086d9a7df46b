"""Predictions of a fit, and averages of them: marginal effects, contrasts."""
