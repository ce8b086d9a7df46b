"""Every estimator's name, title and maker. Makers are imported lazily where extras are needed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from multilogit.prior import (
    CovarianceRelativeEntropy,
    Jeffreys,
    Normal,
    Prior,
    RelativeEntropy,
    ShannonEntropy,
    SoftPenalty,
)
from multilogit.study.designs import StudyError
from multilogit.study.estimators.base import Estimator, Settings
from multilogit.study.estimators.fitted import FittedEstimator
from multilogit.study.estimators.nuts import NutsEstimator, numpyro_installed
from multilogit.study.estimators.rscript import RscriptEstimator, r_package_installed

_QUADRATURE = 15
_SK_NODES = 20
_NORMAL_SCALE = 2.5
_DRAWS = 1000


@dataclass(frozen=True, slots=True)
class Entry:
    """An estimator that designs may name.

    Attributes
    ----------
    title
        For tables.
    make
        From the design's settings to the estimator.
    available
        Whether what it needs is installed.
    needs
        What that is.
    heavy
        Whether it takes so long that its batches should be small and come first.
    """

    title: str
    make: Callable[[Settings], Estimator]
    available: Callable[[], bool] = lambda: True
    needs: str = ""
    heavy: bool = False


def _own(
    title: str,
    prior: Callable[[Settings], Prior] | None = None,
    nodes: int = 1,
    draws: int = 0,
) -> Entry:
    return Entry(title, lambda settings: FittedEstimator(settings, prior, nodes, draws))


def _from_r(title: str, package: str, nodes: int = 1, prior: str = "none") -> Entry:
    return Entry(
        title,
        lambda settings: RscriptEstimator(settings, package, nodes, prior),
        lambda: r_package_installed(package),
        f"R with the package {package}",
    )


def _covariance() -> CovarianceRelativeEntropy:
    return CovarianceRelativeEntropy()


def _fixed_reference(settings: Settings) -> RelativeEntropy:
    covariance = CovarianceRelativeEntropy(scale=settings.prior_scale)
    return RelativeEntropy(reference=0.5, covariance=covariance)


ESTIMATORS: dict[str, Entry] = {
    "ml": _own("ML, Laplace"),
    "ml-quadrature": _own(f"ML, {_QUADRATURE} nodes", nodes=_QUADRATURE),
    "ml-20": _own(f"ML, {_SK_NODES} nodes", nodes=_SK_NODES),
    "relative-entropy": _own("relative entropy, default", lambda s: RelativeEntropy()),
    "relative-entropy-quadrature": _own(
        f"relative entropy, {_QUADRATURE} nodes", lambda s: RelativeEntropy(), _QUADRATURE
    ),
    "relative-entropy-auto": _own("relative entropy, auto", lambda s: RelativeEntropy("auto")),
    "relative-entropy-cv": _own("relative entropy, cv", lambda s: RelativeEntropy("cv")),
    "relative-entropy-1": _own("relative entropy, κ = 1", lambda s: RelativeEntropy(1.0)),
    "relative-entropy-uniform": _own(
        "relative entropy, u = ½", lambda s: RelativeEntropy(reference="uniform")
    ),
    "relative-entropy-marginal": _own(
        "relative entropy, u = ȳ", lambda s: RelativeEntropy(reference="marginal")
    ),
    "relative-entropy-2.5": _own(
        "relative entropy, s = 2.5",
        lambda s: RelativeEntropy(covariance=CovarianceRelativeEntropy(scale=2.5)),
    ),
    "relative-entropy-10": _own(
        "relative entropy, s = 10",
        lambda s: RelativeEntropy(covariance=CovarianceRelativeEntropy(scale=10.0)),
    ),
    "relative-entropy-uniform-1": _own(
        "relative entropy, u = ½, κ = 1", lambda s: RelativeEntropy(1.0, reference="uniform")
    ),
    "relative-entropy-fixed": _own("relative entropy, fixed u = ½", _fixed_reference),
    "relative-entropy-fixed-quadrature": _own(
        f"relative entropy, fixed u = ½, {_QUADRATURE} nodes", _fixed_reference, _QUADRATURE
    ),
    "relative-entropy-fixed-sampled": _own(
        f"relative entropy, fixed u = ½, {_QUADRATURE} nodes, sampled posterior",
        _fixed_reference,
        _QUADRATURE,
        _DRAWS,
    ),
    "relative-entropy-sampled": _own(
        f"relative entropy, {_QUADRATURE} nodes, sampled posterior",
        lambda s: RelativeEntropy(),
        _QUADRATURE,
        _DRAWS,
    ),
    "shannon": _own("Shannon entropy", lambda s: ShannonEntropy()),
    "soft-penalty": _own("soft penalty", lambda s: SoftPenalty()),
    "soft-penalty-20": _own(f"soft penalty, {_SK_NODES} nodes", lambda s: SoftPenalty(), _SK_NODES),
    "jeffreys": _own("Jeffreys", lambda s: Jeffreys(covariance=_covariance())),
    "jeffreys-alone": _own("Jeffreys (Firth)", lambda s: Jeffreys()),
    "normal": _own(
        f"normal({_NORMAL_SCALE})", lambda s: Normal(_NORMAL_SCALE, covariance=_covariance())
    ),
    "nuts": Entry(
        "NUTS, the prior of relative-entropy",
        lambda settings: NutsEstimator(settings, "tempered"),
        numpyro_installed,
        "numpyro (pip install 'multilogit[study]')",
        heavy=True,
    ),
    "nuts-fixed": Entry(
        "NUTS, the prior of relative-entropy-fixed",
        lambda settings: NutsEstimator(settings, "uniform"),
        numpyro_installed,
        "numpyro (pip install 'multilogit[study]')",
        heavy=True,
    ),
    "lme4": _from_r("lme4::glmer", "lme4"),
    "lme4-20": _from_r(f"lme4::glmer, {_SK_NODES} nodes", "lme4", _SK_NODES),
    "blme-t": _from_r("blme::bglmer, t", "blme", prior="t"),
    "blme-normal": _from_r("blme::bglmer, normal", "blme", prior="normal"),
}


def estimator_named(name: str) -> Entry:
    """The entry of that name.

    Raises
    ------
    StudyError
        If there is none.
    """
    if name not in ESTIMATORS:
        raise StudyError(f"There is no estimator {name!r}; available: {', '.join(ESTIMATORS)}.")
    return ESTIMATORS[name]
