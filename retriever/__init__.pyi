# What this package offers to the others; nothing else of it is imported from outside.
from . import fields
from .hits import Hits, missing_signals
from .learned_fusion import Weights, features, named_weights
from .retriever import Retriever
from .search_index import SearchIndex, build_index, open_index
from .snippets import Mark, all_marks, marks, snippet
from .word_answers import hit_answers

__all__ = [
    "Hits",
    "Mark",
    "Retriever",
    "SearchIndex",
    "Weights",
    "all_marks",
    "build_index",
    "features",
    "fields",
    "hit_answers",
    "marks",
    "missing_signals",
    "named_weights",
    "open_index",
    "snippet",
]
