"""The description of the API in OpenAPI 3.1 (https://spec.openapis.org/oas/v3.1.0), built from the limits."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from typing import Any

from webui.search_request import MODES, Limits

__all__ = ["description"]

Json = dict[str, Any]

TEXT: Json = {"type": "string"}
INTEGER: Json = {"type": "integer"}
NUMBER: Json = {"type": "number"}
STATUS: Json = {"type": "string", "description": "One word."}


def description(limits: Limits) -> Json:
    """The whole document; every object lists all of its fields as required unless it says otherwise."""
    fields = _fields(limits)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Tandem",
            "version": _version(),
            "summary": "Search a collection in many languages, by words and by meaning.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": {
            "/api/v1/search": {
                "get": {
                    "operationId": "search",
                    "summary": "Search",
                    "parameters": [
                        {"name": name, "in": "query", "required": name == "q", "schema": schema}
                        for name, schema in fields.items()
                    ],
                    "responses": _responses("Found", "Hits, best first."),
                },
                "post": {
                    "operationId": "searchJson",
                    "summary": "Search, with the fields as a JSON object (for long queries)",
                    "requestBody": {"required": True, "content": _content("Asked")},
                    "responses": _responses("Found", "Hits, best first.", "400", "413"),
                },
            },
            "/api/v1/info": {
                "get": {
                    "operationId": "info",
                    "summary": "What the index holds, and the limits of a request",
                    "responses": _responses("Info", "The index as it is now."),
                }
            },
            "/api/v1/document": {
                "get": {
                    "operationId": "document",
                    "summary": "One document, whole",
                    "parameters": [
                        {"name": "id", "in": "query", "required": True, "schema": TEXT},
                    ],
                    "responses": _responses("Document", "The document.", "404"),
                }
            },
            "/healthz": {
                "get": {
                    "operationId": "healthz",
                    "summary": "Is the process alive?",
                    "responses": _responses("Health", "It is."),
                }
            },
            "/readyz": {
                "get": {
                    "operationId": "readyz",
                    "summary": "Are searches answered?",
                    "responses": _responses("Ready", "They are."),
                }
            },
            "/metrics": {
                "get": {
                    "operationId": "metrics",
                    "summary": "Counters and latencies for Prometheus",
                    "responses": {
                        "200": {
                            "description": "Prometheus's text format 0.0.4.",
                            "content": {"text/plain": {"schema": TEXT}},
                        }
                    },
                }
            },
        },
        "components": {"schemas": _schemas(fields)},
    }


def _fields(limits: Limits) -> dict[str, Json]:
    return {
        "q": {
            "type": "string",
            "minLength": 1,
            "maxLength": limits.max_query,
            "description": "The query, in any language.",
        },
        "mode": {"type": "string", "enum": list(MODES), "default": limits.mode},
        "k": {
            "type": "integer",
            "minimum": 1,
            "maximum": limits.max_k,
            "default": limits.k,
            "description": "Hits wanted.",
        },
        "offset": {
            "type": "integer",
            "minimum": 0,
            "maximum": limits.reach - 1,
            "default": 0,
            "description": "Hits to leave out at the beginning; see next_offset.",
        },
        "lang": {
            "type": "array",
            "items": TEXT,
            "default": [],
            "description": "Only documents in these languages (ISO 639-1). Empty: all.",
        },
        "where": {
            "type": "string",
            "maxLength": 10_000,
            "default": "",
            "description": "Only documents for which this holds: date>=1880 and newspaper=Zeit. See docs/fields.md.",
        },
        "sort": {
            "type": "string",
            "default": "",
            "description": "Gives the best hits in the order of a field; descending after a minus.",
        },
        "facet": {
            "type": "array",
            "items": TEXT,
            "default": [],
            "description": "Fields whose values are counted among the best hits.",
        },
        "explain": {
            "type": "boolean",
            "default": False,
            "description": "Add to each hit what each side contributed.",
        },
    }


def _schemas(fields: dict[str, Json]) -> Json:
    part = _object(
        score={**NUMBER, "description": "The side's own: cosine, or BM25."},
        rank={
            "type": ["integer", "null"],
            "description": "Its place there; null: not found there.",
        },
        share={**NUMBER, "description": "Its part of the hit's score."},
    )
    hit = _object(
        rank=INTEGER,
        id=TEXT,
        title=TEXT,
        url=TEXT,
        lang=TEXT,
        language=TEXT,
        score=NUMBER,
        fields={"type": "object", "additionalProperties": TEXT},
        snippet=_list(_object(text=TEXT, marked={"type": "boolean"}, near={"type": "boolean"})),
        passage=_object(number=INTEGER, start=INTEGER, end=INTEGER),
    )
    hit["properties"]["parts"] = {
        "description": "By signal: dense, lexical, alignment; only when explain was asked for.",
        "type": "object",
        "additionalProperties": part,
    }
    hit["properties"]["answers"] = {
        "description": "The word of the hit that is nearest to each word of the query; only when explain was asked "
        "for. start and end are characters of the passage, or -1 for a word of the title; similarity is 1 for the "
        "same word.",
        **_list(_object(word=TEXT, answer=TEXT, start=INTEGER, end=INTEGER, similarity=NUMBER)),
    }
    found = _object(
        query=TEXT,
        searched={**TEXT, "description": "The query, or with a word that no text has put right."},
        mode=TEXT,
        k=INTEGER,
        offset=INTEGER,
        langs=_list(TEXT),
        where=TEXT,
        sort=TEXT,
        generation=INTEGER,
        seconds=NUMBER,
        next_offset={"type": ["integer", "null"], "description": "Of the next page, if any."},
        failed={**_list(TEXT), "description": "Signals that could not answer, if any."},
        hits=_list({"$ref": "#/components/schemas/Hit"}),
    )
    found["properties"]["facets"] = {
        "description": "By field, how many of the best hits have each value; only when facet was asked for.",
        "type": "object",
        "additionalProperties": {"type": "object", "additionalProperties": INTEGER},
    }
    language = _object(code=TEXT, name=TEXT, documents=INTEGER)
    return {
        "Asked": {
            "type": "object",
            "properties": fields,
            "required": ["q"],
            "additionalProperties": False,
        },
        "Found": found,
        "Hit": hit,
        "Info": _object(
            generation=INTEGER,
            documents=INTEGER,
            passages=INTEGER,
            encoder=TEXT,
            languages=_list(language),
            fields=_list(_object(name=TEXT, kind={**TEXT, "enum": ["keyword", "number", "date"]})),
            limits=_object(k=INTEGER, query=INTEGER, reach=INTEGER),
        ),
        "Document": _object(
            id=TEXT,
            title=TEXT,
            text=TEXT,
            url=TEXT,
            lang=TEXT,
            language=TEXT,
            fields={"type": "object", "additionalProperties": TEXT},
        ),
        "Health": _object(status=STATUS),
        "Ready": _object(status=STATUS, generation=INTEGER),
        "Error": _object(
            error=_object(
                code={**TEXT, "description": "For programs; it does not change."},
                message={**TEXT, "description": "For people."},
                problems=_list(_object(code=TEXT, field=TEXT, message=TEXT)),
            )
        ),
    }


def _object(**properties: Json) -> Json:
    return {"type": "object", "properties": properties, "required": list(properties)}


def _list(items: Json) -> Json:
    return {"type": "array", "items": items}


def _content(schema: str) -> Json:
    return {"application/json": {"schema": {"$ref": f"#/components/schemas/{schema}"}}}


ERRORS = {
    "400": "The request cannot be answered as it stands; problems lists all that is wrong.",
    "404": "There is no such thing.",
    "413": "The request is too large.",
    "500": "A defect of Tandem; the message names it for whoever reads the log.",
    "503": "The index or its service is away; try again later.",
}


def _responses(schema: str, meaning: str, *errors: str) -> Json:
    found: Json = {"200": {"description": meaning, "content": _content(schema)}}
    for status in sorted({*errors, "400", "500", "503"}):
        found[status] = {"description": ERRORS[status], "content": _content("Error")}
    return found


def _version() -> str:
    try:
        return version("tandem-search")
    except PackageNotFoundError:  # run from a checkout that is not installed
        return "0"
