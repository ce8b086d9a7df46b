"""The summary of a fit: shows itself as text or as HTML."""

from __future__ import annotations

from dataclasses import dataclass

from multilogit.report.content import Content
from multilogit.report.html import render_html
from multilogit.report.text import render_text


@dataclass(frozen=True, slots=True)
class Summary:
    """What ``fit.summary()`` returns: ``print`` shows text, a notebook shows HTML.

    Attributes
    ----------
    content
        Everything that is shown, as plain values.
    """

    content: Content

    def __str__(self) -> str:
        """The summary as text, laid out like R's."""
        return render_text(self.content)

    def __repr__(self) -> str:
        """The text again, so that an interactive session shows it."""
        return str(self)

    def _repr_html_(self) -> str:
        """The summary as HTML, for notebooks."""
        return render_html(self.content)
