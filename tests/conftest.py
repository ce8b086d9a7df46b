"""What all tests share: Hypothesis profiles and the optional reference bank."""

from __future__ import annotations

import os
from pathlib import Path

import hypothesis
import pytest

hypothesis.settings.register_profile("local", deadline=None, max_examples=30)
hypothesis.settings.register_profile("ci", deadline=None, max_examples=30, derandomize=True)
hypothesis.settings.load_profile("ci" if os.environ.get("CI") else "local")

REFERENCE = Path(__file__).resolve().parents[2] / "shared" / "reference"


@pytest.fixture(scope="session")
def reference_data() -> Path:
    """Directory with the reference bank's data files; the test is skipped where it is absent."""
    if not REFERENCE.is_dir():
        pytest.skip("the reference bank is not on this machine")
    return REFERENCE / "data"
