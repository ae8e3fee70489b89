"""The description of the API in OpenAPI 3.1 (https://spec.openapis.org/oas/v3.1.0), built from the limits."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version

from webui.openapi_answers import answer_schemas
from webui.openapi_parts import READING, TEXT, Json, content_of, errors, responses
from webui.openapi_writing import writing_paths, writing_schemas
from webui.search_request import FLAGS, MODES, Limits

__all__ = ["description"]

TOKENS = ("401", "429")
WORDS = [word for word in FLAGS if word not in ("true", "false")]


FORMAT: Json = {
    "type": "string",
    "enum": ["json", "csv", "jsonl"],
    "default": "json",
    "description": "The answer as JSON, or the hits alone as a CSV file or JSON lines.",
}


def description(limits: Limits) -> Json:
    """The whole document; every object lists all of its fields as required unless it says otherwise."""
    fields = _fields(limits)
    asked: Json = {
        "type": "object",
        "properties": fields,
        "required": ["q"],
        "additionalProperties": False,
    }
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Tandem",
            "version": _version(),
            "summary": "Search a collection in many languages, by words and by meaning.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": {**_searching(fields), **_looking_up(fields), **_state(), **writing_paths()},
        "components": {
            "schemas": {"Asked": asked, **answer_schemas(), **writing_schemas()},
            "securitySchemes": {
                "token": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "A token of `tandem token add`, where the server was started with --tokens.",
                }
            },
        },
    }


def _searching(fields: dict[str, Json]) -> Json:
    everything = [
        _parameter(name, _in_query(name, schema), required=name == "q")
        for name, schema in (*fields.items(), ("format", FORMAT))
    ]
    found = responses("Found", "Hits, best first.", *TOKENS)
    for kind in ("text/csv", "application/x-ndjson"):  # format: csv, jsonl
        found["200"]["content"][kind] = {"schema": TEXT}
    return {
        "/api/v1/search": {
            **_get("search", "Search", found, everything),
            "post": {
                "operationId": "searchJson",
                "summary": "Search, with the fields as a JSON object (for long queries)",
                "security": READING,
                "requestBody": {"required": True, "content": content_of("Asked")},
                "responses": responses("Found", "Hits, best first.", "413", *TOKENS),
            },
        }
    }


def _looking_up(fields: dict[str, Json]) -> Json:
    """Documents by their id, and queries by their beginning."""
    identifier = _parameter("id", TEXT, required=True)
    return {
        "/api/v1/document": _get(
            "document",
            "One document, whole",
            responses("Document", "The document.", "404", *TOKENS),
            [identifier],
        ),
        "/api/v1/similar": _get(
            "similar",
            "The documents nearest to one by meaning, in every language",
            responses("Similar", "Hits, nearest first.", "404", *TOKENS),
            [
                identifier,
                *(_parameter(name, _in_query(name, fields[name])) for name in ("k", "lang")),
            ],
        ),
        "/api/v1/suggest": _get(
            "suggest",
            "Queries that a text which is being typed may become",
            responses("Suggested", "The best first.", *TOKENS),
            [_parameter("q", TEXT)],
        ),
    }


def _state() -> Json:
    """What a server says of its index and of itself."""
    metrics = {
        "200": {
            "description": "Prometheus's text format 0.0.4.",
            "content": {"text/plain": {"schema": TEXT}},
        },
        **errors(*TOKENS),
    }
    return {
        "/api/v1/info": _get(
            "info",
            "What the index holds, and the limits of a request",
            responses("Info", "The index as it is now.", *TOKENS),
        ),
        "/healthz": _get(
            "healthz", "Is the process alive?", responses("Health", "It is."), security=None
        ),
        "/readyz": _get(
            "readyz", "Are searches answered?", responses("Ready", "They are."), security=None
        ),
        "/metrics": _get("metrics", "Counters and latencies for Prometheus", metrics),
    }


def _get(
    operation: str,
    summary: str,
    answers: Json,
    parameters: Sequence[Json] = (),
    security: list[Json] | None = READING,
) -> Json:
    """An address that is asked with GET; `security` None: no token is ever asked for."""
    get: Json = {"operationId": operation, "summary": summary, "responses": answers}
    if security is not None:
        get["security"] = security
    if parameters:
        get["parameters"] = list(parameters)
    return {"get": get}


def _parameter(name: str, schema: Json, *, required: bool = False) -> Json:
    return {"name": name, "in": "query", "required": required, "schema": schema}


def _in_query(name: str, schema: Json) -> Json:
    """A form sends an empty value for what was left out."""
    if name not in ("mode", "k", "offset", "explain", "literal"):
        return schema
    empty: Json = {"type": "string", "enum": [""] if name in ("mode", "k", "offset") else [*WORDS]}
    return {"anyOf": [schema, empty]}


def _fields(limits: Limits) -> dict[str, Json]:
    """What may be asked of a search: name to schema."""
    return {
        "q": {
            "type": "string",
            "minLength": 1,
            "maxLength": limits.max_query,
            "description": 'The query, in any language. "great fire" -docks lang:cs title:požár are a phrase, an exclusion, a '
            "language and a title; what only looks like that is text.",
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
        "literal": {
            "type": "boolean",
            "default": False,
            "description": "Take all of q as text, and put no word right.",
        },
    }


def _version() -> str:
    try:
        return version("tandem-search")
    except PackageNotFoundError:  # run from a checkout that is not installed
        return "0"
