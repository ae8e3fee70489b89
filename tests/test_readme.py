"""The README names no command that does not exist."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click

from tandem import COMMANDS, tandem

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text("utf-8")


def test_every_command_the_readme_shows_exists_with_its_options() -> None:
    shown = re.findall(r"^    (?:\.venv/bin/)?tandem (.+)$", README, re.MULTILINE)
    assert len(shown) > 10
    for line in shown:
        words = shlex.split(
            line.rstrip(" \\")
            .partition(" # ")[0]
            .partition(" > ")[0]
            .partition(" | ")[0]
            .partition(" && ")[0]
        )
        command: click.Command = tandem
        context = click.Context(tandem)
        while words and isinstance(command, click.Group):
            found = command.get_command(context, words[0])
            assert found is not None, f"tandem {line}: no command {words[0]}"
            command, words = found, words[1:]
        known = {
            name for option in command.params for name in (*option.opts, *option.secondary_opts)
        }
        for word in words:
            if word.startswith("-") and word != "-":
                assert word.split("=")[0] in known, f"tandem {line}: no option {word}"
    assert set(COMMANDS) >= {line.split()[0] for line in shown}
