"""The application: its commands, each imported when it is asked for."""

from __future__ import annotations

import sys
from typing import Any

import typer
from typer.core import TyperGroup

from multilogit.cli import later

_HOME = {
    "fit": "fitting",
    "show": "models",
    "predict": "models",
    "compare": "models",
    "report": "models",
    "separation": "separation",
    "demo": "demonstration",
    "study": "studies",
}
"""The module of each command, in the order of the help."""


class Commands(TyperGroup):
    """The commands: what one of them needs is not imported for another."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Their names."""
        return list(_HOME)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command of this name; for any other name all are there, to suggest one."""
        for name in [cmd_name] if cmd_name in _HOME else _HOME:
            if name not in self.commands:
                self.add_command(_command(name), name)
        return super().get_command(ctx, cmd_name)


def _command(name: str) -> Any:
    """A command, built from its function, or from an application of its own."""
    built = getattr(getattr(later, _HOME[name]), name)
    if isinstance(built, typer.Typer):
        return typer.main.get_command(built)
    alone = typer.Typer(add_completion=False, rich_markup_mode=None)
    alone.command(name)(built)
    return typer.main.get_command(alone)


app = typer.Typer(
    cls=Commands,
    name="multilogit",
    help="Multilevel and multinomial logistic regression by exact Newton-Raphson.",
    epilog="Exit code 0: done; 1: done, but the model is not to be trusted (the diagnostics say "
    "why); 2: the input cannot be used. 'multilogit COMMAND --help' describes a command.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(asked: bool) -> None:
    if asked:
        typer.echo(f"multilogit {later._version.__version__}")
        raise typer.Exit


@app.callback()
def _main(
    version: bool = typer.Option(
        False, "--version", callback=_show_version, is_eager=True, help="Print the version."
    ),
) -> None:
    """Multilevel and multinomial logistic regression by exact Newton-Raphson."""


if __name__ == "__main__":
    sys.exit(app())
