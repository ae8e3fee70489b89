# What this package offers to the others; nothing else of it is imported from outside.
from . import static_encoder, transformer_encoder
from .opening import MINILM, STUDENT, named_encoder, open_encoder
from .transformer_engine import Layers

__all__ = [
    "MINILM",
    "STUDENT",
    "Layers",
    "named_encoder",
    "open_encoder",
    "static_encoder",
    "transformer_encoder",
]
