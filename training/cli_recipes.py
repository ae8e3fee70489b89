"""The recipes on the command line. torch is imported by a recipe when it runs, never for its help."""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
import yaml

from configs.load import load, names
from configs.options import config_options, json_option
from configs.progress import progress_to
from configs.training import (
    ContrastiveSettings,
    DistillSettings,
    RelevanceSettings,
    RetromaeSettings,
)

if TYPE_CHECKING:
    from training.recipes.contrastive import Objective
    from training.recipes.outputs import Result
    from training.run.loop import Progress
    from training.run.progress import Talk

__all__ = [
    "distill",
    "infocse",
    "infonce",
    "mnr",
    "rankcse",
    "relevance",
    "retromae",
    "simcse",
    "tsdae",
]

F = TypeVar("F", bound=Callable[..., Any])

RESUME = """A run that was stopped goes on when the same command is given again. The student goes to
OUT/model, its figures to OUT/result.json and OUT/log.jsonl."""


def recipe_options(command: F) -> F:
    """What every recipe takes."""
    command = click.option(
        "-o",
        "--out",
        "output",
        type=click.Path(path_type=Path, file_okay=False),
        metavar="OUT",
        help="Folder of the run: student, checkpoints, log. Needed, but for --show.",
    )(command)
    command = click.option(
        "--show",
        is_flag=True,
        help="Print every setting with the value it would have, as YAML, and do nothing else.",
    )(command)
    return json_option(config_options(command))


@click.command(
    epilog="Example: tandem train distill --config multilingual-distillation-xlmr -o runs/xlmr"
    " --set 'corpora.files=[{path: en-cs.tsv.xz}]'",
    help="Teach a student a teacher's space through translations: S(s) and S(t) near T(s) "
    f"(Reimers and Gurevych 2020). {RESUME}",
)
@recipe_options
def distill(config: str | None, changes: tuple[str, ...], **rest: Any) -> None:
    settings = load(DistillSettings, config, changes)

    def run(output: Path, talk: Talk) -> Result:
        from training.recipes.distill import distill as recipe

        return recipe(settings, output, talk)

    _run(run, settings, **rest)


@click.command(
    epilog="Example: tandem train simcse --config small-czech-simcse -o runs/simcse",
    help="Contrast a sentence under two dropout masks with the rest of the batch (Gao et al. 2021). "
    f"{RESUME}",
)
@recipe_options
def simcse(config: str | None, changes: tuple[str, ...], **rest: Any) -> None:
    _contrastive("simcse", config, changes, **rest)


@click.command(
    epilog="Example: tandem train infocse --config small-czech-infocse -o runs/infocse",
    help="SimCSE, and an auxiliary network that restores masked tokens from the sentence vector "
    f"(Wu et al. 2022). {RESUME}",
)
@recipe_options
def infocse(config: str | None, changes: tuple[str, ...], **rest: Any) -> None:
    _contrastive("infocse", config, changes, **rest)


@click.command(
    epilog="Example: tandem train rankcse --config small-czech-rankcse -o runs/rankcse"
    " --set ranking=listmle",
    help="SimCSE with ranking consistency and a teacher's ranking, by ListNet or ListMLE "
    f"(Liu et al. 2023). {RESUME}",
)
@recipe_options
def rankcse(config: str | None, changes: tuple[str, ...], **rest: Any) -> None:
    _contrastive("rankcse", config, changes, **rest)


@click.command(
    epilog="Example: tandem train tsdae --config small-czech-tsdae -o runs/tsdae",
    help="Restore a sentence from the vector of some of its words (Wang, Reimers and Gurevych 2021). "
    f"{RESUME}",
)
@recipe_options
def tsdae(config: str | None, changes: tuple[str, ...], **rest: Any) -> None:
    _contrastive("tsdae", config, changes, **rest)


@click.command(
    epilog="Example: tandem train infonce --config small-czech-infonce -o runs/infonce"
    " --set temperature=0.03",
    help="Contrast each pair with the rest of the batch, at a temperature, one way or both "
    f"(van den Oord et al. 2018). {RESUME}",
)
@recipe_options
def infonce(config: str | None, changes: tuple[str, ...], **rest: Any) -> None:
    _contrastive("infonce", config, changes, **rest)


