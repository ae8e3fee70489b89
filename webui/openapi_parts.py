"""The pieces that the description of the API is made of: schemas, answers, errors."""

from __future__ import annotations

from typing import Any

__all__ = [
    "INTEGER",
    "NUMBER",
    "READING",
    "STATUS",
    "TEXT",
    "WRITING",
    "Json",
    "content_of",
    "errors",
    "list_of",
    "responses",
    "schema_object",
]

Json = dict[str, Any]

TEXT: Json = {"type": "string"}
INTEGER: Json = {"type": "integer"}
NUMBER: Json = {"type": "number"}
STATUS: Json = {"type": "string", "description": "One word."}
READING: list[Json] = [{}, {"token": []}]
"""Security of what reads: a token only where the server was started with --tokens."""
WRITING: list[Json] = [{"token": []}]


def schema_object(**properties: Json) -> Json:
    return {"type": "object", "properties": properties, "required": list(properties)}


def list_of(items: Json) -> Json:
    return {"type": "array", "items": items}


def content_of(schema: str) -> Json:
    return {"application/json": {"schema": {"$ref": f"#/components/schemas/{schema}"}}}


ERRORS = {
    "400": "The request cannot be answered as it stands; problems lists all that is wrong.",
    "401": "No token, or one that is not known; only where the server asks for tokens.",
    "403": "The token may not do this, or the server does not write.",
    "404": "There is no such thing.",
    "413": "The request is too large.",
    "423": "Another program is writing to the index; the message names it. Send this again later.",
    "429": "The token's limit is used up; Retry-After says for how many seconds.",
    "500": "A defect of Tandem; the message names it for whoever reads the log.",
    "503": "The index or its service is away; try again later.",
}


def responses(schema: str, meaning: str, *statuses: str) -> Json:
    return {"200": {"description": meaning, "content": content_of(schema)}, **errors(*statuses)}


def errors(*statuses: str) -> Json:
    """Answers of these statuses, and of those that every address may give."""
    return {
        status: {"description": ERRORS[status], "content": content_of("Error")}
        for status in sorted({*statuses, "400", "500", "503"})
    }
