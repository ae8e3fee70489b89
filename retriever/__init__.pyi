# What this package offers to the others; nothing else of it is imported from outside.
from . import fields
from .hits import Hits, missing_signals
from .retriever import Retriever
from .search_index import SearchIndex, build_index, open_index
from .snippets import Mark, all_marks, marks, snippet
from .word_answers import hit_answers

__all__ = [
    "Hits",
    "Mark",
    "Retriever",
    "SearchIndex",
    "all_marks",
    "build_index",
    "fields",
    "hit_answers",
    "marks",
    "missing_signals",
    "open_index",
    "snippet",
]
