"""How things are written to JSON and read back: plain values, arrays, priors, designs.

Everything that is written has a reader beside it, and a reader believes nothing: keys, types,
sizes and ranges are checked, formulas pass the same whitelist as a user's, and nothing that a
file contains is ever executed. What a reader refuses raises
:class:`multilogit.errors.ModelFileError`, which says where in the file and why.

``node``
    Checked reading of parsed JSON.
``text``
    JSON text: strict reading, readable writing.
``arrays``, ``values``
    Numbers and arrays without loss; small plain values of any kind.
``priors``, ``designs``, ``searches``, ``checkpoints``
    Records of priors, of frozen designs, of how the maximum was found, and of fits on the way.
``files``
    Writing that leaves the old file or the new one, never half of it.
"""

from typing import TYPE_CHECKING

from multilogit.lazy import modules_of

if TYPE_CHECKING:
    from multilogit.storage import checkpoints as checkpoints

__getattr__ = modules_of("multilogit.storage", {"checkpoints"})
