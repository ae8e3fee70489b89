"""The command `tandem serve`."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from configs.errors import ConfigError
from configs.options import config_options, index_option

if TYPE_CHECKING:
    from configs.settings import ServeSettings
    from webui.access import Access

__all__ = ["serve"]


@click.command(
    epilog="Example: tandem serve -i notes.index --port 8080 --judge grades.tsv",
)
@index_option
@click.option(
    "--host", help="Address to listen on; 0.0.0.0 for every network.  [default: 127.0.0.1]"
)
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    help="Port to listen on; 0: any free one.  [default: 8000]",
)
@click.option(
    "--threads", type=click.IntRange(1, 256), help="Requests answered at a time.  [default: 4]"
)
@click.option(
    "--judge",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Let visitors grade hits, and keep the grades in FILE (DaReCzech TSV).  [default: off]",
)
@click.option(
    "--allow-host",
    multiple=True,
    metavar="NAME",
    help="A name the page may be asked for by, beside localhost (behind a proxy); may be repeated.",
)
@click.option(
    "--tokens",
    metavar="FILE",
    help="API tokens, made by tandem token add: every request needs one.  [default: none is needed]",
)
@click.option(
    "--writable",
    is_flag=True,
    default=None,
    help="Let programs add and delete documents, with a token made with --write.  [default: off]",
)
@click.option(
    "--open-reading",
    is_flag=True,
    default=None,
    help="With --tokens: ask for a token only where something is written.  [default: off]",
)
@click.option(
    "--access-log",
    metavar="FILE",
    help="Write a line of JSON for each request to FILE; -: to stderr.  [default: off]",
)
@click.option("--open", "open_browser", is_flag=True, help="Open the page in the browser.")
@config_options
def serve(
    index_path: str,
    host: str | None,
    port: int | None,
    threads: int | None,
    judge: Path | None,
    allow_host: tuple[str, ...],
    tokens: str | None,
    writable: bool | None,
    open_reading: bool | None,
    access_log: str | None,
    open_browser: bool,
    config: str | None,
    changes: tuple[str, ...],
) -> None:
    """Open the search page and its JSON API over an index.

    The page moves to newer commits of the index by itself. Ctrl-C ends it.
    """
    from configs.load import load
    from configs.settings import Settings

    settings = load(Settings, config, changes)
    given = {
        "host": host,
        "port": port,
        "threads": threads,
        "tokens": tokens,
        "writable": writable,
        "open_reading": open_reading,
        "access_log": access_log,
    }
    chosen: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    serving = dataclasses.replace(settings.serve, **chosen)
    settings = dataclasses.replace(settings, serve=serving)
    host = serving.host

    from retriever.search_index import open_index
    from webui.app import create_app
    from webui.judgments import Judgments
    from webui.request_log import AccessLog
    from webui.server import LOOPBACK, is_loopback, listen, run
    from webui.services import services_of
    from webui.writing import WriteTarget

    access = _access(serving)
    judgments = Judgments(judge).open() if judge else None
    retriever = open_index(index_path, settings=settings).retriever
    local = is_loopback(host)
    hosts = frozenset({*LOOPBACK, host, *allow_host}) if local or allow_host else ()
    log = (
        None
        if serving.access_log is None
        else AccessLog.open(serving.access_log, serving.log_queries)
    )
    app = create_app(
        retriever, settings.search, judgments, hosts, access=access, origins=serving.cors_origins,
        write_to=WriteTarget(index_path, settings) if serving.writable else None, access_log=log,
        examples=serving.examples,
    )  # fmt: skip
    server, url = listen(app, host, serving.port, serving.threads, serving.max_body)
    click.echo(f"Tandem serves {index_path} at {url} (Ctrl-C ends it)", err=True)
    if note := retriever.collection.facts.note:
        click.echo(note, err=True)
    if judge:
        click.echo(f"Grades go to {judge}", err=True)
    if not local:
        click.echo(f"Warning: {_exposed(host, access)}", err=True)
    if serving.writable:
        click.echo("Programs with a token for writing may add and delete documents", err=True)
    services_of(app).live.warm()
    if open_browser:
        import webbrowser

        webbrowser.open(url)
    try:
        run(server)
    finally:
        if (writer := services_of(app).writer) is not None:
            writer.close()
        if log is not None:
            log.close()


def _access(serve: ServeSettings) -> Access | None:
    """The tokens of the settings. Raises ConfigError where there are none to write with."""
    from webui.access import Access
    from webui.tokens import TokenFile, Tokens

    if serve.tokens is None:
        if serve.writable:
            raise ConfigError(
                "--writable needs --tokens FILE; make a token with: tandem token add NAME --write --file FILE"
            )
        return None
    file = TokenFile(Path(serve.tokens))
    known = file.read()
    if not known:
        raise ConfigError(
            f"{serve.tokens}: holds no token; make one with: tandem token add NAME --file {serve.tokens}"
        )
    if serve.writable and not any(token.write for token in known):
        raise ConfigError(
            f"{serve.tokens}: no token may write; make one with: "
            f"tandem token add NAME --write --file {serve.tokens}"
        )
    return Access(Tokens(file), serve.open_reading)


def _exposed(host: str, access: Access | None) -> str:
    if access is not None and not access.open_reading:
        return f"{host} is reached without encryption; put a proxy with TLS in front"
    return (
        f"everybody who reaches {host} can read this collection; "
        "put a proxy with a login in front, ask for tokens (--tokens), or leave --host out"
    )
