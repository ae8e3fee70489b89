"""The command `tandem serve`."""

from __future__ import annotations

from pathlib import Path

import click

from configs.options import config_options, index_option

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
@click.option("--open", "open_browser", is_flag=True, help="Open the page in the browser.")
@config_options
def serve(
    index_path: str,
    host: str | None,
    port: int | None,
    threads: int | None,
    judge: Path | None,
    allow_host: tuple[str, ...],
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
    host = settings.serve.host if host is None else host
    port = settings.serve.port if port is None else port
    threads = settings.serve.threads if threads is None else threads

    from retriever.search_index import open_index
    from webui.app import create_app
    from webui.judgments import Judgments
    from webui.server import LOOPBACK, is_loopback, listen, run
    from webui.services import services_of

    judgments = Judgments(judge).open() if judge else None
    retriever = open_index(index_path, settings=settings).retriever
    local = is_loopback(host)
    hosts = frozenset({*LOOPBACK, host, *allow_host}) if local or allow_host else ()
    app = create_app(retriever, settings.search, judgments, hosts)
    server, url = listen(app, host, port, threads)
    click.echo(f"Tandem serves {index_path} at {url} (Ctrl-C ends it)", err=True)
    if note := retriever.collection.facts.note:
        click.echo(note, err=True)
    if judge:
        click.echo(f"Grades go to {judge}", err=True)
    if not local:
        click.echo(
            f"Warning: everybody who reaches {host} can read this collection; "
            "put a proxy with a login in front, or leave --host out",
            err=True,
        )
    services_of(app).live.warm()
    if open_browser:
        import webbrowser

        webbrowser.open(url)
    run(server)
