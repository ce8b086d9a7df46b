"""Files that are complete or not there."""

from __future__ import annotations

import os
from pathlib import Path


def replace_file(target: Path, content: bytes) -> None:
    """Write beside the target first: what was there stays until the new file is complete.

    Raises
    ------
    OSError
        The file cannot be written.
    """
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        with part.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())  # a new name must not come before what it names
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)
