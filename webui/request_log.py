"""The name of each request, and the access log: one line of JSON for each, without what was searched for."""

from __future__ import annotations

import json
import logging
import re
import sys
import time
from logging.handlers import WatchedFileHandler
from pathlib import Path
from secrets import token_hex
from typing import Any

from flask import Response, g, request

from configs.errors import ConfigError

__all__ = ["AccessLog", "request_id"]

_SANE = re.compile(r"[A-Za-z0-9._-]{1,64}")


def request_id() -> str:
    """The request's name: the one its sender gave, where that is short and plain, or a new one."""
    if "request_id" not in g:
        given = request.headers.get("X-Request-ID", "")
        g.request_id = given if _SANE.fullmatch(given) else token_hex(8)
    return str(g.request_id)


class AccessLog:
    """Lines to a file, or to stderr for "-". A file that logrotate moved is made anew."""

    def __init__(self, handler: logging.Handler, queries: bool) -> None:
        self._handler = handler
        self._queries = queries

    @classmethod
    def open(cls, place: str, queries: bool = False) -> AccessLog:
        """`queries`: write what was searched for. Raises ConfigError for a file that cannot be written."""
        handler: logging.Handler
        if place == "-":
            handler = logging.StreamHandler(sys.stderr)
        else:
            try:
                handler = WatchedFileHandler(Path(place), encoding="utf-8")
            except OSError as error:
                message = f"{place}: the access log cannot be written ({error.strerror})"
                raise ConfigError(message) from error
        handler.setFormatter(logging.Formatter("%(message)s"))
        return cls(handler, queries)

    def write(self, response: Response, seconds: float) -> None:
        """The request that is being answered. Never its headers, body or query string."""
        line: dict[str, Any] = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "id": request_id(),
            "client": request.remote_addr,
            "token": getattr(g.get("holder"), "name", None),
            "method": request.method,
            "path": request.path,
            "status": response.status_code,
            "bytes": response.content_length,
            "seconds": round(seconds, 6),
        }
        if self._queries and request.endpoint in (
            "pages.search",
            "api.search",
            "comparing.compare",
        ):
            line["query"] = request.args.get("q")
        text = json.dumps(line, ensure_ascii=True)
        self._handler.handle(logging.LogRecord("access", logging.INFO, "", 0, text, None, None))

    def close(self) -> None:
        self._handler.close()
