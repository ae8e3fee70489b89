# What this package offers to the others; nothing else of it is imported from outside.
from . import token_lists
from .batches import Rows, plan, shuffled, split_rows, steps_of
from .catalogues import inflected, read_catalogues
from .corpora import Pairs, Talk, read_pairs
from .joined_passages import SentenceLists, with_passages
from .plain_texts import read_scored, read_texts

__all__ = [
    "Pairs",
    "Rows",
    "SentenceLists",
    "Talk",
    "inflected",
    "plan",
    "read_catalogues",
    "read_pairs",
    "read_scored",
    "read_texts",
    "shuffled",
    "split_rows",
    "steps_of",
    "token_lists",
    "with_passages",
]
