"""The commands of static students: `train tokenizer`, `train static`, `train export`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import click

from configs.load import load
from configs.options import config_options, json_option
from configs.progress import progress_to

__all__ = ["export", "static", "tokenizer"]

OUT = click.option(
    "-o", "--out", required=True, type=click.Path(path_type=Path), help="Where to write."
)


def _talk(line: str) -> None:
    click.echo(line, err=True)


@click.command(
    epilog="Example: tandem train tokenizer --config tokenizer --set size=32000 -o tokenizer.json"
)
@config_options
@OUT
@json_option
def tokenizer(config: str | None, changes: Sequence[str], out: Path, as_json: bool) -> None:
    """Train a subword vocabulary (unigram or WordPiece) on parallel corpora, into the file --out.

    Languages are drawn in proportion to (their lines) ** temperature, 0.5 unless changed.
    """
    from configs.training_static import TokenizerSettings

    settings = load(TokenizerSettings, config, changes)
    from training.data.corpora import read_pairs
    from training.recipes.tokenizer import lines_by_language, sampled, save, train_tokenizer

    pairs = read_pairs(settings.corpora, seed=settings.seed, talk=_talk)
    languages = lines_by_language(pairs, settings.corpora.language)
    lines = sampled(languages, settings.lines, settings.temperature, settings.seed)
    _talk(f"{len(lines)} lines, {sum(map(len, lines)):,} characters; this takes minutes")
    trained = train_tokenizer(lines, settings, languages)
    save(trained, out)
    facts = {"tokenizer": str(out), "pieces": trained.get_vocab_size(), "lines": len(lines)}
    click.echo(json.dumps(facts) if as_json else f"{out}: {facts['pieces']} pieces")


@click.command(epilog="Example: tandem train static --config static -o runs/student")
@config_options
@OUT
@click.option(
    "--cache",
    type=click.Path(path_type=Path),
    help="Where the teacher's vectors are kept, for other runs too. Default: in --out.",
)
@json_option
def static(
    config: str | None, changes: Sequence[str], out: Path, cache: Path | None, as_json: bool
) -> None:
    """Train a static student (a table of token vectors) on parallel sentences, into the folder --out.

    Run the same command again after a kill: it goes on from the last epoch, with the same result.
    """
    from configs.training_static import StaticSettings

    settings = load(StaticSettings, config, changes)
    from training.recipes.static import train_static

    with progress_to("training") as progress:
        facts = train_static(settings, out, cache=cache, talk=_talk, progress=progress)
    line = facts["held_out"]
    click.echo(
        json.dumps(facts, default=str)
        if as_json
        else f"{out}: translation accuracy of held-out pairs {line['forward']:.3f} / {line['back']:.3f}"
    )


@click.command(epilog="Example: tandem train export runs/student -o student --bits 4")
@click.argument("run", type=click.Path(path_type=Path))
@OUT
@click.option(
    "--format",
    "kind",
    type=click.Choice(["compact", "sentence-transformers", "onnx"]),
    default="compact",
    show_default=True,
    help="Tandem's own folder, one that SentenceTransformer(path) opens, or one with a model.onnx.",
)
@click.option(
    "--bits",
    type=click.Choice(["4", "8", "16", "32"]),
    help="Bits of each number in the token table; 16 is float16. A transformer's other matrices have 8, or "
    "16 with 16.  [default: 8; 32 for others than Tandem]",
)
@click.option(
    "--length-power",
    type=click.FloatRange(0.0, 2.0),
    default=1.0,
    show_default=True,
    help="Static: raise each token's length, its weight in a text, to this power; below 1 evens them out.",
)
@click.option(
    "--whiten",
    type=click.FloatRange(0.0, 1.0),
    default=0.0,
    show_default=True,
    help="Whitening strength: 0 is off, 1 is full; estimated on the training corpora.",
)
@click.option(
    "--neutral",
    is_flag=True,
    help="Take the languages out of a transformer's space (see docs/models.md), in the directions of its training where it was "
    "trained without them; kept with its weights.",
)
@click.option("--name", default="", help="What the student is called. Default: the folder's name.")
@click.option(
    "--licences",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="A Markdown table of the corpora (source, from, licence...), for the model card.",
)
@click.option(
    "--figures",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Markdown that goes to the end of the model card.",
)
def export(
    run: Path,
    out: Path,
    kind: str,
    bits: str | None,
    length_power: float,
    whiten: float,
    neutral: bool,
    name: str,
    licences: Path | None,
    figures: Path | None,
) -> None:
    """Write the student of a training folder, or one exported before, as a folder to use or to share.

    RUN is what any `tandem train` recipe wrote, a static or compact student, or a sentence-transformers
    folder. Vectors of --format sentence-transformers and onnx are those of RUN.
    """
    from training.export.dispatch import Export, export_student

    wanted = Export(
        kind,  # type: ignore[arg-type]
        None if bits is None else int(bits),  # type: ignore[arg-type]
        name,
        length_power,
        whiten,
        neutral,
        licences,
        figures,
    )
    export_student(run, out, wanted, _talk)
    click.echo(str(out))
