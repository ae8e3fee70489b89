"""The page /docs: the API's description, readable; made from the same document as /openapi.json."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from flask import Blueprint, render_template

from webui.openapi import description
from webui.services import services

__all__ = ["api_page"]

api_page = Blueprint("api_page", __name__)

Json = dict[str, Any]
METHODS = ("get", "post", "put", "patch", "delete")


@dataclass(frozen=True, slots=True)
class Field:
    """One parameter, or one member of an object; `path` as in hits[].title."""

    path: str
    kind: str
    required: bool
    meaning: str


@dataclass(frozen=True, slots=True)
class Operation:
    method: str
    path: str
    name: str
    summary: str
    meaning: str
    token: bool
    parameters: list[Field]
    body: list[Field]
    answers: list[tuple[str, str]]
    """Status and meaning."""
    answer: list[Field]


@api_page.get("/docs")
def docs() -> str:
    """Every address with its parameters and answers."""
    described = description(services().limits)
    return render_template(
        "docs.html",
        info=described["info"],
        operations=operations(described),
        writable=services().writer is not None,
    )


def operations(described: Json) -> list[Operation]:
    """The description, flattened for reading."""
    schemas = described["components"]["schemas"]
    return [
        _operation(method, path, entry[method], schemas)
        for path, entry in described["paths"].items()
        for method in METHODS
        if method in entry
    ]


def _operation(method: str, path: str, entry: Json, schemas: Json) -> Operation:
    answers = entry["responses"]
    body: Json = next(iter(entry.get("requestBody", {}).get("content", {}).values()), {})
    answer: Json = next(iter(answers["200"].get("content", {}).values()), {})
    return Operation(
        method.upper(),
        path,
        entry["operationId"],
        entry["summary"],
        entry.get("description", ""),
        entry.get("security", [{}])[0] != {},
        [
            Field(one["name"], _kind(schema), one["required"], _meaning(schema))
            for one in entry.get("parameters", ())
            for schema in [_resolved(one["schema"], schemas)]
        ],
        _members(body.get("schema", {}), schemas),
        [(status, found["description"]) for status, found in sorted(answers.items())],
        _members(answer.get("schema", {}), schemas),
    )


def _resolved(schema: Json, schemas: Json) -> Json:
    while "$ref" in schema or "anyOf" in schema or "oneOf" in schema:
        if "$ref" in schema:
            schema = schemas[schema["$ref"].rsplit("/", 1)[1]]
        else:
            schema = next(iter(schema.get("anyOf") or schema["oneOf"]))
    return schema


def _members(schema: Json, schemas: Json, prefix: str = "") -> list[Field]:
    """The members of an object, and of the objects in it, each with its path."""
    schema = _resolved(schema, schemas)
    if schema.get("type") == "array":
        return _members(schema["items"], schemas, f"{prefix.removesuffix('.')}[].")
    found = []
    for name, written in schema.get("properties", {}).items():
        inner = _resolved(written, schemas)
        meaning = _meaning(written) or _meaning(inner)
        required = name in schema.get("required", ())
        found.append(Field(f"{prefix}{name}", _kind(inner), required, meaning))
        found += _members(inner, schemas, f"{prefix}{name}.")
    return found


def _kind(schema: Json) -> str:
    kind = schema.get("type", "any")
    name = " or ".join(kind) if isinstance(kind, list) else str(kind)
    if name == "array":
        return f"array of {_kind(schema['items'])}" if "type" in schema["items"] else "array"
    return name


def _meaning(schema: Json) -> str:
    """The description, and what the schema says of the values."""
    parts = [schema["description"]] if "description" in schema else []
    if "enum" in schema:
        parts.append(f"One of {', '.join(map(str, schema['enum']))}.")
    limits = {
        "minimum": "At least {:,}.",
        "maximum": "At most {:,}.",
        "maxLength": "At most {:,} characters.",
    }
    parts += [said.format(schema[key]) for key, said in limits.items() if key in schema]
    if schema.get("default") not in (None, "", [], False):
        parts.append(f"Default: {json.dumps(schema['default'])}.")
    return " ".join(parts)
