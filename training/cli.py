"""The commands under `tandem train`, each imported only when it is called for."""

from __future__ import annotations

import importlib

import click

__all__ = ["train"]

# command -> (module, one line of help); the object has the command's name
COMMANDS = {
    "tokenizer": ("training.cli_static", "Make one subword vocabulary for many languages."),
    "static": ("training.cli_static", "Train a static student: a table of token vectors."),
    "distill": ("training.cli_recipes", "Teach a student a teacher's space through translations."),
    "simcse": ("training.cli_recipes", "Tell a sentence under two dropout masks from all others."),
    "rankcse": ("training.cli_recipes", "SimCSE, and a teacher's ranking of each batch."),
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


class LazyGroup(click.Group):
    """A click group whose commands are imported when they run."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(COMMANDS[cmd_name][0])
        command: click.Command = getattr(module, cmd_name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, entry[1]) for name, entry in COMMANDS.items()])


@click.group(
    cls=LazyGroup,
    epilog="Example: tandem train distill --config multilingual-distillation-xlmr -o runs/xlmr",
)
def train() -> None:
    """Train and export students."""
