# What this package offers to the others; nothing else of it is imported from outside.
from . import fields
from .export import FORMATS, exported
from .hits import Hits, missing_signals, record
from .learned_fusion import Weights, features, named_weights
from .plain_markdown import hidden_signs, without
from .retriever import Retriever
from .same_documents import Merged, merged
from .search_index import SearchIndex, build_index, open_index
from .snippets import Mark, all_marks, marks, snippet
from .word_answers import hit_answers, near_marks

__all__ = [
    "FORMATS",
    "Hits",
    "Mark",
    "Merged",
    "Retriever",
    "SearchIndex",
    "Weights",
    "all_marks",
    "build_index",
    "exported",
    "features",
    "fields",
    "hidden_signs",
    "hit_answers",
    "marks",
    "merged",
    "missing_signals",
    "named_weights",
    "near_marks",
    "open_index",
    "record",
    "snippet",
    "without",
]
