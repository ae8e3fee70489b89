"""Every way a request can fail, as the page or as JSON: a status, a code, a sentence; never a traceback."""

from __future__ import annotations

import logging
from dataclasses import asdict
from secrets import token_hex

from flask import Flask, Response, jsonify, make_response, render_template, request
from werkzeug.exceptions import HTTPException

from configs.errors import BackendError, IndexFolderError, MissingExtra, TandemError
from webui.search_request import Problem, Refused

__all__ = ["as_json", "handle_problems"]

log = logging.getLogger(__name__)

RETRY = "5"  # seconds, in Retry-After
MACHINES = ("/api/", "/openapi.json", "/healthz", "/readyz", "/metrics")
TITLES = {
    400: "That cannot be searched",
    403: "That was not sent from this page",
    404: "Nothing is here",
    405: "That is not how this address is used",
    413: "That is too large",
    500: "Something went wrong here",
    503: "The search is away for a moment",
}


def handle_problems(app: Flask) -> None:
    """Register the handlers; the search page shows Refused and TandemError itself."""
    app.register_error_handler(Refused, _refused)
    app.register_error_handler(TandemError, _tandem)
    app.register_error_handler(HTTPException, _http)
    app.register_error_handler(Exception, _defect)


def as_json() -> bool:
    """Whether the request's sender is a program."""
    if request.path.startswith(MACHINES):
        return True
    best = request.accept_mimetypes.best_match(["text/html", "application/json"])
    return best == "application/json"


def status_of(error: TandemError) -> int:
    """503 for what comes back by itself or by an operator's hand, 400 for what the visitor mends."""
    away = isinstance(error, BackendError | IndexFolderError | MissingExtra)
    return 503 if away else 400


def _refused(error: Refused) -> Response:
    return _answer(400, error.problems[0].code, str(error), error.problems)


def _tandem(error: TandemError) -> Response:
    status = status_of(error)
    if status == 503:
        log.warning("%s: %s", request.path, error)
    return _answer(status, "unavailable" if status == 503 else "invalid", str(error))


def _http(error: HTTPException) -> Response:
    status = error.code or 500
    code = (error.name or "error").lower().replace(" ", "_")
    response = _answer(status, code, error.description or TITLES.get(status, "It failed."))
    for name, value in error.get_headers():
        if name not in ("Content-Type", "Content-Length"):  # Allow of 405
            response.headers[name] = value
    return response


def _defect(error: Exception) -> Response:
    reference = token_hex(4)
    log.error("defect %s at %s %s", reference, request.method, request.path, exc_info=error)
    return _answer(
        500,
        "defect",
        f"This is a defect of Tandem; the log of the server says more at {reference}.",
    )


def _answer(
    status: int, code: str, message: str, problems: list[Problem] | None = None
) -> Response:
    if as_json():
        listed = [asdict(problem) for problem in problems or ()]
        response = jsonify(error={"code": code, "message": message, "problems": listed})
    else:
        title = TITLES.get(status, "That did not work")
        response = make_response(render_template("problem.html", title=title, message=message))
    response.status_code = status
    if status == 503:
        response.headers["Retry-After"] = RETRY
    return response
