# What this package offers to the others; nothing else of it is imported from outside.
from .address import is_address, name_in
from .bulk import Entry, deletion, entry, write
from .conditions import equal_terms, filters_of, ordered_terms, wording_candidates
from .connection import Cluster, connect, explained, refusal
from .mapping import Note, body, differences, language_field, meta, note_in, with_languages
from .requests import (
    LARGEST,
    Found,
    Terms,
    by_meaning,
    by_words,
    document_key,
    found_in,
    frequencies,
    packed_tokens,
    passage_key,
    searched_languages,
    tokens_in,
    vectors_in,
)

__all__ = [
    "LARGEST",
    "Cluster",
    "Entry",
    "Found",
    "Note",
    "Terms",
    "body",
    "by_meaning",
    "by_words",
    "connect",
    "deletion",
    "differences",
    "document_key",
    "entry",
    "equal_terms",
    "explained",
    "filters_of",
    "found_in",
    "frequencies",
    "is_address",
    "language_field",
    "meta",
    "name_in",
    "note_in",
    "ordered_terms",
    "packed_tokens",
    "passage_key",
    "refusal",
    "searched_languages",
    "tokens_in",
    "vectors_in",
    "with_languages",
    "wording_candidates",
    "write",
]
