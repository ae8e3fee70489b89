"""Semantic search for collections in many languages: the Python API, and the command `tandem`.

    import tandem

    index = tandem.build("notes/", "notes.index")
    index.search("hospital in Prague")

Nothing heavy is imported before it is needed: a name of the API when it is first used, a command when it is
called. A command's line of help stands here, so that `tandem --help` imports none of them.
"""

from __future__ import annotations

import contextlib
import difflib
import errno
import importlib
import os
import re
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from configs.errors import (
    BackendError,
    ConfigError,
    DocumentError,
    IndexFolderError,
    MissingExtra,
    TandemError,
)
from configs.lazy import LazyGroup

if TYPE_CHECKING:
    from configs.settings import Settings
    from indexer.build import ChangeReport
    from indexer.encoders.opening import open_encoder
    from indexer.schema import Document, Encoder, Hit, Part, Passage, Where
    from indexer.text.records import Columns
    from indexer.text.sources import ReadOptions
    from retriever.hits import Hits
    from retriever.search_index import SearchIndex
    from retriever.search_index import build_index as build
    from retriever.search_index import open_index as open

__all__ = [
    "BackendError",
    "ChangeReport",
    "Columns",
    "ConfigError",
    "Document",
    "DocumentError",
    "Encoder",
    "Hit",
    "Hits",
    "IndexFolderError",
    "MissingExtra",
    "Part",
    "Passage",
    "ReadOptions",
    "SearchIndex",
    "Settings",
    "TandemError",
    "Where",
    "build",
    "main",
    "open",
    "open_encoder",
    "tandem",
]

# name of the API -> (module, its name there); imported when it is first used
API = {
    "Columns": ("indexer.text.records", "Columns"),
    "Document": ("indexer.schema", "Document"),
    "Encoder": ("indexer.schema", "Encoder"),
    "Hit": ("indexer.schema", "Hit"),
    "Hits": ("retriever.hits", "Hits"),
    "Part": ("indexer.schema", "Part"),
    "Passage": ("indexer.schema", "Passage"),
    "ReadOptions": ("indexer.text.sources", "ReadOptions"),
    "ChangeReport": ("indexer.build", "ChangeReport"),
    "SearchIndex": ("retriever.search_index", "SearchIndex"),
    "Settings": ("configs.settings", "Settings"),
    "Where": ("indexer.schema", "Where"),
    "build": ("retriever.search_index", "build_index"),
    "open": ("retriever.search_index", "open_index"),
    "open_encoder": ("indexer.encoders.opening", "open_encoder"),
}


if not TYPE_CHECKING:  # or a type checker would believe in every name

    def __getattr__(name: str) -> Any:
        if name not in API:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        module, original = API[name]
        found = getattr(importlib.import_module(module), original)
        globals()[name] = found
        return found


def __dir__() -> list[str]:
    return sorted(__all__)


# command -> (module, object, one line of help)
COMMANDS = {
    "index": ("indexer.cli", "index", "Build, change, inspect and check an index folder."),
    "search": ("retriever.cli", "search", "Search an index, in any language."),
    "serve": ("webui.cli", "serve", "Open the search page and its JSON API."),
    "token": ("webui.cli_token", "token", "Make, list and remove API tokens."),
    "eval": ("eval.cli", "evaluate", "Measure relevance, bitext mining, similarity and speed."),
    "mcp": (
        "webui.cli_mcp",
        "mcp",
        "Let assistants search an index, over the Model Context Protocol.",
    ),
    "train": ("training.cli", "train", "Train and export students."),
    "analyze": ("retriever.cli", "analyze", "Show what a text becomes: language, words, stems."),
    "doctor": ("retriever.doctor", "doctor", "Check this machine and say what to do."),
}


# What a person mends, not a programmer: a full disk, a file one may not touch, a terminal gone.
WORLD = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EMFILE, errno.EIO}


class _Tandem(LazyGroup):
    """Ends well when nobody reads on: `tandem search ... | head`."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            # what is left in the buffers must have a place to go when Python ends
            nowhere = os.open(os.devnull, os.O_WRONLY)
            for stream in (sys.stdout, sys.stderr):
                with contextlib.suppress(OSError, ValueError):  # no file, as under pytest
                    os.dup2(nowhere, stream.fileno())
            os.close(nowhere)
            return 0


@click.group(
    cls=_Tandem,
    lazy=COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Example: tandem index build notes/ -o notes.index && tandem search 'hospital' -i notes.index",
)
@click.version_option(package_name="tandem-search", message="%(prog)s %(version)s")
def tandem() -> None:
    """Tandem: search a collection in many languages, by words and by meaning."""


def nearest_command(error: click.UsageError) -> str:
    """The command that is nearest to one that there is not; empty where none is near."""
    group = error.ctx.command if error.ctx is not None else None
    found = re.search(r"No such command '(.+)'", error.message)
    if found is None or error.ctx is None or not isinstance(group, click.Group):
        return ""
    near = difflib.get_close_matches(found[1], group.list_commands(error.ctx), 1)
    return near[0] if near else ""


def _is_dashed_query(error: click.ClickException) -> bool:
    """Whether `tandem search` took a query such as -docks for options."""
    if not isinstance(error, click.NoSuchOption) or error.ctx is None:
        return False
    return error.ctx.command.name == "search" and error.option_name[:2] != "--"


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command; a TandemError ends it with one line on stderr, and exit code 2 where an option or a setting
    is wrong, 1 otherwise."""
    try:
        code = tandem.main(
            args=None if arguments is None else list(arguments),
            prog_name="tandem",
            standalone_mode=False,
            color=False if os.environ.get("NO_COLOR") else None,
        )
        if isinstance(code, int) and code:  # a command called ctx.exit(code)
            sys.exit(code)
    except TandemError as error:
        click.echo(f"Error: {error}", err=True)
        sys.exit(2 if isinstance(error, ConfigError) else 1)
    except click.ClickException as error:
        error.show()
        if isinstance(error, click.UsageError) and (near := nearest_command(error)):
            click.echo(f"Did you mean {near}?", err=True)
        if _is_dashed_query(error):
            click.echo("A query that begins with - stands last, after --", err=True)
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        click.echo("Interrupted.", err=True)
        sys.exit(130)
    except OSError as error:
        if error.errno not in WORLD:
            raise
        where = f": {error.filename}" if error.filename else ""
        click.echo(f"Error: {error.strerror}{where}", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
