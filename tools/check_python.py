"""Say clearly, in words that every Python understands, why a Python cannot be used here."""
# ruff: noqa: UP031, UP036

import sys

if sys.version_info < (3, 11):
    sys.exit(
        "multilogit needs Python 3.11 or newer, and %s is %s. "
        "Name another one: make PYTHON=python3.12" % (sys.executable, sys.version.split()[0])
    )
try:
    import ensurepip  # noqa: F401
    import venv  # noqa: F401
except ImportError:
    sys.exit(
        "%s cannot make virtual environments (its modules venv and ensurepip are missing). "
        "On Debian and Ubuntu: apt-get install python3-venv; "
        "or name another Python: make PYTHON=python3.12" % sys.executable
    )
