"""Goodness-of-fit tests of a single-level fit."""

from __future__ import annotations

import numpy as np
import pandas as pd

from multilogit.assess import goodness
from multilogit.checks import check_whole
from multilogit.data.populations import collapse
from multilogit.errors import OptionError
from multilogit.predict import probabilities
from multilogit.result.arrays.assessment_model import assessment_model
from multilogit.result.assessment.findings import GoodnessOfFit
from multilogit.result.fields.measures import Measures


def goodness_of_fit(fit: Measures, bins: int) -> GoodnessOfFit:
    """Tests as :meth:`multilogit.Fit.goodness_of_fit` describes them."""
    check_whole("bins", bins, 2)
    if fit.random:
        raise OptionError(
            "These tests are for models without random effects: with them their distributions are "
            "not known. Use residual_tests()."
        )
    frame = fit._frame_for("goodness_of_fit()")
    model = assessment_model(fit, "goodness_of_fit()")
    pi = probabilities(model.fixed)
    patterns, members = collapse(frame)
    first = np.zeros(patterns.response.trials.size, dtype=np.int64)
    first[members[::-1]] = np.arange(members.size)[::-1]
    found = list(goodness.saturated_tests(patterns.response, pi[first], int((~fit.boundary).sum())))
    binned, table = goodness.hosmer_lemeshow(model.response, pi, bins)
    found.append(binned)
    if fit.labels.family == "binomial" and np.isfinite(fit.solution.psi).all():
        X = frame.fixed.matrix()
        found.append(goodness.osius_rojek(patterns.response, pi[first, 1], X[first]))
        found.append(goodness.stukel(model.response, model.fixed[:, 0], X))
    rows = [(test.test, test.statistic, test.df, test.p_value) for test in found]
    columns = ["test", "statistic", "df", "p_value"]
    return GoodnessOfFit(table=pd.DataFrame(rows, columns=columns), bins=table)
