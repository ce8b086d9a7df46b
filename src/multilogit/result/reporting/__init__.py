"""The report of a fit as one HTML page: what it says, section by section.

``write`` puts the page together; ``model`` says what was fitted on what, ``verdict`` whether to
trust it, ``estimates`` what was found, ``checks`` how it agrees with the data, ``search`` how it
was found and how to do it again.
"""

from multilogit.result.reporting.write import write_report as write_report
