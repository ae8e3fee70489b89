"""Writes docs/cli.md, the help of every command: `python docs/make_cli.py` or `make docs`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import click

ROOT = Path(__file__).resolve().parent.parent
WIDTH = 110  # columns of the help texts
HEAD = """# The command line

Made by `make docs` from `--help`. Results go to standard output, messages to standard error; `--json` is for programs.
The exit code is 0, 1 (it failed, or input was set aside; the message says why) or 2 (the command was called wrongly: an option, a setting, a configuration).
Settings come from YAML files (`--config`) and from `--set KEY=VALUE`; `configs/settings.py` lists them all.
"""


def page(root: click.Group) -> str:
    """The whole of docs/cli.md."""
    return HEAD + "".join(_sections(root, "tandem", None))


def _sections(command: click.Command, name: str, parent: click.Context | None) -> Iterator[str]:
    context = click.Context(
        command,
        parent=parent,
        info_name=name,
        terminal_width=WIDTH,
        max_content_width=WIDTH,
        help_option_names=command.context_settings.get("help_option_names"),
    )
    text = "\n".join(line.rstrip() for line in command.get_help(context).splitlines())
    yield f"\n## {context.command_path}\n\n```text\n{text}\n```\n"
    if isinstance(command, click.Group):
        for below in command.list_commands(context):
            found = command.get_command(context, below)
            assert found is not None
            yield from _sections(found, below, context)


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    from tandem import tandem

    (ROOT / "docs" / "cli.md").write_text(page(tandem), "utf-8", newline="\n")
