"""Bounds on what a formula may ask for: a formula may come from a stranger."""

MAX_LENGTH = 100_000
"""Characters of a formula."""
MAX_DEPTH = 50
"""Nesting of brackets."""
MAX_WORDS = 20_000
"""Names, numbers and operators in a sum of terms that has to be expanded."""
MAX_OPERATORS = 100
"""Operators within one function call; it may have ten times as many words."""
MAX_POWER = 5
"""Exponent k of ``(a + b + ...)^k`` between terms."""
MAX_EXPONENT = 100
"""Exponent of a number."""
MAX_TERMS = 5_000
"""Terms after expansion."""
MAX_OPTION = 100
"""``df``, ``degree``, and the length of a list of knots or levels."""
MAX_COLUMNS = 20_000
"""Columns of a design matrix."""
MAX_CELLS = 2_000_000_000
"""Rows times columns of a design matrix: 16 GB."""
MANY_LEVELS = 200
"""Levels from which on a factor may be kept without columns."""
MANY_CELLS = 50_000_000
"""Rows times levels from which on it is: 400 MB."""
