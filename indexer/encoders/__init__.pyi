# What this package offers to the others; nothing else of it is imported from outside.
from . import (
    neutral_space,
    static_encoder,
    tokenizer_files,
    transformer_encoder,
    unigram_tokenizer,
)
from .local_models import FAST, model_folder
from .neutral_encoder import NeutralEncoder
from .opening import PACKAGED, RENAMED, choose_encoder, named_encoder, open_encoder
from .static_encoder import StaticEncoder
from .token_vectors import TokenTable, aligner, aligner_facts, aligns, known_tokens, token_table
from .transformer_engine import Layers
from .word_weights import WordWeights

__all__ = [
    "FAST",
    "PACKAGED",
    "RENAMED",
    "Layers",
    "NeutralEncoder",
    "StaticEncoder",
    "TokenTable",
    "WordWeights",
    "aligner",
    "aligner_facts",
    "aligns",
    "choose_encoder",
    "known_tokens",
    "model_folder",
    "named_encoder",
    "neutral_space",
    "open_encoder",
    "static_encoder",
    "token_table",
    "tokenizer_files",
    "transformer_encoder",
    "unigram_tokenizer",
]
