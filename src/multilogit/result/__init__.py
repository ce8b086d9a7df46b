"""The frozen result of a fit.

:class:`Fit` holds numbers and names; what follows from them is computed by pure functions of
arrays and tables in :mod:`multilogit.inference`, :mod:`multilogit.predict` and
:mod:`multilogit.report`, which know nothing of this package. A user sees one class; inside, it
is built in layers, each of which knows only those below:

``parts``, ``training``, ``names``
    What a fit is made of, what it knows of its data, and how its parameters are called.
``measures``
    The fields, and every single number: log-likelihoods, criteria, counts, how it ended.
``estimates``
    What was estimated: coefficients, Λ, Σ, conditional modes.
``tables``
    What is reported of it: intervals, tidy tables, the trace.
``prediction``, ``content``, ``plots``, ``saving``
    Functions of the layers below: predictions, the content of the summary, pictures, files.
``arrays``, ``assessment``, ``findings``, ``assessed``
    The arrays of :mod:`multilogit.assess`, what it finds as tables, and the methods for it.
``fit``
    The class.
"""

from multilogit.result.fit import Fit, load
from multilogit.result.parts import RandomEffects, Spec

__all__ = ["Fit", "RandomEffects", "Spec", "load"]
