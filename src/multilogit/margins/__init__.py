"""Averages of predictions and of their slopes, contrasts between them, and their covariance."""
