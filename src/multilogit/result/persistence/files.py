"""Files of saved models: one replaces another at once, and a stranger's is read with care."""

from __future__ import annotations

import os
import stat
from typing import Any

from multilogit.errors import ModelFileError
from multilogit.paths import as_path, writing
from multilogit.result.description.estimates import Estimates
from multilogit.result.persistence.record import fields_of, record_of
from multilogit.storage.files import replace_file
from multilogit.storage.text import read_json, write_json


def write_file(fit: Estimates, path: str | os.PathLike[str]) -> None:
    """Write the record of a fit; an existing file is replaced once the new one is complete.

    Raises
    ------
    InputError
        The file cannot be written, or what was given is no path.
    """
    target = as_path(path)
    content = write_json(record_of(fit))
    with writing(target):
        if target.exists() and not target.is_file():  # a pipe, a terminal
            target.write_bytes(content)
        else:
            replace_file(target.resolve(), content)


def read_file(path: str | os.PathLike[str]) -> dict[str, Any]:
    """The fields of the fit that a file holds.

    Raises
    ------
    ModelFileError
        What was given is no path, there is no such file, or it is no model that this version can
        read.
    """
    source = as_path(path, refused=ModelFileError)
    try:
        if not stat.S_ISREG(source.stat().st_mode):
            raise ModelFileError("It is not a file.")
        return fields_of(read_json(source.read_bytes()))
    except ModelFileError as error:
        raise ModelFileError(f"Cannot load {str(source)!r}. {error}") from None
    except RecursionError:
        raise ModelFileError(f"Cannot load {str(source)!r}. It is nested too deeply.") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise ModelFileError(f"Cannot read {str(source)!r}: {reason}.") from None
