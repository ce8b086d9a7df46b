"""What the methods of inference are made of, imported when one is first called."""

from __future__ import annotations

from typing import TYPE_CHECKING

from multilogit.lazy import modules_of

if TYPE_CHECKING:
    from multilogit.result.inference import bootstrap as bootstrap
    from multilogit.result.inference import parameters as parameters
    from multilogit.result.inference import posterior as posterior
    from multilogit.result.inference import profile as profile
    from multilogit.result.inference import robust_covariance as robust_covariance
    from multilogit.result.inference import wald_tests as wald_tests

__getattr__ = modules_of(
    "multilogit.result",
    {
        "inference.bootstrap",
        "inference.parameters",
        "inference.posterior",
        "inference.profile",
        "inference.robust_covariance",
        "inference.wald_tests",
    },
)
