"""From a fit and data to plain arrays, which the rooms below the result compute with."""
