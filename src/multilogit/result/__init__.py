"""The frozen result of a fit.

:class:`Fit` holds numbers and names; what follows from them is computed by pure functions of
arrays and tables in :mod:`multilogit.inference`, :mod:`multilogit.predict`,
:mod:`multilogit.assess` and :mod:`multilogit.report`, which know nothing of this package. Its
rooms put names to what these find. Each knows only those above it in this list:

``fields``
    What a fit holds, how its parameters are called, and single numbers: log-likelihoods, counts.
``arrays``
    From a fit and data to the plain arrays that predictions and assessments are computed from.
``description``
    Estimates as named tables, the summary, odds ratios, explained variance.
``prediction``
    Predictions, marginal effects, contrasts.
``assessment``, ``inference``
    Agreement with data; tests, profiles, the bootstrap, robust covariances. Neither knows the
    other.
``persistence``
    Saved models.
``pictures``, ``reporting``
    ``fit.plot``, and the report as one HTML page.

A user sees one class. :class:`Fit` is built in layers: ``fields.measures``,
``description.estimates`` and ``description.tables`` are its base; ``methods.py`` of a room has the
methods for its subject; ``methods`` joins them. Only the first layer, which has the fields, and
:class:`Fit` are dataclasses: the others would make the import slower, and add nothing. Modules
named ``later`` list what is imported when a method is first called.
"""

from multilogit.result.fields.random_effects import RandomEffects
from multilogit.result.fields.spec import Spec
from multilogit.result.fit import Fit, load

__all__ = ["Fit", "RandomEffects", "Spec", "load"]
