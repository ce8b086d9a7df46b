"""Bounds on what a formula may ask for: a formula may come from a stranger.

A formula is never evaluated as Python. It has a grammar of its own (:mod:`.parse`), in which
nothing can be written but column names, numbers, the operators and the functions of
:mod:`.functions`; these bounds keep what remains small.
"""

MAX_LENGTH = 100_000
"""Characters of a formula."""
MAX_DEPTH = 50
"""Nesting of an expression."""
MAX_POWER = 5
"""Exponent k of ``(a + b + ...)^k`` between terms."""
MAX_TERMS = 5_000
"""Terms after expansion."""
MAX_OPTION = 100
"""``df``, ``degree``, and the number of knots, of a basis."""
MAX_COLUMNS = 20_000
"""Columns of a design matrix."""
MAX_CELLS = 2_000_000_000
"""Rows times columns of a design matrix: 16 GB."""
