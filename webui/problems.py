"""Every way a request can fail, as the page or as JSON: a status, a code, a sentence; never a traceback."""

from __future__ import annotations

import logging
from dataclasses import asdict

from flask import Flask, Response, jsonify, make_response, render_template, request
from werkzeug.exceptions import HTTPException

from configs.errors import BackendError, IndexFolderError, IndexLocked, MissingExtra, TandemError
from webui.request_log import request_id
from webui.search_request import Problem, Refused
from webui.writing import Overloaded

__all__ = ["as_json", "error_record", "handle_problems", "status_of"]

log = logging.getLogger(__name__)

RETRY = "5"  # seconds, in Retry-After
MACHINES = ("/api/", "/openapi.json", "/healthz", "/readyz", "/metrics")
TITLES = {
    400: "That cannot be searched",
    401: "A token is needed",
    403: "That was not sent from this page",
    404: "Nothing is here",
    405: "That is not how this address is used",
    413: "That is too large",
    423: "Another program is writing",
    429: "That was too often",
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


def status_of(error: Exception) -> int:
    """503 for what comes back by itself or by an operator's hand, 400 for what the visitor mends, 423 while
    another program writes; 500 for a defect."""
    if isinstance(error, IndexLocked):
        return 423
    if not isinstance(error, TandemError):
        return 500
    away = isinstance(error, BackendError | IndexFolderError | MissingExtra | Overloaded)
    return 503 if away else 400


CODES = {400: "invalid", 423: "locked", 500: "defect", 503: "unavailable"}


def error_record(status: int, error: Exception) -> dict[str, object]:
    """What programs are told of an error, now or when they ask for a job."""
    message = str(error)
    problems: list[Problem] = error.problems if isinstance(error, Refused) else []
    if status == 500:
        message = "This is a defect of Tandem; the log of the server says more."
    code = problems[0].code if problems else CODES[status]
    return _record(code, message, problems)


def _record(code: str, message: str, problems: list[Problem]) -> dict[str, object]:
    return {
        "code": code,
        "message": message,
        "problems": [asdict(problem) for problem in problems],
        "request_id": request_id(),
    }


def _refused(error: Refused) -> Response:
    return _answer(400, error.problems[0].code, str(error), error.problems)


def _tandem(error: TandemError) -> Response:
    status = status_of(error)
    if status == 503:
        log.warning("%s %s: %s", request_id(), request.path, error)
    return _answer(status, CODES[status], str(error))


def _http(error: HTTPException) -> Response:
    status = error.code or 500
    code = (error.name or "error").lower().replace(" ", "_")
    response = _answer(status, code, error.description or TITLES.get(status, "It failed."))
    for name, value in error.get_headers():
        if name not in ("Content-Type", "Content-Length"):  # Allow of 405
            response.headers[name] = value
    return response


def _defect(error: Exception) -> Response:
    reference = request_id()
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
        response = jsonify(error=_record(code, message, problems or []))
    else:
        title = TITLES.get(status, "That did not work")
        response = make_response(render_template("problem.html", title=title, message=message))
    response.status_code = status
    if status in (423, 503):
        response.headers["Retry-After"] = RETRY
    return response
