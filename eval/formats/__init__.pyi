# What this package offers to the others; nothing else of it is imported from outside.
from . import beir, dareczech, trec
from .file_kinds import LOOKS, sniff
from .judgments import Judgments, Qrels, read_judgments, with_records
from .topics import Topic, read_queries

__all__ = [
    "LOOKS",
    "Judgments",
    "Qrels",
    "Topic",
    "beir",
    "dareczech",
    "read_judgments",
    "read_queries",
    "sniff",
    "trec",
    "with_records",
]
