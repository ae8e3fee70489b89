# What this package offers to the others; nothing else of it is imported from outside.
from . import e5_package, sentence_vectors
from .model_parts import Parts, parts_of, restored
from .opening import open_model, width_of
from .static_start import StaticStart, open_start
from .students import open_student
from .teachers import encoder_vectors, multilingual_teacher, teach, teacher_vectors

__all__ = [
    "Parts",
    "StaticStart",
    "e5_package",
    "encoder_vectors",
    "multilingual_teacher",
    "open_model",
    "open_start",
    "open_student",
    "parts_of",
    "restored",
    "sentence_vectors",
    "teach",
    "teacher_vectors",
    "width_of",
]
