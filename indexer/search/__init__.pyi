# What this package offers to the others; nothing else of it is imported from outside.
from .alignment import SAMPLE, Alignment, answers
from .bm25 import RankBM25Index
from .dense import DenseIndex, choose_factory, read_ann, write_ann
from .filters import RowFilters, check_condition, kinds_of, named, nearest_field
from .gpu import cards, gpus
from .lexical import K1, LexicalIndex, LexicalWriter, bound
from .pool import pool_of, pools
from .query import prepared

__all__ = [
    "K1",
    "SAMPLE",
    "Alignment",
    "DenseIndex",
    "LexicalIndex",
    "LexicalWriter",
    "RankBM25Index",
    "RowFilters",
    "answers",
    "bound",
    "cards",
    "check_condition",
    "choose_factory",
    "gpus",
    "kinds_of",
    "named",
    "nearest_field",
    "pool_of",
    "pools",
    "prepared",
    "read_ann",
    "write_ann",
]
