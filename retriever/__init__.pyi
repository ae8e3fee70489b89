# What this package offers to the others; nothing else of it is imported from outside.
from . import fields
from .hits import Hits, missing_signals
from .retriever import Retriever
from .search_index import SearchIndex, build_index, open_index
from .snippets import marks, snippet

__all__ = [
    "Hits",
    "Retriever",
    "SearchIndex",
    "build_index",
    "fields",
    "marks",
    "missing_signals",
    "open_index",
    "snippet",
]
