"""The writing half of the API's description: documents, and the jobs that add and delete them."""

from __future__ import annotations

from webui.openapi_parts import (
    INTEGER,
    TEXT,
    WRITING,
    Json,
    content_of,
    list_of,
    responses,
    schema_object,
)

__all__ = ["writing_paths", "writing_schemas"]

_ERRORS = ("401", "403", "404", "413", "423", "429")
_TEXTS: Json = {"type": ["string", "array", "null"], "items": TEXT}
"""An array holds paragraphs."""
_LOCATION: Json = {"Location": {"schema": TEXT, "description": "Where the job is asked for."}}


def writing_paths() -> Json:
    """Paths that only a server started with --writable answers; others say 403."""
    identifier = {"name": "id", "in": "path", "required": True, "schema": {**TEXT, "minLength": 1}}
    return {
        "/api/v1/documents": {
            "post": {
                "operationId": "addDocuments",
                "summary": "Add documents, or replace those whose id is known",
                "description": "A document, an array of documents, or one document a line. Unchanged documents are "
                "passed over; those that cannot be used are named in rejects, and the others are written. Up to 100 "
                "documents are answered with the finished job (200), more with a job to ask for (202).",
                "security": WRITING,
                "requestBody": {
                    "required": True,
                    "content": {
                        "application/json": {
                            "schema": {
                                "oneOf": [
                                    {"$ref": "#/components/schemas/NewDocument"},
                                    {
                                        "type": "array",
                                        "minItems": 1,
                                        "items": {"$ref": "#/components/schemas/NewDocument"},
                                    },
                                ]
                            }
                        },
                        "application/x-ndjson": {"schema": TEXT},
                    },
                },
                "responses": _written("The documents are written, and found from now on."),
            }
        },
        "/api/v1/documents/{id}": {
            "delete": {
                "operationId": "deleteDocument",
                "summary": "Delete one document",
                "security": WRITING,
                "parameters": [identifier],
                "responses": _written("It is deleted."),
            }
        },
        "/api/v1/deletions": {
            "post": {
                "operationId": "deleteDocuments",
                "summary": "Delete those of some documents that there are",
                "security": WRITING,
                "requestBody": {"required": True, "content": content_of("Ids")},
                "responses": _written("They are deleted; missing names those that were not there."),
            }
        },
        "/api/v1/jobs/{id}": {
            "get": {
                "operationId": "job",
                "summary": "How far a job is",
                "security": WRITING,
                "parameters": [identifier],
                "responses": responses("Job", "The job as it is now.", "401", "403", "404", "429"),
            }
        },
    }


def _written(meaning: str) -> Json:
    found = responses("Job", meaning, *_ERRORS)
    found["202"] = {
        "description": "A job was made of it; ask for it until its state is done or failed.",
        "headers": _LOCATION,
        "content": content_of("Job"),
    }
    return found


def writing_schemas() -> Json:
    report = schema_object(
        added=INTEGER,
        replaced=INTEGER,
        unchanged=INTEGER,
        deleted=INTEGER,
        rejected=INTEGER,
        documents={**INTEGER, "description": "In the index afterwards."},
        generation={**INTEGER, "description": "Of the commit, as in /api/v1/info."},
    )
    return {
        "NewDocument": {
            "type": "object",
            "description": "text or title is needed. Members of other names are kept as fields.",
            "properties": {
                "id": {"type": ["string", "integer"], "minLength": 1, "maxLength": 512},
                "text": _TEXTS,
                "title": _TEXTS,
                "url": _TEXTS,
                "lang": {
                    "type": ["string", "null"],
                    "description": "ISO 639-1; without it the language is detected.",
                },
            },
            "required": ["id"],
        },
        "Ids": {
            "type": "object",
            "properties": {"ids": {**list_of(TEXT), "minItems": 1, "maxItems": 10_000}},
            "required": ["ids"],
            "additionalProperties": False,
        },
        "Job": schema_object(
            id=TEXT,
            state={**TEXT, "enum": ["waiting", "running", "done", "failed"]},
            total={**INTEGER, "description": "Documents that were sent."},
            done={**INTEGER, "description": "Documents that were looked at so far."},
            report={"anyOf": [report, {"type": "null"}], "description": "When it is done."},
            rejects={
                **list_of(schema_object(place=TEXT, reason=TEXT)),
                "description": "Documents that could not be used; the first 100.",
            },
            missing={**list_of(TEXT), "description": "Ids to delete that were not there."},
            error={
                "anyOf": [{"$ref": "#/components/schemas/ErrorDetail"}, {"type": "null"}],
                "description": "When it failed.",
            },
        ),
    }
