"""The commands `tandem token ...`: who may use the API of a server."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import click

from configs.options import json_option

__all__ = ["token"]

file_option = click.option(
    "--file",
    "path",
    type=click.Path(path_type=Path, dir_okay=False),
    default=Path("tandem-tokens.json"),
    show_default=True,
    metavar="FILE",
    help="The file of tokens, which `tandem serve --tokens FILE` reads.",
)


@click.group()
def token() -> None:
    """Make, list and remove API tokens."""


@token.command(epilog="Example: tandem token add importer --write --limit 60/min")
@click.argument("name")
@click.option(
    "--write", is_flag=True, help="May add and delete documents, too.  [default: reads only]"
)
@click.option(
    "--limit",
    default="",
    metavar="N/s|min|h",
    help="Requests in a second, minute or hour.  [default: no limit]",
)
@file_option
def add(name: str, write: bool, limit: str, path: Path) -> None:
    """Make a token and print it, once: the file keeps only its SHA-256.

    A running server takes it at once. Programs send it as `Authorization: Bearer TOKEN`.
    """
    from webui.tokens import TokenFile, made

    secret, kept = made(name, write, limit)
    TokenFile(path).add(kept)
    click.echo(secret)
    click.echo(f"{name}: kept in {path}; the token itself is shown only now", err=True)


@token.command(name="list", epilog="Example: tandem token list --file tandem-tokens.json")
@file_option
@json_option
def list_tokens(path: Path, as_json: bool) -> None:
    """List the names, rights and limits; never a token."""
    from configs.tables import plain_table
    from webui.tokens import TokenFile

    tokens = TokenFile(path).read()
    if as_json:
        known = [dataclasses.asdict(entry) for entry in tokens]
        for entry in known:
            del entry["sha256"]
        click.echo(json.dumps(known))
        return
    rows = [
        [entry.name, "write" if entry.write else "read", entry.limit or "no limit", entry.created]
        for entry in tokens
    ]
    click.echo(plain_table(["name", "may", "limit", "made"], rows, left=4))


@token.command(epilog="Example: tandem token remove importer")
@click.argument("name")
@file_option
def remove(name: str, path: Path) -> None:
    """Remove a token: a running server refuses it from then on."""
    from webui.tokens import TokenFile

    TokenFile(path).remove(name)
    click.echo(f"{name}: removed from {path}")
