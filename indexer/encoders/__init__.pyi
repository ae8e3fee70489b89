# What this package offers to the others; nothing else of it is imported from outside.
from . import static_encoder, transformer_encoder
from .local_models import STUDENT, model_folder
from .opening import named_encoder, open_encoder
from .transformer_engine import Layers

__all__ = [
    "STUDENT",
    "Layers",
    "model_folder",
    "named_encoder",
    "open_encoder",
    "static_encoder",
    "transformer_encoder",
]
