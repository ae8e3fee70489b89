"""The commands under `tandem train`, each imported only when it is called for."""

from __future__ import annotations

import click

from configs.lazy import LazyGroup

__all__ = ["train"]

# command -> (module, one line of help); the object has the command's name
COMMANDS = {
    "tokenizer": ("training.cli_static", "Make one subword vocabulary for many languages."),
    "catalogues": (
        "training.cli_catalogues",
        "Make parallel corpora of translation catalogues and dictionaries.",
    ),
    "static": ("training.cli_static", "Train a static student: a table of token vectors."),
    "distill": ("training.cli_recipes", "Teach a student a teacher's space through translations."),
    "simcse": ("training.cli_recipes", "Tell a sentence under two dropout masks from all others."),
    "infocse": (
        "training.cli_recipes",
        "SimCSE, and masked tokens restored from the sentence vector.",
    ),
    "rankcse": ("training.cli_recipes", "SimCSE, and a teacher's ranking of each batch."),
    "tsdae": ("training.cli_recipes", "Restore a sentence from the vector of some of its words."),
    "infonce": (
        "training.cli_recipes",
        "Tell each pair's second text from all others, by temperature.",
    ),
    "mnr": ("training.cli_recipes", "Multiple negatives ranking on pairs, or against a teacher."),
    "retromae": (
        "training.cli_recipes",
        "Pre-train on plain text by restoring it from one vector.",
    ),
    "relevance": ("training.cli_recipes", "Fine-tune on queries and graded documents."),
    "export": (
        "training.cli_static",
        "Write a student in few bits, for sentence-transformers, or as ONNX.",
    ),
}


@click.group(
    cls=LazyGroup,
    lazy={name: (module, name, line) for name, (module, line) in COMMANDS.items()},
    epilog="Example: tandem train distill --config multilingual-distillation-xlmr -o runs/xlmr",
)
def train() -> None:
    """Train and export students."""
