"""JSON for programs under /api/v1, and what a machine asks of a service: health, readiness, numbers."""

from __future__ import annotations

import time
from typing import Any

from flask import Blueprint, Response, jsonify, request
from werkzeug.exceptions import NotFound

from indexer.schema import Hit
from indexer.text import languages
from retriever.export import FORMATS, exported
from retriever.snippets import Mark, snippet
from retriever.word_answers import hit_answers
from webui.live_index import Found
from webui.openapi import description
from webui.search_request import FIELDS, Asked, Problem, Refused, from_query_string, read, shown
from webui.services import services

__all__ = ["api", "machine"]

SUGGESTIONS = 8

api = Blueprint("api", __name__, url_prefix="/api/v1")
machine = Blueprint("machine", __name__)


@api.get("/search")
def search() -> Response:
    """Hits for the fields of the query string; with format=csv or jsonl as a file."""
    values = from_query_string(request.args)
    kind = values.pop("format", "json")
    if kind == "json":
        return _answer(values)
    if kind not in FORMATS:
        message = f"There is no format {shown(kind)}; choose one of json, {', '.join(FORMATS)}."
        problems = [Problem("format_unknown", "format", message)]
        try:
            _asked(values)
        except Refused as refused:  # all that is wrong is told at once
            problems += refused.problems
        raise Refused(problems)
    asked, found = _searched(values)
    response = Response(
        exported(asked.query, found.hits, found.floor, str(kind)), content_type=FORMATS[str(kind)]
    )
    response.headers["Content-Disposition"] = f'attachment; filename="hits.{kind}"'
    return response


@api.post("/search")
def search_json() -> Response:
    """Hits for the same fields as a JSON object."""
    try:
        body = request.get_json(force=True, silent=True)
    except RecursionError:  # lists in lists, a hundred thousand deep
        body = None
    if not isinstance(body, dict):
        message = f"The body must be a JSON object with the fields {', '.join(FIELDS)}."
        raise Refused([Problem("body_invalid", "body", message)])
    return _answer(body)


@api.get("/info")
def info() -> Response:
    """What the index holds and what a request may ask for."""
    shared = services()
    facts = shared.live.facts()
    return jsonify(
        generation=facts.generation,
        documents=facts.documents,
        passages=facts.passages,
        encoder=facts.encoder,
        languages=[
            {"code": language.code, "name": language.name, "documents": language.documents}
            for language in facts.languages
        ],
        fields=[{"name": field.name, "kind": field.kind} for field in facts.fields],
        limits={
            "k": shared.limits.max_k,
            "query": shared.limits.max_query,
            "reach": shared.limits.reach,
        },
    )


@api.get("/document")
def document() -> Response:
    """One document, whole."""
    found = services().live.document(request.args.get("id", ""))
    if found is None:
        raise NotFound("The index has no document with this id.")
    return jsonify(
        id=found.id,
        title=found.title,
        text=found.text,
        url=found.url,
        lang=found.lang,
        language=languages.name(found.lang),
        fields=dict(found.fields),
    )


@api.get("/suggest")
def suggest() -> Response:
    """Queries that a text which is being typed may become."""
    shared = services()
    text = request.args.get("q", "")[: shared.limits.max_query]
    return jsonify(query=text, suggestions=shared.live.suggest(text, SUGGESTIONS))


@api.get("/similar")
def similar() -> Response:
    """The documents nearest to one by meaning, in every language."""
    started = time.perf_counter()
    shared = services()
    values = from_query_string(request.args)
    document_id = values.pop("id", "")
    found = shared.live.document(str(document_id))
    if found is None:
        raise NotFound("The index has no document with this id.")
    other = sorted(set(values) - {"k", "lang"})
    if other:
        raise Refused([
            Problem("field_unknown", name[:40], f"There is no field {shown(name)}; the fields are id, k, lang.")
            for name in other[:5]
        ])  # fmt: skip
    known = [language.code for language in shared.live.facts().languages]
    asked = read({"q": "any", **values}, shared.limits, known, strict=True)
    hits = Found(shared.live.similar(found.id, asked.k, asked.langs), False, 0.0, searched="")
    return jsonify(
        id=found.id,
        k=asked.k,
        langs=list(asked.langs),
        generation=shared.live.facts().generation,
        seconds=round(time.perf_counter() - started, 6),
        hits=[_hit(hit, asked, hits) for hit in hits.hits],
    )


