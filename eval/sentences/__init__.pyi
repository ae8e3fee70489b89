# What this package offers to the others; nothing else of it is imported from outside.
from . import costra, curve
from .bias import (
    AnswerPool,
    Pool,
    PoolPrecision,
    aligned_pool,
    answer_precision,
    language_bias,
    pool_precision,
    read_answers,
    read_pool,
)
from .bucc import Mined, Quality, Split, best_threshold, quality, read_split, write_gold
from .classification_head import head_probe
from .cluster_sentences import ClusterSentences
from .encoding import Remembering, encoded
from .margin import Margin, Pairs, Retrieval
from .mining import (
    BLOCK,
    LONGEST,
    SentenceIndex,
    Sentences,
    as_documents,
    first_of_each,
    identified,
    live_sentences,
    mine,
    read_sentences,
    with_factory,
    write_pairs,
)
from .multilabel import multilabel_probe, read_multilabel
from .paraphrase import Labelled, paraphrases, read_labelled
from .probe import cross_validated, held_out, read_classified
from .sts import across, correlation, cosines, read_graded
from .tables import DataFile, data_file, lines, read_rows, stem
from .tatoeba import accuracy, macro, read_pairs

__all__ = [
    "BLOCK",
    "LONGEST",
    "AnswerPool",
    "ClusterSentences",
    "DataFile",
    "Labelled",
    "Margin",
    "Mined",
    "Pairs",
    "Pool",
    "PoolPrecision",
    "Quality",
    "Remembering",
    "Retrieval",
    "SentenceIndex",
    "Sentences",
    "Split",
    "accuracy",
    "across",
    "aligned_pool",
    "answer_precision",
    "as_documents",
    "best_threshold",
    "correlation",
    "cosines",
    "costra",
    "cross_validated",
    "curve",
    "data_file",
    "encoded",
    "first_of_each",
    "head_probe",
    "held_out",
    "identified",
    "language_bias",
    "lines",
    "live_sentences",
    "macro",
    "mine",
    "multilabel_probe",
    "paraphrases",
    "pool_precision",
    "quality",
    "read_answers",
    "read_classified",
    "read_graded",
    "read_labelled",
    "read_multilabel",
    "read_pairs",
    "read_pool",
    "read_rows",
    "read_sentences",
    "read_split",
    "stem",
    "with_factory",
    "write_gold",
    "write_pairs",
]
