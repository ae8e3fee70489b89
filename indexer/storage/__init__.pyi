# What this package offers to the others; nothing else of it is imported from outside.
from . import commit
from .columns import Column, is_hashed, stored, values_of
from .journal import Journal, passage_key
from .manifest import (
    FORMAT,
    MANIFEST,
    DenseEntry,
    EncoderEntry,
    FieldEntry,
    Manifest,
    SegmentEntry,
    forbidden,
    read_manifest,
    refuse_links,
)
from .segments import merge_tail
from .store import (
    NO_ARRAY,
    SegmentWriter,
    Store,
    StoredDocument,
    content_hash,
    document_of,
    load_array,
    open_database,
)

__all__ = [
    "FORMAT",
    "MANIFEST",
    "NO_ARRAY",
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
    "values_of",
]
