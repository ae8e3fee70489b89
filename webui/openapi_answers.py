"""What the API answers: one schema for each kind of answer, and for what these are made of."""

from __future__ import annotations

from webui.openapi_parts import INTEGER, NUMBER, STATUS, TEXT, Json, list_of, schema_object

__all__ = ["answer_schemas"]


def answer_schemas() -> Json:
    return {**_of_searches(), **_of_the_index(), **_errors()}


def _of_searches() -> Json:
    hits = list_of({"$ref": "#/components/schemas/Hit"})
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
        hits=hits,
    )
    found["properties"]["facets"] = {
        "description": "By field, how many of the best hits have each value; only when facet was asked for.",
        "type": "object",
        "additionalProperties": {"type": "object", "additionalProperties": INTEGER},
    }
    return {
        "Found": found,
        "Hit": _hit(),
        "Suggested": schema_object(
            query=TEXT,
            suggestions={
                **list_of(TEXT),
                "description": "Titles that hold the words, then phrases of several documents.",
            },
        ),
        "Similar": schema_object(
            id=TEXT, k=INTEGER, langs=list_of(TEXT), generation=INTEGER, seconds=NUMBER, hits=hits
        ),
    }


def _hit() -> Json:
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
    signal = schema_object(
        score={**NUMBER, "description": "The side's own: cosine, or BM25."},
        rank={
            "type": ["integer", "null"],
            "description": "Its place there; null: not found there.",
        },
        share={**NUMBER, "description": "Its part of the hit's score."},
    )
    hit["properties"]["parts"] = {
        "description": "By signal: dense, lexical, alignment; only when explain was asked for.",
        "type": "object",
        "additionalProperties": signal,
    }
    hit["properties"]["answers"] = {
        "description": "The word of the hit that is nearest to each word of the query; only when explain was asked "
        "for. start and end are characters of the passage, or -1 for a word of the title; similarity is 1 for the "
        "same word.",
        **list_of(
            schema_object(word=TEXT, answer=TEXT, start=INTEGER, end=INTEGER, similarity=NUMBER)
        ),
    }
    return hit


def _of_the_index() -> Json:
    return {
        "Info": schema_object(
            generation=INTEGER,
            documents=INTEGER,
            passages=INTEGER,
            encoder=TEXT,
            languages=list_of(schema_object(code=TEXT, name=TEXT, documents=INTEGER)),
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
    }


def _errors() -> Json:
    return {
        "Error": schema_object(error={"$ref": "#/components/schemas/ErrorDetail"}),
        "ErrorDetail": schema_object(
            code={**TEXT, "description": "For programs; it does not change."},
            message={**TEXT, "description": "For people."},
            problems=list_of(schema_object(code=TEXT, field=TEXT, message=TEXT)),
            request_id={**TEXT, "description": "As in X-Request-ID, and in the server's log."},
        ),
    }
