"""Optional extras: import one, or say which pip extra brings it."""

from __future__ import annotations

import importlib
from typing import Any

from multilogit.errors import MultilogitError


class MissingExtraError(MultilogitError, ImportError):
    """An optional package is not installed. The message names the pip extra that brings it."""


def require(module: str, *, needs: str, extra: str, purpose: str) -> Any:
    """Import a module that needs an optional package.

    Parameters
    ----------
    module
        Name of the module, of this package or of another, e.g. ``"multilogit.plot"``.
    needs
        The optional package that it needs, e.g. ``"matplotlib"``.
    extra
        Extra of this package that installs it, e.g. ``"plot"``.
    purpose
        What needs it, for the message, e.g. ``"Plots"``.

    Returns
    -------
    module

    Raises
    ------
    MissingExtraError
        If ``needs`` is not installed.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != needs:
            raise
        raise MissingExtraError(
            f"{purpose} need{'' if purpose.endswith('s') else 's'} the package {needs!r}, which "
            f"is not installed. Install it with: pip install 'multilogit[{extra}]'"
        ) from error
