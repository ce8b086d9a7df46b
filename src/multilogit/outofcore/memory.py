"""A budget of memory, and what it is spent on."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass

from multilogit.errors import OptionError

_UNITS = {"": 1, "K": 1e3, "M": 1e6, "G": 1e9, "T": 1e12}
_BINARY = {"K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}
LIBRARIES = 250_000_000
"""Bytes that Python takes with the libraries that are needed."""
_LEAST = 2 * LIBRARIES
_CHUNK = 8_000_000
_PART = 64_000_000
"""Of data whose parts stay in memory. Blocks of more than 32 MB go back to the system at once."""


def parse_memory(memory: object) -> int:
    """A number of bytes from ``"2GB"``, ``"1.5 GiB"``, ``"800MB"`` or a number.

    Raises
    ------
    OptionError
        It is none of these, or less than 500 MB.
    """
    match = re.fullmatch(r"\s*([0-9.]+)\s*([kKMGT]?)(i?)[bB]?\s*", str(memory))
    try:
        if match is None or isinstance(memory, bool):
            raise ValueError
        number, unit, binary = float(match[1]), match[2].upper(), match[3]
        bytes_ = number * (_BINARY[unit] if binary else _UNITS[unit])
    except (KeyError, ValueError):
        raise OptionError(f"memory={memory!r}: give a size such as '2GB'.") from None
    if bytes_ < _LEAST:
        raise OptionError(f"memory={memory!r}: at least '500MB' are needed.")
    return int(bytes_)


def physical_memory() -> int | None:
    """Bytes of memory of this machine; None where the system does not say."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):
        return None


@dataclass(frozen=True, slots=True)
class Budget:
    """What a budget of memory is spent on, in bytes.

    Attributes
    ----------
    chunk
        Rows that are read at once, as numbers; making columns of them takes several times that.
    part
        Rows of one part, as the core reads them.
    waiting
        Rows that wait for the rest of their part.
    resident
        Parts that stay in memory between evaluations.
    """

    chunk: int
    part: int
    waiting: int
    resident: int

    @classmethod
    def of(cls, memory: int) -> Budget:
        """The plan for so many bytes."""
        return cls(memory // 40, memory // 20, memory // 8, memory // 4)

    @classmethod
    def unlimited(cls) -> Budget:
        """The plan where all parts stay in memory: little besides them."""
        return cls(_CHUNK, _PART, 0, 0)
