"""The version, in the one place of the source that names it besides ``pyproject.toml``."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("multilogit")
except PackageNotFoundError:  # run from a source tree that is not installed
    __version__ = "0+unknown"