@click.command(
    epilog="Example: tandem train mnr --config banglaembed-mnr -o runs/bangla",
    help="Multiple negatives ranking on pairs; with a teacher, against its vectors of the source side "
    f"(Henderson et al. 2017, Kabir et al. 2024). {RESUME}",
)
@recipe_options
def mnr(config: str | None, changes: tuple[str, ...], **rest: Any) -> None:
    _contrastive("mnr", config, changes, **rest)


@click.command(
    epilog="Example: tandem train retromae --config small-czech-retromae -o runs/retromae"
    " --set 'texts=[{path: czech.txt.xz}]'",
    help="Pre-train a body on plain text: a one-layer decoder restores each sentence from its vector "
    f"(Xiao et al. 2022). {RESUME}",
)
@recipe_options
def retromae(config: str | None, changes: tuple[str, ...], **rest: Any) -> None:
    settings = load(RetromaeSettings, config, changes)

    def run(output: Path, talk: Talk) -> Result:
        from training.recipes.retromae import retromae as recipe

        return recipe(settings, output, talk)

    _run(run, settings, **rest)


@click.command(
    epilog="Example: tandem train relevance --config small-czech-relevance -o runs/relevance"
    " --set train=train_small.tsv --set held_out=dev.tsv --set loss=margin",
    help="Fine-tune on a DaReCzech file of queries and graded documents, by cosine or margin loss "
    f"(Kocián et al. 2022). {RESUME}",
)
@recipe_options
def relevance(config: str | None, changes: tuple[str, ...], **rest: Any) -> None:
    settings = load(RelevanceSettings, config, changes)

    def run(output: Path, talk: Talk) -> Result:
        from training.recipes.relevance import relevance as recipe

        return recipe(settings, output, talk)

    _run(run, settings, **rest)


def _contrastive(
    objective: Objective, config: str | None, changes: tuple[str, ...], **rest: Any
) -> None:
    settings = load(ContrastiveSettings, config, changes)

    def run(output: Path, talk: Talk) -> Result:
        from training.recipes.contrastive import contrastive as recipe

        return recipe(objective, settings, output, talk)

    _run(run, settings, **rest)


def _run(
    run: Callable[[Path, Talk], Result],
    settings: Any,
    output: Path | None,
    show: bool,
    as_json: bool,
) -> None:
    """Show the settings, or run with a bar on stderr and the result on stdout."""
    if show:
        # through JSON: YAML's safe writer knows no tuples
        values = json.loads(json.dumps(dataclasses.asdict(settings)))
        click.echo(yaml.safe_dump(values, sort_keys=False, allow_unicode=True), nl=False)
        return
    if output is None:
        raise click.UsageError("Missing option '-o' / '--out'.", click.get_current_context())
    from training.run.needs import check_needs

    check_needs(settings, names())
    from training.run.device import keep_memory

    keep_memory()
    with _talking() as talk:
        result = run(output, talk)
    if as_json:
        click.echo(json.dumps(dataclasses.asdict(result)))
        return
    how = f"{result.model}: step {result.best_step} of {result.steps}, {result.examples} examples"
    if result.score is not None and result.before is not None:
        how += f"; {result.metric} {result.before:.3f} before, {result.score:.3f} after"
    click.echo(how + ("; stopped early" if result.stopped_early else ""))


@contextmanager
def _talking() -> Iterator[Talk]:
    """Lines and a bar with an estimate on stderr; without a terminal, lines only."""
    from training.run.progress import Talk

    shown = sys.stderr.isatty()
    begun = False

    def say(message: str) -> None:
        click.echo(f"\r\x1b[K{message}" if shown and begun else message, err=True)

    def tell(progress: Progress) -> None:
        nonlocal begun
        if progress.message:
            left = "" if progress.left is None else f"; {_minutes(progress.left)} left"
            say(f"{progress.message}{left}")
        begun = True
        advance(progress.step, progress.steps, f"loss {progress.loss:.4g}")

    with progress_to("training") as advance:
        yield Talk(say, tell)


def _minutes(seconds: float) -> str:
    whole = round(seconds)
    if whole < 120:
        return f"{whole} s"
    hours, minutes = divmod(whole // 60, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min"