@machine.get("/openapi.json")
@api.get("/openapi.json")
def openapi() -> Response:
    """This API, described."""
    return jsonify(description(services().limits))


@machine.get("/healthz")
def healthz() -> Response:
    """The process answers."""
    return jsonify(status="ok")


@machine.get("/readyz")
def readyz() -> Response:
    """A search is answered; the error handlers turn a failure into 503."""
    services().live.ready()
    return jsonify(status="ready", generation=services().live.facts().generation)


@machine.get("/metrics")
def metrics() -> Response:
    """Prometheus's text format."""
    facts = services().live.facts()
    text = services().metrics.text(
        {
            "tandem_index_generation": ("Commit of the index that is served.", facts.generation),
            "tandem_index_documents": ("Documents in the index.", facts.documents),
            "tandem_index_passages": ("Passages in the index.", facts.passages),
        }
    )
    return Response(text, content_type="text/plain; version=0.0.4; charset=utf-8")


def _answer(values: dict[str, object]) -> Response:
    return jsonify(_found(*_searched(values)))


def _asked(values: dict[str, object]) -> Asked:
    shared = services()
    facts = shared.live.facts()
    known = [language.code for language in facts.languages]
    return read(values, shared.limits, known, strict=True, kinds=facts.kinds)


def _searched(values: dict[str, object]) -> tuple[Asked, Found]:
    shared = services()
    asked = _asked(values)
    found = shared.live.search(asked)
    shared.metrics.count("tandem_searches_total", mode=asked.mode)
    if not found.hits and not asked.offset:
        shared.metrics.count("tandem_searches_without_hits_total", mode=asked.mode)
    return asked, found


def _found(asked: Asked, found: Found) -> dict[str, Any]:
    after = asked.offset + asked.k
    more = found.more and after < services().limits.reach
    answer: dict[str, Any] = {
        "query": asked.query,
        "searched": found.searched,
        "corrected": found.corrected,
        "syntax": list(found.syntax),
        "mode": asked.mode,
        "k": asked.k,
        "offset": asked.offset,
        "langs": list(asked.langs),
        "where": asked.where,
        "sort": asked.sort,
        "generation": services().live.facts().generation,
        "seconds": round(found.seconds, 6),
        "next_offset": after if more else None,
        "failed": list(found.failed),
        "hits": [_hit(hit, asked, found) for hit in found.hits],
    }
    if asked.facets:
        answer["facets"] = {name: dict(counts) for name, counts in found.facets.items()}
    return answer


def _hit(hit: Hit, asked: Asked, found: Found) -> dict[str, Any]:
    document, passage = hit.document, hit.passage
    result = {
        "rank": hit.rank,
        "id": document.id,
        "title": document.title,
        "url": document.url,
        "lang": document.lang,
        "language": languages.name(document.lang),
        "score": hit.score,
        "close": hit.score >= found.floor,
        "fields": dict(document.fields),
        "snippet": [
            {"text": text, "marked": mark == Mark.EXACT, "near": mark == Mark.NEAR}
            for text, mark in snippet(hit, found.searched)
        ],
        "passage": {"number": passage.number, "start": passage.start, "end": passage.end},
    }
    if asked.explain:
        result["parts"] = {
            side: {"score": part.score, "rank": part.rank, "share": part.share}
            for side, part in hit.parts.items()
        }
        result["answers"] = [
            {
                "word": answer.word,
                "answer": answer.answer,
                "start": answer.start,
                "end": answer.end,
                "similarity": round(answer.similarity, 4),
            }
            for answer in hit_answers(hit, found.searched)
        ]
    return result
