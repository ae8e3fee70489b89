"""docs/cli.md is the help of every command."""

from __future__ import annotations

import subprocess
import sys

import click

from docs.make_cli import ROOT, page

# Click keeps the help option of a command that was called by itself, as other tests do: ask a fresh process.
ASK = (
    "import sys; from docs.make_cli import page; from tandem import tandem; "
    "sys.stdout.buffer.write(page(tandem).encode())"
)


def test_the_page_of_commands_is_what_help_says() -> None:
    said = subprocess.run([sys.executable, "-c", ASK], cwd=ROOT, check=True, capture_output=True)
    assert (ROOT / "docs" / "cli.md").read_bytes() == said.stdout, "run `make docs`"


def test_groups_come_before_their_commands_and_help_is_that_of_the_terminal() -> None:
    @click.group(context_settings={"help_option_names": ["-h", "--help"]})
    def group() -> None:
        """All."""

    @group.command(epilog="Example: tandem one -k 3")
    @click.option("-k", type=int, help="How many.", default=2, show_default=True)
    def one(k: int) -> None:
        """One of them."""

    text = page(group)
    assert "-h, --help" in text
    assert text.index("\n## tandem\n") < text.index("\n## tandem one\n")
    assert "How many.  [default: 2]" in text
    assert "Example: tandem one -k 3\n```" in text
