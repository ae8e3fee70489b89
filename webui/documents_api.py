"""The API's writing half: documents added and deleted, and the jobs that do it."""

from __future__ import annotations

import json
import threading
from typing import Any

from flask import Blueprint, Request, Response, jsonify, request, url_for
from werkzeug.exceptions import Forbidden, NotFound

from indexer.text.rejects import Reject
from webui.problems import error_record, status_of
from webui.search_request import Problem, Refused, shown
from webui.services import services
from webui.writing import Job, Writer

__all__ = ["documents"]

documents = Blueprint("documents", __name__, url_prefix="/api/v1")

SHORT = 100  # documents: a request with more is answered before it is done
PATIENCE = 5.0  # seconds that a request with fewer waits for its commit
_LINES = ("ndjson", "jsonl", "json-lines", "jsonlines")
_MOST_IDS = 10_000
_waiting = threading.BoundedSemaphore(2)
"""Requests that wait for a commit: each holds one of the server's threads, which searches need too."""


@documents.post("/documents")
def add() -> tuple[Response, int]:
    """Add documents, or replace those whose id is known."""
    writer = _writer()
    job = Job(size=request.content_length or 0)
    job.records = _records(request, job)
    if not job.records:
        message = "The body holds no document; send one, an array of them, or one a line."
        raise Refused([Problem("body_invalid", "body", message)])
    return _answer(writer, job)


@documents.delete("/documents/<path:document_id>")
def delete(document_id: str) -> tuple[Response, int]:
    """Delete one document."""
    writer = _writer()
    live = services().live
    live.follow()
    if live.missing([document_id]):
        raise NotFound("The index has no document with this id.")
    return _answer(writer, Job(deleted=[document_id], size=request.content_length or 0))


@documents.post("/deletions")
def delete_many() -> tuple[Response, int]:
    """Delete those of some documents that there are."""
    writer = _writer()
    body = _parsed(request.get_data())
    ids = body.get("ids") if isinstance(body, dict) and len(body) == 1 else None
    if (
        not isinstance(ids, list)
        or not all(isinstance(id_, str) for id_ in ids)
        or not 1 <= len(ids) <= _MOST_IDS
    ):
        message = (
            f'The body must be a JSON object {{"ids": [...]}} with 1 to {_MOST_IDS:,} ids as texts.'
        )
        raise Refused([Problem("body_invalid", "ids", message)])
    wanted = [id_.encode("utf-8", "replace").decode("utf-8") for id_ in dict.fromkeys(ids)]
    return _answer(writer, Job(deleted=wanted, size=request.content_length or 0))


@documents.get("/jobs/<job_id>")
def job(job_id: str) -> Response:
    """How far a job is."""
    found = _writer().job(job_id)
    if found is None:
        raise NotFound("There is no such job; the server forgets old ones, and all when it ends.")
    return jsonify(_told(found))


def _writer() -> Writer:
    writer = services().writer
    if writer is None:
        raise Forbidden("This server does not write; start it with --writable and --tokens FILE.")
    return writer


def _records(sent: Request, job: Job) -> list[Any]:
    """The documents of a body: an object, an array, or an object a line. What is none of these is set aside,
    with None in its place."""
    body = sent.get_data()
    if any(name in sent.mimetype for name in _LINES):
        return _lines(body, job)
    value = _parsed(body)
    if value is _WRONG:
        message = (
            "The body must be JSON: a document, or an array of them. For a document a line, say "
            "Content-Type: application/x-ndjson."
        )
        raise Refused([Problem("body_invalid", "body", message)])
    values = value if isinstance(value, list) else [value]
    return [_record(value, number, job) for number, value in enumerate(values, 1)]


def _lines(body: bytes, job: Job) -> list[Any]:
    lines = [line for line in body.splitlines() if line.strip()]
    return [_record(_parsed(line), number, job) for number, line in enumerate(lines, 1)]


def _record(value: object, number: int, job: Job) -> dict[str, Any] | None:
    if isinstance(value, dict):
        return value
    reason = "no JSON" if value is _WRONG else f"an object is expected, not {shown(value)}"
    job.reject(Reject(f"document {number:,}", reason))
    return None


_WRONG = object()


def _parsed(text: bytes) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):  # ValueError: UnicodeDecodeError, too
        return _WRONG


def _answer(writer: Writer, job: Job) -> tuple[Response, int]:
    """Of a short batch the report; of a long one, or one that has to wait, the job."""
    writer.submit(job)
    services().metrics.count("tandem_writes_total")
    if job.total <= SHORT and _waiting.acquire(blocking=False):
        try:
            job.finished.wait(PATIENCE)
        finally:
            _waiting.release()
    if job.error is not None:
        raise job.error
    if job.state == "done":
        if job.rejected and job.rejected == job.total:
            raise Refused([_problem(reject) for reject in job.rejects])
        return jsonify(_told(job)), 200
    response = jsonify(_told(job))
    response.headers["Location"] = url_for("documents.job", job_id=job.id)
    return response, 202


def _problem(reject: Reject) -> Problem:
    return Problem("document_invalid", reject.place, f"{reject.place}: {reject.reason}.")


def _told(job: Job) -> dict[str, Any]:
    report = job.report
    counts = ("added", "replaced", "unchanged", "deleted", "rejected", "documents", "generation")
    told: dict[str, Any] = {
        "id": job.id,
        "state": job.state,
        "total": job.total,
        "done": job.done,
        "report": None if report is None else {name: getattr(report, name) for name in counts},
        "rejects": [{"place": one.place, "reason": one.reason} for one in list(job.rejects)],
        "missing": list(job.missing),
        "error": None,
    }
    if job.error is not None:
        told["error"] = error_record(status_of(job.error), job.error)
    return told
