"""A picture as SVG for a page: no date, the same bytes for the same picture."""

from __future__ import annotations

import io
import re
import warnings

from matplotlib import rc_context
from matplotlib.figure import Figure

from multilogit.plot.style import with_fonts

_CLIP = re.compile(rb'(?<=["#])p[0-9a-f]{10}(?=[")])')
"""Names of clip paths, which matplotlib makes of addresses in memory."""


def as_svg(figure: Figure) -> tuple[bytes, int]:
    """The picture and its natural width, CSS pixels. Letters are shapes: no font is needed."""
    buffer = io.BytesIO()
    with_fonts(figure)
    settled = rc_context({"svg.hashsalt": "multilogit", "svg.fonttype": "path"})
    with settled, warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")  # the tables have all letters
        figure.savefig(buffer, format="svg", dpi=150, metadata={"Date": None})
    names: dict[bytes, bytes] = {}
    svg = _CLIP.sub(
        lambda found: names.setdefault(found[0], b"clip%d" % len(names)), buffer.getvalue()
    )
    return svg, round(96 * figure.get_size_inches()[0])
