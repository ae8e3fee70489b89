# What this package offers to the others; nothing else of it is imported from outside.
from . import contrastive, distill, relevance, retromae
from .outputs import Result
from .static import train_static
from .tokenizer import lines_by_language, sampled, save, train_tokenizer

__all__ = [
    "Result",
    "contrastive",
    "distill",
    "lines_by_language",
    "relevance",
    "retromae",
    "sampled",
    "save",
    "train_static",
    "train_tokenizer",
]
