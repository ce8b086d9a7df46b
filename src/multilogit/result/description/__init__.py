"""How a fit is described: named estimates, tidy tables, the summary, odds ratios and R²."""
