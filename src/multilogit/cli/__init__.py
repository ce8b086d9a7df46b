"""The command ``multilogit``. Exit 0: converged; 1: not to be trusted; 2: bad input."""

from __future__ import annotations

import sys

from multilogit.extras import MissingExtraError, require


def main() -> None:
    """Run the command line; the commands need the extra ``cli`` (Typer)."""
    try:
        commands = require(
            "multilogit.cli.commands", needs="typer", extra="cli", purpose="The command line"
        )
    except MissingExtraError as error:
        print(error, file=sys.stderr)
        raise SystemExit(2) from None
    commands.app()
