"""Print what building without isolation needs, one requirement per line."""

import tomllib
from pathlib import Path

pyproject = tomllib.loads((Path(__file__).parent.parent / "pyproject.toml").read_text())
print(*pyproject["build-system"]["requires"], "cmake", "ninja", sep="\n")
