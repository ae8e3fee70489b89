"""The group `tandem eval`: its commands are imported when they run, so that help stays quick."""

from __future__ import annotations

import shlex

import click

from configs.lazy import LazyGroup

__all__ = ["COMMANDS", "command_line", "evaluate"]

# command -> (module, object, one line of help)
COMMANDS = {
    "relevance": ("eval.cli_relevance", "relevance", "Rank judged queries and measure the result."),
    "compare": (
        "eval.cli_compare",
        "compare",
        "Systems side by side: which is better, and is it chance?",
    ),
    "tune": ("eval.cli_tune", "tune", "Choose the fusion from judgments, by cross-validation."),
    "fit": ("eval.cli_fit", "fit", "Fit the learned fusion to an index, from judgments."),
    "churn": (
        "eval.cli_compare",
        "churn",
        "Without judgments: how much two systems' results differ.",
    ),
    "convert": ("eval.cli_convert", "convert", "Judgments from one format to another."),
    "bitext": (
        "eval.cli_similarity",
        "bitext",
        "Mine translations, and measure mining on BUCC's task.",
    ),
    "tatoeba": ("eval.cli_similarity", "tatoeba", "Accuracy of finding translations, both ways."),
    "sts": ("eval.cli_similarity", "sts", "Correlation with graded similarity of sentences."),
    "costra": ("eval.cli_similarity", "costra", "Czech sentence transformations (Costra)."),
    "paraphrase": ("eval.cli_similarity", "paraphrase", "Tell paraphrases from other pairs."),
    "probe": (
        "eval.cli_similarity",
        "probe",
        "Classify texts with a linear model on their vectors.",
    ),
    "bias": ("eval.cli_similarity", "bias", "Does language decide more than meaning?"),
    "speed": ("eval.cli_similarity", "speed", "Time to encode, index and search, and sizes."),
    "curve": ("eval.cli_similarity", "curve", "Quality by the size of the training data."),
}

ARGUMENTS = "eval.arguments"  # key in ctx.meta


class EvalGroup(LazyGroup):
    """Keeps what it was called with, for reports."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        ctx.meta[ARGUMENTS] = list(args)
        return super().parse_args(ctx, args)


def command_line() -> str:
    """The command being run, as it would be typed again."""
    arguments = click.get_current_context().meta.get(ARGUMENTS, [])
    return shlex.join(["tandem", "eval", *arguments])


@click.group(
    name="eval",
    cls=EvalGroup,
    lazy=COMMANDS,
    epilog="Example: tandem eval relevance qrels.txt --queries queries.jsonl -i demo.index --report report.html",
)
def evaluate() -> None:
    """Measure relevance, bitext mining, similarity and speed, through the index that serves."""
