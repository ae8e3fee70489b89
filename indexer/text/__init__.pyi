# What this package offers to the others; nothing else of it is imported from outside.
from . import field_values, languages
from .analysis import (
    STEMMERS,
    Analysis,
    analyse,
    analyse_all,
    analysed,
    fold,
    query_terms,
    tokens,
    weighted_terms,
    word_matches,
    word_terms,
)
from .compression import SUFFIXES, UNREADABLE, open_file, open_text, strip_suffix
from .conditions import comparisons, parse_condition
from .folders import Listing
from .passages import passage_texts, split
from .records import Columns, OwnFields, document_of
from .rejects import OnReject, Reject, RejectLog, file_of
from .sources import (
    Reader,
    ReadNotes,
    ReadOptions,
    check_document,
    count_bytes,
    read_documents,
    read_file,
    source_files,
)
from .topics import Topic, read_topics
from .word_cache import ALONE, INSIDE, LONGEST, Cut, Pieces, Rows, cut, kinds, portions

__all__ = [
    "ALONE",
    "INSIDE",
    "LONGEST",
    "STEMMERS",
    "SUFFIXES",
    "UNREADABLE",
    "Analysis",
    "Columns",
    "Cut",
    "Listing",
    "OnReject",
    "OwnFields",
    "Pieces",
    "ReadNotes",
    "ReadOptions",
    "Reader",
    "Reject",
    "RejectLog",
    "Rows",
    "Topic",
    "analyse",
    "analyse_all",
    "analysed",
    "check_document",
    "comparisons",
    "count_bytes",
    "cut",
    "document_of",
    "field_values",
    "file_of",
    "fold",
    "kinds",
    "languages",
    "open_file",
    "open_text",
    "parse_condition",
    "passage_texts",
    "portions",
    "query_terms",
    "read_documents",
    "read_file",
    "read_topics",
    "source_files",
    "split",
    "strip_suffix",
    "tokens",
    "weighted_terms",
    "word_matches",
    "word_terms",
]
