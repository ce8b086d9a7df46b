"""The import checker catches what it is there to catch."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import pytest
from scripts import load_script

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def rules() -> ModuleType:
    return load_script(ROOT / "tools" / "import_rules.py")


def violations(rules: ModuleType, directory: Path, files: dict[str, str]) -> list[str]:
    for name, text in files.items():
        path = directory / "multilogit" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return rules.check(directory)  # type: ignore[no-any-return]


def test_the_package_keeps_the_rules(rules: ModuleType) -> None:
    assert rules.check(ROOT / "src") == []


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("newton.py", "from multilogit.likelihood.fixed import X", "room comes later"),
        ("newton.py", "import multilogit.fitting", "room comes later"),
        ("newton.py", "from multilogit import fitting", "room comes later"),
        ("newton.py", "from multilogit import version", "room comes later"),
        ("likelihood/fixed.py", "from ..prior import normal", "room comes later"),
        ("likelihood/fixed.py", "from ..data.ingest import x", "room comes later"),
        ("prior/__init__.py", "from ..objective import x", "room comes later"),
        ("cli.py", "from multilogit.sklearn import X", "room comes later"),
        ("inference/wald.py", "from multilogit.result import Fit", "room comes later"),
        ("fitting.py", "def f():\n    import numpy", "deferred import of numpy"),
        ("fitting.py", "def f():\n    from multilogit.errors import X", "deferred import"),
        (
            "fitting.py",
            "class A:\n    def f(self):\n        import json",
            "deferred import of json",
        ),
        ("fitting.py", "import importlib\nimportlib.import_module('x')", "computed import"),
        ("fitting.py", "__import__('x')", "computed import"),
        ("report/text.py", "import scipy.stats", "scipy.stats must not"),
        ("report/text.py", "from scipy import stats", "scipy.stats must not"),
        ("report/text.py", "from scipy.stats import norm", "scipy.stats.norm must not"),
        ("attic.py", "", "has no room"),
    ],
)
def test_violations_are_found(
    rules: ModuleType, tmp_path: Path, name: str, text: str, message: str
) -> None:
    found = violations(rules, tmp_path, {name: text})
    assert len(found) == 1
    assert message in found[0]


def test_what_is_allowed_passes(rules: ModuleType, tmp_path: Path) -> None:
    files = {
        "__init__.py": "def __getattr__(name):\n    import multilogit.plot\n",
        "likelihood/fixed.py": "from multilogit import _core\n"
        "from multilogit.data.model_frame import ModelFrame\nfrom . import grouped\n",
        "plot.py": "import numpy\ndef f():\n    import matplotlib.pyplot\n",
        "data/ingest.py": "def f():\n    import narwhals.stable.v2 as nw\n",
        "cli.py": "from multilogit.fitting import fit\nfrom multilogit.errors import InputError\n",
        "extras.py": "import importlib\ndef require(n):\n    return importlib.import_module(n)\n",
    }
    assert violations(rules, tmp_path, files) == []
