"""What an index in the cluster is made of: fields, settings, and the note that says how it was made.

Documents and passages are entries of one index, so that one alias swap replaces both. Passages are
entries of their own and not nested in their documents: on 6,000 Reuters documents in 16,229 passages nested
ones took 102 MB instead of 73, and the 100 best by words 67 ms instead of 34, by meaning 88 ms instead of 22.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from configs.errors import BackendError, TandemError
from configs.settings import ElasticsearchSettings, PassageSettings, parse
from indexer.storage.manifest import AlignmentEntry, EncoderEntry, FieldEntry

__all__ = [
    "FORMAT",
    "Note",
    "body",
    "differences",
    "language_field",
    "meta",
    "note_in",
    "with_languages",
]

FORMAT = 1
_UNKNOWN = "und"  # ISO 639's code for a language that is not known


@dataclass(frozen=True, slots=True)
class Note:
    """How an index was made, kept in its mapping."""

    name: str
    encoder: EncoderEntry
    created: str
    ready: bool = False
    """False while the build that makes it has not finished."""
    passages: PassageSettings = field(default_factory=PassageSettings)
    word_weight: float = 0.3
    fields: Mapping[str, FieldEntry] = field(default_factory=dict)
    """The documents' own fields."""
    alignment: AlignmentEntry | None = None
    """The student whose tokens its passages keep; None: they keep none."""
    generation: int = 1
    """Counts the changes, so that a reader sees that there was one."""
    format: int = FORMAT


def language_field(lang: str) -> str:
    return lang or _UNKNOWN


def body(note: Note, settings: ElasticsearchSettings) -> dict[str, Any]:
    """The request that makes an index."""
    return {
        "settings": {
            "number_of_shards": settings.shards,
            "number_of_replicas": settings.replicas,
            # what is written is seen when all of it is written, not piece by piece
            "refresh_interval": "-1",
        },
        "mappings": {
            "dynamic": "strict",
            "_meta": meta(note),
            # the words and vectors are searched, never read back from the source
            "_source": {"includes": ["content", "document", "hash", "passages"]},
            "properties": _properties(note.encoder.dim, settings.vectors),
        },
    }


def _properties(dim: int, vectors: str) -> dict[str, Any]:
    keyword = {"type": "keyword"}
    return {
        "kind": keyword,  # "document" or "passage"
        "key": keyword,  # the entry's own id, to settle ties by
        "document": keyword,  # the document's id
        "lang": keyword,
        "field": keyword,  # name=value of each of the document's own fields
        "ordered": keyword,  # its numbers and dates, in their order
        "hash": {"type": "keyword", "index": False},
        "passages": {"type": "integer"},  # how many a document has
        "content": {"type": "object", "enabled": False},  # title, text, url; a passage's place
        "words": {"type": "object", "dynamic": "strict", "properties": {}},
        "stems": {"type": "object", "dynamic": "strict", "properties": {}},
        "vector": {
            "type": "dense_vector",
            "dims": dim,
            "similarity": "cosine",
            "index_options": {"type": vectors},
        },
        # float32, little-endian: dense_vector gives nothing back that is not in the source
        "raw": {"type": "binary", "doc_values": True},
        # token numbers for word alignment, three bytes each, little-endian
        "tokens": {"type": "binary", "doc_values": True},
    }


def with_languages(langs: Iterable[str]) -> dict[str, Any]:
    """The mapping of the words of these languages: Tandem's own analysis, with spaces between the terms."""
    text = {"type": "text", "analyzer": "whitespace"}
    fields = {language_field(lang): text for lang in langs}
    return {stream: {"type": "object", "properties": fields} for stream in ("words", "stems")}


def meta(note: Note) -> dict[str, Any]:
    return {"tandem": dataclasses.asdict(note)}


def note_in(mapping: Mapping[str, Any], place: str) -> Note:
    """The note of an index. BackendError when it has none, or one of another version of Tandem."""
    values = mapping.get("_meta", {}).get("tandem")
    if not isinstance(values, dict):
        raise BackendError(
            f"{place}: an index that Tandem did not make; choose another name, or delete that index"
        )
    if values.get("format") != FORMAT:
        raise BackendError(
            f"{place}: format {values.get('format')!r}; this version of Tandem reads format {FORMAT}: build it again"
        )
    try:
        return parse(Note, values, place)
    except TandemError as error:
        raise BackendError(f"{place}: its note cannot be read: {error}; build it again") from None


def differences(mapping: Mapping[str, Any], dim: int) -> list[str]:
    """Where the mapping of an index is not what Tandem searches, a sentence each."""
    found = mapping.get("properties", {})
    problems = []
    for name, wanted in _properties(dim, "int8_hnsw").items():
        if name not in found:
            problems.append(f"the field {name} is missing")
        elif "type" in wanted and found[name].get("type", "object") != wanted["type"]:
            problems.append(
                f"the field {name} is of the type {found[name].get('type')}, not {wanted['type']}"
            )
    dims = found.get("vector", {}).get("dims")
    if "vector" in found and dims != dim:
        problems.append(f"its vectors have {dims} dimensions, not {dim}")
    for stream in ("words", "stems"):
        for lang, entry in found.get(stream, {}).get("properties", {}).items():
            if entry.get("type") != "text" or entry.get("analyzer") != "whitespace":
                problems.append(
                    f"the field {stream}.{lang} is not text under the whitespace analyzer"
                )
    return problems
