"""The command `tandem mcp`."""

from __future__ import annotations

import click

from configs.options import config_options, index_option

__all__ = ["mcp"]


@click.command(epilog="Example: tandem mcp -i /home/me/notes.index")
@index_option
@config_options
def mcp(index_path: str, config: str | None, changes: tuple[str, ...]) -> None:
    """Let an assistant search an index, over the Model Context Protocol (MCP).

    An assistant starts this command itself and talks to it on stdin and stdout; it gets three tools: search,
    document and similar. Nothing is written, and nothing listens on the network. How to add it to an assistant:
    docs/mcp.md.
    """
    import logging
    import os
    import sys

    from configs.load import load
    from configs.settings import Settings
    from retriever.search_index import open_index
    from webui.live_index import Live
    from webui.mcp_server import Server
    from webui.mcp_tools import MOST, tools
    from webui.search_request import Limits

    # what a library prints must not end up among the messages
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    logging.basicConfig(stream=sys.stderr, format="%(asctime)s %(levelname)s %(message)s")
    settings = load(Settings, config, changes)
    retriever = open_index(index_path, settings=settings).retriever
    live = Live(retriever, lambda: None)
    live.warm()
    limits = Limits(mode=settings.search.mode, max_k=MOST, max_query=settings.search.max_query)
    facts = live.facts()
    held = ", ".join(
        f"{language.name} ({language.documents:,})" for language in facts.languages[:12]
    )
    instructions = (
        f"A collection of {facts.documents:,} documents in {held or 'no known language'}. Search it in any "
        "language; quote the ids of the documents that an answer rests on."
    )
    if facts.fields:
        named = ", ".join(f"{field.name} ({field.kind})" for field in facts.fields[:20])
        instructions += f" Fields to filter by with where: {named}."
    Server(live, limits, tools(), instructions).serve(sys.stdin.buffer, answers)
