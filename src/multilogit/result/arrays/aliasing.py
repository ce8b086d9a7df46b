"""How the columns that were dropped from a fit depend on those that were kept."""

from __future__ import annotations

from multilogit.margins.estimable import Aliasing, relation
from multilogit.predict.linear import Matrix
from multilogit.result.fields.measures import Measures


def aliasing_of(fit: Measures) -> Aliasing | None:
    """The dropped columns of a fit, and what they are combinations of; None: it has full rank."""
    if not fit.aliased:
        return None
    return Aliasing(fit.labels.columns, fit.aliased, _relation(fit))


def _relation(fit: Measures) -> Matrix | None:
    """From the data, or the file that the model was read from; None where neither has it."""
    if not fit.has_data or fit.frame.variables is None:
        return fit.relation
    made = fit.design.columns(fit.frame.variables, random=False, groups=False).fixed
    columns = dict(zip(made.names, made.columns, strict=True))
    kept = [columns[name] for name in fit.labels.columns]
    return relation(kept, [columns[name] for name in fit.aliased])
