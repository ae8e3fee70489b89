# What this package offers to the others; nothing else of it is imported from outside.
from . import commit
from .arrays import NO_ARRAY, load_array
from .columns import Column, is_hashed, stored, values_of
from .journal import Journal, passage_key
from .manifest import (
    FORMAT,
    MANIFEST,
    AlignmentEntry,
    DenseEntry,
    EncoderEntry,
    FieldEntry,
    Manifest,
    SegmentEntry,
    forbidden,
    read_manifest,
    refuse_links,
)
from .passage_tokens import TokenSets, TokenStore, token_sets
from .segments import merge_tail
from .store import (
    SegmentWriter,
    Store,
    StoredDocument,
    content_hash,
    document_of,
    open_database,
)

__all__ = [
    "FORMAT",
    "MANIFEST",
    "NO_ARRAY",
    "AlignmentEntry",
    "Column",
    "DenseEntry",
    "EncoderEntry",
    "FieldEntry",
    "Journal",
    "Manifest",
    "SegmentEntry",
    "SegmentWriter",
    "Store",
    "StoredDocument",
    "TokenSets",
    "TokenStore",
    "commit",
    "content_hash",
    "document_of",
    "forbidden",
    "is_hashed",
    "load_array",
    "merge_tail",
    "open_database",
    "passage_key",
    "read_manifest",
    "refuse_links",
    "stored",
    "token_sets",
    "values_of",
]
