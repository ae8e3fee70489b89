"""The Flask application: `create_app` puts routes, services and headers together.

asked      a request's fields, checked          live       the index, followed to newer commits
pages      what people see, with compare_page   api        what programs read, with openapi
problems   every failure's answer               judgments  grades given to hits
metrics    numbers for Prometheus               services   what the routes share
access     tokens and origins, with tokens      writing    documents added, with documents_api
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Collection, Sequence
from importlib import resources
from urllib.parse import urlsplit

from flask import Flask, Response, abort, g, request
from flask.json.provider import DefaultJSONProvider

from configs.settings import SearchSettings
from retriever.retriever import Retriever
from webui.access import Access, allow_origin, preflight
from webui.api import api, machine
from webui.api_page import api_page
from webui.compare_page import comparing
from webui.documents_api import documents
from webui.judgments import Judgments
from webui.live_index import Live
from webui.metrics import Metrics
from webui.pages import pages
from webui.problems import handle_problems
from webui.request_log import AccessLog, request_id
from webui.search_request import Limits
from webui.services import Services, services
from webui.writing import Writer, WriteTarget

__all__ = ["create_app"]

MAX_BODY = 1 << 20  # bytes
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; script-src 'self'; "
    "img-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    # not no-referrer: with it, a browser sends the forms of judge mode with `Origin: null`
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


def create_app(
    retriever: Retriever,
    settings: SearchSettings | None = None,
    judgments: Judgments | None = None,
    hosts: Collection[str] = (),
    refresh_interval: float = 1.0,
    *,
    access: Access | None = None,
    write_to: WriteTarget | None = None,
    origins: Collection[str] = (),
    access_log: AccessLog | None = None,
    examples: Sequence[str] = (),
) -> Flask:
    """The page and API over an open retriever.

    `judgments` (opened) turns judge mode on. `hosts` are the names the page may be asked for by; empty:
    any. `refresh_interval` is how often, in seconds, a newer commit of the index is looked for. `access`
    None: no token is needed. `write_to` lets programs write there, which needs `access`. `origins` are
    those whose pages may call the API from a browser. `examples` are queries for the first page.
    """
    assert access is not None or write_to is None, "writing needs tokens"
    settings = settings or SearchSettings()
    app = Flask(__name__)
    app.config["MAX_CONTENT_LENGTH"] = MAX_BODY
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    provider = app.json
    assert isinstance(provider, DefaultJSONProvider)
    provider.ensure_ascii = provider.sort_keys = False
    metrics = Metrics()
    live = Live(retriever, lambda: metrics.count("tandem_refresh_failures_total"), refresh_interval)
    limits = Limits(k=settings.k, mode=settings.mode, max_query=settings.max_query)
    writer = None if write_to is None else Writer(write_to, live)
    app.extensions["tandem"] = Services(live, limits, metrics, judgments, tuple(examples), writer)
    app.register_blueprint(pages)
    app.register_blueprint(comparing)
    app.register_blueprint(api)
    app.register_blueprint(machine)
    app.register_blueprint(documents)
    app.register_blueprint(api_page)
    handle_problems(app)
    _static(app)

    @app.before_request
    def begin() -> Response | None:
        g.began = time.perf_counter()
        if request.blueprint == "documents":
            most = MAX_BODY if write_to is None else write_to.settings.serve.max_body << 20
            request.max_content_length = most
        if hosts and _hostname(request.host) not in hosts:
            abort(400, _foreign_host(request.host))
        if (answer := preflight(origins)) is not None:
            return answer
        if access is not None:
            access.check()
        if request.endpoint not in ("static", "machine.healthz"):
            services().live.refresh()
        return None

    @app.after_request
    def finish(response: Response) -> Response:
        for name, value in HEADERS.items():
            response.headers.setdefault(name, value)
        if request.endpoint != "static":
            response.headers.setdefault("Cache-Control", "private, no-cache")
        response.headers["X-Request-ID"] = request_id()
        allow_origin(response, origins)
        endpoint = request.endpoint or "none"
        metrics.count("tandem_requests_total", endpoint=endpoint, status=str(response.status_code))
        seconds = time.perf_counter() - g.began
        metrics.time(endpoint, seconds)
        if access_log is not None:
            access_log.write(response, seconds)
        return response

    return app


def _static(app: Flask) -> None:
    """`static_url(name)` for the templates: it changes with the file, so that browsers may keep it."""
    app.config["SEND_FILE_MAX_AGE_DEFAULT"] = 31_536_000  # seconds
    folder = resources.files("webui") / "static"
    versions = {
        entry.name: hashlib.sha256(entry.read_bytes()).hexdigest()[:12]
        for entry in folder.iterdir()
    }

    def static_url(name: str) -> str:
        return app.url_for("static", filename=name, v=versions[name])

    app.jinja_env.globals["static_url"] = static_url


def _hostname(host: str) -> str:
    """`host` of a request without its port; empty when it is no host."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:  # a bracket that opens no IPv6 address
        return ""


def _foreign_host(host: str) -> str:
    # A site can point its own name at 127.0.0.1 and read what is served there (DNS rebinding).
    return (
        f"This page is not served under the name {host[:80]!r}; open it by the address that "
        "tandem serve printed, or allow the name with --allow-host."
    )
