"""Fits without a finite maximum: how they are recognised, and what their reader is told.

``finding``
    Separation by the fixed effects alone, in terms of the user's rows and names.
``joint``
    Fixed and random effects that predict the response together, and may grow without end.
``symptoms``
    Which fits look like it, and their diagnostics.
"""
