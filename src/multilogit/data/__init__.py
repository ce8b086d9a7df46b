"""The user's data: reading tables, columns, grouping factors, populations."""

from multilogit.data.ingest import Table, read_table
from multilogit.data.populations import collapse, collapse_pays, log_coefficient

__all__ = ["Table", "collapse", "collapse_pays", "log_coefficient", "read_table"]
