"""What the methods of a fit are made of, imported when a method is first called.

``later.accuracy`` is the module :mod:`multilogit.result.accuracy`, and so on. A fit itself needs
none of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from multilogit.lazy import modules_of

if TYPE_CHECKING:
    from multilogit.result import accuracy as accuracy
    from multilogit.result import assessment as assessment
    from multilogit.result import augmenting as augmenting
    from multilogit.result import bootstrap as bootstrap
    from multilogit.result import content as content
    from multilogit.result import explained as explained
    from multilogit.result import influence as influence
    from multilogit.result import margins as margins
    from multilogit.result import plots as plots
    from multilogit.result import posterior as posterior
    from multilogit.result import prediction as prediction
    from multilogit.result import profile as profile
    from multilogit.result import reporting as reporting
    from multilogit.result import robust as robust
    from multilogit.result import rows as rows
    from multilogit.result import saving as saving
    from multilogit.result import testing as testing
    from multilogit.result import uncertainty as uncertainty

__getattr__ = modules_of(
    "multilogit.result",
    {
        "accuracy",
        "assessment",
        "augmenting",
        "bootstrap",
        "content",
        "explained",
        "influence",
        "margins",
        "plots",
        "posterior",
        "prediction",
        "profile",
        "reporting",
        "robust",
        "rows",
        "saving",
        "testing",
        "uncertainty",
    },
)
