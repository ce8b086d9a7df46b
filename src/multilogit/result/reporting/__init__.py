"""The report of a fit as one HTML page: what it says, section by section.

``write`` puts the page together: ``model_section`` says what was fitted on what, ``verdict``
whether to trust it, ``estimates_section`` what was found, ``checks_section`` how it agrees with the
data, ``search_section`` how it was found and how to do it again. All of them hold a ``reporter``,
and make tables of ``cells``.
"""

from multilogit.result.reporting.write import write_report as write_report
