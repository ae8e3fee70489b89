"""The description of the API in OpenAPI 3.1 (https://spec.openapis.org/oas/v3.1.0), built from the limits."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

from webui.openapi_parts import (
    INTEGER,
    NUMBER,
    READING,
    STATUS,
    TEXT,
    Json,
    content_of,
    errors,
    list_of,
    responses,
    schema_object,
)
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


def _with_files(answers: Json) -> Json:
    """The answers of a search, that may be a file too."""
    for kind in ("text/csv", "application/x-ndjson"):
        answers["200"]["content"][kind] = {"schema": TEXT}
    return answers


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
                    "security": READING,
                    "parameters": [
                        {
                            "name": name,
                            "in": "query",
                            "required": name == "q",
                            "schema": _in_query(name, schema),
                        }
                        for name, schema in (*fields.items(), ("format", FORMAT))
                    ],
                    "responses": _with_files(responses("Found", "Hits, best first.", *TOKENS)),
                },
                "post": {
                    "operationId": "searchJson",
                    "summary": "Search, with the fields as a JSON object (for long queries)",
                    "security": READING,
                    "requestBody": {"required": True, "content": content_of("Asked")},
                    "responses": responses("Found", "Hits, best first.", "413", *TOKENS),
                },
            },
            "/api/v1/info": {
                "get": {
                    "operationId": "info",
                    "summary": "What the index holds, and the limits of a request",
                    "security": READING,
                    "responses": responses("Info", "The index as it is now.", *TOKENS),
                }
            },
            "/api/v1/document": {
                "get": {
                    "operationId": "document",
                    "summary": "One document, whole",
                    "security": READING,
                    "parameters": [
                        {"name": "id", "in": "query", "required": True, "schema": TEXT},
                    ],
                    "responses": responses("Document", "The document.", "404", *TOKENS),
                }
            },
            "/api/v1/similar": {
                "get": {
                    "operationId": "similar",
                    "summary": "The documents nearest to one by meaning, in every language",
                    "security": READING,
                    "parameters": [
                        {"name": "id", "in": "query", "required": True, "schema": TEXT},
                        *(
                            {
                                "name": name,
                                "in": "query",
                                "required": False,
                                "schema": _in_query(name, fields[name]),
                            }
                            for name in ("k", "lang")
                        ),
                    ],
                    "responses": responses("Similar", "Hits, nearest first.", "404", *TOKENS),
                }
            },
            "/api/v1/suggest": {
                "get": {
                    "operationId": "suggest",
                    "summary": "Queries that a text which is being typed may become",
                    "security": READING,
                    "parameters": [
                        {"name": "q", "in": "query", "required": False, "schema": TEXT},
                    ],
                    "responses": responses("Suggested", "The best first.", *TOKENS),
                }
            },
            "/healthz": {
                "get": {
                    "operationId": "healthz",
                    "summary": "Is the process alive?",
                    "responses": responses("Health", "It is."),
                }
            },
            "/readyz": {
                "get": {
                    "operationId": "readyz",
                    "summary": "Are searches answered?",
                    "responses": responses("Ready", "They are."),
                }
            },
            "/metrics": {
                "get": {
                    "operationId": "metrics",
                    "summary": "Counters and latencies for Prometheus",
                    "security": READING,
                    "responses": {
                        "200": {
                            "description": "Prometheus's text format 0.0.4.",
                            "content": {"text/plain": {"schema": TEXT}},
                        },
                        **errors(*TOKENS),
                    },
                }
            },
            **writing_paths(),
        },
        "components": {
            "schemas": {**_schemas(fields), **writing_schemas()},
            "securitySchemes": {
                "token": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "A token of `tandem token add`, where the server was started with --tokens.",
                }
            },
        },
    }


def _in_query(name: str, schema: Json) -> Json:
    """A form sends an empty value for what was left out."""
    if name not in ("mode", "k", "offset", "explain", "literal"):
        return schema
    empty: Json = {"type": "string", "enum": [""] if name in ("mode", "k", "offset") else [*WORDS]}
    return {"anyOf": [schema, empty]}


def _fields(limits: Limits) -> dict[str, Json]:
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


def _schemas(fields: dict[str, Json]) -> Json:
    part = schema_object(
        score={**NUMBER, "description": "The side's own: cosine, or BM25."},
        rank={
            "type": ["integer", "null"],
            "description": "Its place there; null: not found there.",
        },
        share={**NUMBER, "description": "Its part of the hit's score."},
    )
    hit = schema_object(
        rank=INTEGER,
        id=TEXT,
        title=TEXT,
        url=TEXT,
        lang=TEXT,
        language=TEXT,
        score=NUMBER,
        close={
            "type": "boolean",
            "description": "An answer; false: merely the nearest there is (search.floor).",
        },
        fields={"type": "object", "additionalProperties": TEXT},
        snippet=list_of(
            schema_object(text=TEXT, marked={"type": "boolean"}, near={"type": "boolean"})
        ),
        passage=schema_object(number=INTEGER, start=INTEGER, end=INTEGER),
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
        **list_of(
            schema_object(word=TEXT, answer=TEXT, start=INTEGER, end=INTEGER, similarity=NUMBER)
        ),
    }
    found = schema_object(
        query=TEXT,
        searched={
            **TEXT,
            "description": "The query without its syntax, or with a word that no text has put right.",
        },
        corrected={"type": "boolean", "description": "Whether a word was put right."},
        syntax={**list_of(TEXT), "description": "What of the query was read as syntax."},
        mode=TEXT,
        k=INTEGER,
        offset=INTEGER,
        langs=list_of(TEXT),
        where=TEXT,
        sort=TEXT,
        generation=INTEGER,
        seconds=NUMBER,
        next_offset={"type": ["integer", "null"], "description": "Of the next page, if any."},
        failed={**list_of(TEXT), "description": "Signals that could not answer, if any."},
        hits=list_of({"$ref": "#/components/schemas/Hit"}),
    )
    found["properties"]["facets"] = {
        "description": "By field, how many of the best hits have each value; only when facet was asked for.",
        "type": "object",
        "additionalProperties": {"type": "object", "additionalProperties": INTEGER},
    }
    language = schema_object(code=TEXT, name=TEXT, documents=INTEGER)
    return {
        "Asked": {
            "type": "object",
            "properties": fields,
            "required": ["q"],
            "additionalProperties": False,
        },
        "Found": found,
        "Hit": hit,
        "Suggested": schema_object(
            query=TEXT,
            suggestions={
                **list_of(TEXT),
                "description": "Titles that hold the words, then phrases of several documents.",
            },
        ),
        "Similar": schema_object(
            id=TEXT,
            k=INTEGER,
            langs=list_of(TEXT),
            generation=INTEGER,
            seconds=NUMBER,
            hits=list_of({"$ref": "#/components/schemas/Hit"}),
        ),
        "Info": schema_object(
            generation=INTEGER,
            documents=INTEGER,
            passages=INTEGER,
            encoder=TEXT,
            languages=list_of(language),
            fields=list_of(
                schema_object(name=TEXT, kind={**TEXT, "enum": ["keyword", "number", "date"]})
            ),
            limits=schema_object(k=INTEGER, query=INTEGER, reach=INTEGER),
        ),
        "Document": schema_object(
            id=TEXT,
            title=TEXT,
            text=TEXT,
            url=TEXT,
            lang=TEXT,
            language=TEXT,
            fields={"type": "object", "additionalProperties": TEXT},
        ),
        "Health": schema_object(status=STATUS),
        "Ready": schema_object(status=STATUS, generation=INTEGER),
        "Error": schema_object(error={"$ref": "#/components/schemas/ErrorDetail"}),
        "ErrorDetail": schema_object(
            code={**TEXT, "description": "For programs; it does not change."},
            message={**TEXT, "description": "For people."},
            problems=list_of(schema_object(code=TEXT, field=TEXT, message=TEXT)),
            request_id={**TEXT, "description": "As in X-Request-ID, and in the server's log."},
        ),
    }


def _version() -> str:
    try:
        return version("tandem-search")
    except PackageNotFoundError:  # run from a checkout that is not installed
        return "0"
