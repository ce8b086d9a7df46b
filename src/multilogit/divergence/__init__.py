"""Fits without a finite maximum: how they are recognised, and what their reader is told.

``finding``
    Separation by the fixed effects alone, in terms of the user's rows and names.
``joint``
    Fixed and random effects that predict the response together, and may grow without end.
``explanation``
    Which of them is the reason.
``symptoms``
    Which fits are to be asked: every fit by maximum likelihood passes here.
"""
