"""Saved models: a fit as a JSON file, and the fit of a file."""
