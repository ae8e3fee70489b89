"""Who may ask what: tokens, their rights and limits, and the origins that browsers may call the API from."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from flask import Response, g, make_response, request
from werkzeug.datastructures import WWWAuthenticate
from werkzeug.exceptions import Forbidden, TooManyRequests, Unauthorized

from webui.tokens import Tokens

__all__ = ["Access", "allow_origin", "preflight"]

OPEN = ("/healthz", "/readyz", "/openapi.json", "/api/v1/openapi.json", "/docs", "/static/")
"""What says nothing of the collection, and probes ask for."""
WRITING = ("/api/v1/documents", "/api/v1/deletions", "/api/v1/jobs/")
REMEMBERED = "600"  # seconds that a browser keeps the answer to a preflight


@dataclass(frozen=True, slots=True)
class Access:
    """The tokens of a server; `open_reading`: reading needs none."""

    tokens: Tokens
    open_reading: bool = False

    def check(self) -> None:
        """Refuse the request, or note whose it is in `g.holder`: 401, 403 or 429."""
        path = request.path
        if path.startswith(OPEN):
            return
        writing = path.startswith(WRITING)
        header = request.headers.get("Authorization")
        if header is None and self.open_reading and not writing:
            return
        token = self.tokens.holder(_secret(writing))
        if token is None:
            raise _unauthorized(header is not None, writing)
        g.holder = token
        if wait := self.tokens.wait(token):
            message = f"The token {token.name} may make {token.limit}; wait {wait} s."
            raise TooManyRequests(message, retry_after=wait)
        if writing and not token.write:
            message = f"The token {token.name} may read only; make one with: tandem token add NAME --write"
            raise Forbidden(message)


def _secret(writing: bool) -> str:
    """The token that was sent. As a password it is taken for reading only: a browser sends a password by
    itself, also with forms of other sites."""
    sent = request.authorization
    if sent is None:
        return ""
    if sent.type == "bearer":
        return sent.token or ""
    return "" if writing or sent.type != "basic" else sent.password or ""


def _unauthorized(sent: bool, writing: bool) -> Unauthorized:
    message = (
        "This token is not known; it may have been removed."
        if sent
        else "A token is needed; send it as Authorization: Bearer TOKEN."
    )
    # a browser that opens the page asks for a password; a program is told of Bearer
    kind = "bearer" if writing or request.path.startswith("/api/") else "basic"
    return Unauthorized(message, www_authenticate=WWWAuthenticate(kind, {"realm": "tandem"}))


def is_api() -> bool:
    return request.path.startswith(("/api/", "/openapi.json"))


def preflight(origins: Collection[str]) -> Response | None:
    """The answer to a browser that asks whether a page of another origin may send a request to the API."""
    asked = request.headers.get("Access-Control-Request-Method")
    if request.method != "OPTIONS" or asked is None or not is_api():
        return None
    if request.headers.get("Origin") not in origins:
        return None
    response = make_response("", 204)
    response.headers["Access-Control-Allow-Methods"] = "GET, POST, DELETE"
    response.headers["Access-Control-Allow-Headers"] = "Authorization, Content-Type, X-Request-ID"
    response.headers["Access-Control-Max-Age"] = REMEMBERED
    return response


def allow_origin(response: Response, origins: Collection[str]) -> None:
    """Let a page of one of these origins read the answer. No cookie or password comes with such requests."""
    if not origins or not is_api():
        return
    response.vary.add("Origin")
    origin = request.headers.get("Origin")
    if origin in origins:
        response.headers["Access-Control-Allow-Origin"] = origin
        response.headers["Access-Control-Expose-Headers"] = "Location, Retry-After, X-Request-ID"
        response.headers["Cross-Origin-Resource-Policy"] = "cross-origin"
