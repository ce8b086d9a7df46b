"""How strong the prior should be, and what the Gaussian at the mode does not tell.

Everything here works on plain arrays and objectives: evidence and its normalising constants,
importance samples of the posterior, scores of predictions left out.
"""

from typing import TYPE_CHECKING

from multilogit.lazy import modules_of

if TYPE_CHECKING:
    from multilogit.evidence import design as design
    from multilogit.evidence import leave_out as leave_out
    from multilogit.evidence import normaliser as normaliser
    from multilogit.evidence import strength as strength

__getattr__ = modules_of("multilogit.evidence", {"design", "leave_out", "normaliser", "strength"})
