"""`tandem eval bitext bucc` and `tandem eval bitext mine`."""

from __future__ import annotations

import contextlib
import hashlib
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import click

from configs.errors import ConfigError, DocumentError
from configs.load import load
from configs.progress import progress_bar, progress_over
from configs.settings import ElasticsearchSettings, Settings
from configs.tables import plain_table
from eval.cli_measure import (
    emit,
    encoder_options,
    model_name,
    percent,
    the_encoder,
)
from indexer.elastic.address import is_address

if TYPE_CHECKING:
    from eval.sentences.bucc import Mined, Quality, Split
    from eval.sentences.margin import Margin, Retrieval
    from eval.sentences.mining import SentenceIndex, Sentences
    from indexer.schema import Document, Encoder

__all__ = ["bitext"]

F = TypeVar("F", bound=Callable[..., Any])


def mining_options(command: F) -> F:
    """`-k`, `--margin`, `--retrieval`, `--work`."""
    command = click.option(
        "--work",
        metavar="FOLDER",
        help="Keep the two index folders here, and use them (or finish them) when they are there. "
        "Default: a temporary folder.",
    )(command)
    command = click.option(
        "--retrieval",
        type=click.Choice(["forward", "backward", "max", "intersection"]),
        default="max",
        show_default=True,
        help="Best target of each source, best source of each target, both with each sentence at most "
        "once, or those that both agree on.",
    )(command)
    command = click.option(
        "--margin",
        type=click.Choice(["ratio", "distance", "absolute"]),
        default="ratio",
        show_default=True,
        help="Cosine against the mean cosine of both neighbourhoods: divided, subtracted, or alone.",
    )(command)
    return click.option(
        "-k",
        "neighbours",
        default=4,
        show_default=True,
        type=click.IntRange(min=1),
        help="Neighbours looked at, both ways.",
    )(command)


@click.group()
def bitext() -> None:
    """Find translations in two heaps of sentences, and measure how well that works."""


@bitext.command(
    epilog="Example: tandem eval bitext mine cs.txt en.txt -o pairs.tsv --threshold 1.06"
)
@click.argument("source")
@click.argument("target")
@click.option("-o", "--out", metavar="FILE", help="Where the pairs go. Default: stdout.")
@click.option("--threshold", type=float, help="Lowest score that is written. Default: all pairs.")
@click.option(
    "--ids", is_flag=True, help="Files hold `id TAB sentence`; the ids are written as well."
)
@click.option("--langs", metavar="A,B", help="Languages of SOURCE and TARGET. Default: detected.")
@click.option(
    "--factory",
    default="auto",
    show_default=True,
    help="FAISS factory of the dense side (Flat, HNSW32, IVF1024,SQ8...); auto: by the number of sentences.",
)
@mining_options
@encoder_options
def mine(
    source: str,
    target: str,
    out: str | None,
    threshold: float | None,
    ids: bool,
    langs: str | None,
    factory: str,
    neighbours: int,
    margin: str,
    retrieval: str,
    work: str | None,
    as_json: bool,
    index_path: str | None,
    **which: Any,
) -> None:
    """Write scored sentence pairs: score, source, target in each line, best first.

    SOURCE and TARGET are text files of a sentence a line (plain, .gz, .xz), or indexes that are there
    already: folders, or es://NAME. Vectors and texts stay on disk: millions of sentences need little memory.
    """
    from eval.sentences.margin import Pairs
    from eval.sentences.mining import BLOCK, write_pairs
    from eval.sentences.mining import mine as mined_pairs

    begin = time.perf_counter()
    codes = _two(langs)
    needs_encoder = not (_is_index(source) and _is_index(target))
    if not needs_encoder and (which["model"] or index_path):
        raise ConfigError("two indexes name their encoder themselves; leave --encoder and -i out")
    encoder = the_encoder(index_path=index_path, **which) if needs_encoder else None
    model = model_name(which["model"], index_path, which["config"], which["changes"])
    with _workplace(work) as folder:
        cluster = load(Settings, which["config"], which["changes"]).elasticsearch
        places = folder / "source.index", folder / "target.index"
        one, other = (
            _sentences(path, place, encoder, model, code, ids, factory, cluster)
            for path, place, code in zip((source, target), places, codes, strict=True)
        )
        with (
            progress_over(range(0, len(one), BLOCK), "source to target") as there,
            progress_over(range(0, len(other), BLOCK), "target to source") as back,
        ):
            pairs: Pairs = mined_pairs(
                one,
                other,
                neighbours,
                cast("Margin", margin),
                cast("Retrieval", retrieval),
                there,
                back,
            )
        if threshold is not None:
            pairs = pairs.above(threshold)
        if out is None:
            if not as_json:
                write_pairs(sys.stdout, pairs, one, other, ids)
        else:
            with Path(out).open("w", encoding="utf-8", newline="\n") as file:
                write_pairs(file, pairs, one, other, ids)
        result = {
            "source": len(one),
            "target": len(other),
            "pairs": len(pairs),
            "highest": float(pairs.scores[0]) if len(pairs) else None,
            "lowest": float(pairs.scores[-1]) if len(pairs) else None,
            "seconds": round(time.perf_counter() - begin, 3),
        }
        kept = one.encoder
    said = f"{len(pairs)} pairs from {len(one)} and {len(other)} sentences in {result['seconds']:.1f} s"
    click.echo(said, err=True)
    if as_json:
        settings = {
            "k": neighbours,
            "margin": margin,
            "retrieval": retrieval,
            "threshold": threshold,
        }
        emit(True, "bitext mine", kept, [], result, "", **settings, factory=factory, out=out)


@bitext.command(
    epilog="Example: tandem eval bitext bucc de-en.test --train de-en.training --factory Flat --factory HNSW32"
)
@click.argument("test")
@click.option(
    "--train",
    metavar="PREFIX",
    help="The split that the threshold is chosen on. Default: --threshold.",
)
@click.option(
    "--threshold", type=float, help="Lowest score kept, instead of one chosen on --train."
)
@click.option(
    "--langs", metavar="A,B", help="File endings, source first. Default: from the name (de-en)."
)
@click.option(
    "--factory",
    "factories",
    multiple=True,
    help="FAISS factory of the dense side; repeat it to see what an approximate index costs beside the "
    "first. Default: auto.",
)
@click.option(
    "-o", "--out", metavar="FILE", help="Write TEST's pairs here, in BUCC's format (id TAB id)."
)
@click.option(
    "--scored", metavar="FILE", help="Write TEST's pairs here with scores: score, id, id."
)
@mining_options
@encoder_options
def bucc(
    test: str,
    train: str | None,
    threshold: float | None,
    langs: str | None,
    factories: tuple[str, ...],
    out: str | None,
    scored: str | None,
    neighbours: int,
    margin: str,
    retrieval: str,
    work: str | None,
    as_json: bool,
    **which: Any,
) -> None:
    """The BUCC shared task: precision, recall and F1 of mined pairs.

    TEST is the common name of a split's files: de-en.test for de-en.test.de, de-en.test.en and
    de-en.test.gold. Without --train and --threshold the threshold is chosen on TEST itself, which is an
    upper bound and is said so.
    """
    from eval.sentences.bucc import write_gold
    from eval.sentences.encoding import Remembering
    from eval.sentences.tables import data_file

    if train is not None and threshold is not None:
        raise ConfigError("--train chooses the threshold and --threshold gives it; leave one out")
    writes = out is not None or scored is not None
    tested, trained = _splits(
        test, train, langs, writes=writes, has_threshold=threshold is not None
    )
    encoder = Remembering(the_encoder(**which))
    model = model_name(which["model"], which["index_path"], which["config"], which["changes"])
    options = (neighbours, cast("Margin", margin), cast("Retrieval", retrieval))
    rows: list[dict[str, Any]] = []
    wanted = factories or ("auto",)
    with _workplace(work) as folder, contextlib.ExitStack() as opened:
        sides = [
            (split, _sides(split, folder, encoder, model, wanted[0], opened))
            for split in (tested, trained)
            if split is not None
        ]
        for number, factory in enumerate(wanted):
            other = folder / f"{number}.faiss" if number and factory != wanted[0] else None
            row, kept = _mined_row(sides, factory, other, options, threshold)
            rows.append(row)
            if number == 0 and out is not None:
                write_gold(out, kept)
            if number == 0 and scored is not None:
                lines = "".join(f"{p.score:.6f}\t{p.source}\t{p.target}\n" for p in kept)
                Path(scored).write_text(lines, "utf-8")
    data = [
        data_file(file)
        for prefix in (train, test)
        if prefix is not None
        for ending in (*tested.langs, "gold")
        for file in (f"{prefix}.{ending}", f"{prefix}.{ending}.gz")
        if Path(file).is_file()
    ]
    settings = {"k": neighbours, "margin": margin, "retrieval": retrieval}
    report = [{**row, "train": _values(row["train"]), "test": _values(row["test"])} for row in rows]
    emit(as_json, "BUCC", encoder, data, report, _bucc_table(tested, rows), **settings)


def _splits(
    test: str, train: str | None, langs: str | None, *, writes: bool, has_threshold: bool
) -> tuple[Split, Split | None]:
    """(the split that is tested, the one that the threshold is chosen on); DocumentError and ConfigError for
    what cannot be measured: `writes` says that the pairs go to a file."""
    from eval.sentences.bucc import read_split

    codes = _two(langs) if langs else None
    tested = read_split(test, codes)
    trained = read_split(train, codes) if train else None
    if trained is not None and trained.gold is None:
        raise DocumentError(f"{train}.gold: no such file; the threshold is chosen on gold pairs")
    if tested.gold is None and not writes:
        raise DocumentError(f"{test}.gold: no such file; give -o to write the pairs instead")
    if tested.gold is None and trained is None and not has_threshold:
        raise ConfigError(f"{test} has no gold pairs: give --train or --threshold")
    return tested, trained


def _mined_row(
    sides: Sequence[tuple[Split, tuple[Sentences, Sentences]]],
    factory: str,
    other: Path | None,
    options: tuple[int, Margin, Retrieval],
    threshold: float | None,
) -> tuple[dict[str, Any], list[Mined]]:
    """(the row of one FAISS factory, the pairs it keeps); `sides` has the tested split, then the training one if any."""
    from eval.sentences.bucc import best_threshold, quality

    (tested, test_sides), *trained = sides
    limit, on_train, chosen_on = threshold, None, "--threshold"
    for split, train_sides in trained:
        assert split.gold is not None
        mined, _ = _mined(split.name, train_sides, factory, other, options)
        limit, chosen_on = best_threshold(mined, split.gold), "the training split"
        on_train = quality(mined, split.gold, limit)
    found, seconds = _mined(tested.name, test_sides, factory, other, options)
    if limit is None:
        assert tested.gold is not None
        limit = best_threshold(found, tested.gold)
        chosen_on = "the test split: an upper bound"
    kept = [pair for pair in found if pair.score >= limit]
    row = {
        "factory": factory,
        "threshold": limit,
        "chosen_on": chosen_on,
        "train": on_train,
        "test": quality(found, tested.gold, limit) if tested.gold is not None else None,
        "kept": len(kept),
        "search_seconds": round(seconds, 3),
    }
    return row, kept


def _bucc_table(split: Split, rows: Sequence[dict[str, Any]]) -> str:
    base = rows[0]["test"]

    def line(row: dict[str, Any]) -> list[str]:
        start = [row["factory"], f"{row['threshold']:.5f}", str(row["kept"])]
        found: Quality | None = row["test"]
        if found is None or base is None:
            return [*start, "-", "-", "-", "-", f"{row['search_seconds']:.2f}"]
        figures = [percent(x) for x in (found.precision, found.recall, found.f1)]
        return [*start, *figures, percent(found.f1 - base.f1), f"{row['search_seconds']:.2f}"]

    text = plain_table(
        ["index", "threshold", "kept", "precision", "recall", "F1", "F1 cost", "search s"],
        map(line, rows),
    )
    if split.repeated:
        text += f"\n{split.repeated} sentences stand there more than once"
    return f"{text}\nthreshold chosen on {rows[0]['chosen_on']}"


def _values(found: Quality | None) -> dict[str, Any] | None:
    import dataclasses

    return None if found is None else dataclasses.asdict(found)


def _sides(
    split: Split,
    folder: Path,
    encoder: Encoder,
    model: str,
    factory: str,
    opened: contextlib.ExitStack,
) -> tuple[Sentences, Sentences]:
    """A split's two index folders, closed when `opened` is."""
    from indexer.schema import Document

    sides: list[Sentences] = []
    for lang, texts in zip(split.langs, (split.source, split.target), strict=True):
        documents = (Document(key, text, lang=lang) for key, text in texts.items())
        place = folder / f"{split.name}.{lang}.index"
        side = _built(place, documents, len(texts), encoder, model, factory, _print(texts))
        opened.callback(side.folder.close)
        sides.append(side)
    return sides[0], sides[1]


def _mined(
    name: str,
    sides: tuple[Sentences, Sentences],
    factory: str,
    file: Path | None,
    options: tuple[int, Margin, Retrieval],
) -> tuple[list[Mined], float]:
    """A split's scored pairs, and the seconds the two searches took.

    `file`: where FAISS indexes of this factory are written; None: the folders' own are of it.
    """
    from eval.sentences.mining import BLOCK, identified, mine, with_factory

    source, target = sides
    if file is not None:
        source = with_factory(source, factory, file.with_name(f"{name}.source.{file.name}"))
        target = with_factory(target, factory, file.with_name(f"{name}.target.{file.name}"))
    start = time.perf_counter()
    with (
        progress_over(range(0, len(source), BLOCK), f"{name}, {factory}: forward") as there,
        progress_over(range(0, len(target), BLOCK), f"{name}, {factory}: backward") as back,
    ):
        pairs = mine(source, target, *options, there, back)
    seconds = time.perf_counter() - start
    return identified(pairs, source, target), seconds


def _print(texts: dict[str, str]) -> str:
    digest = hashlib.sha256()
    for key, text in texts.items():
        digest.update(f"{key}\t{text}\n".encode("utf-8", "surrogatepass"))
    return digest.hexdigest()


def _sentences(
    path: str,
    place: Path,
    encoder: Encoder | None,
    model: str,
    lang: str,
    ids: bool,
    factory: str,
    cluster: ElasticsearchSettings,
) -> SentenceIndex:
    """The sentences of an index; a text file is made into an index folder first."""
    from eval.sentences.cluster_sentences import ClusterSentences
    from eval.sentences.mining import as_documents, first_of_each, live_sentences, read_sentences
    from indexer.cluster import ClusterIndex
    from indexer.folder import IndexFolder

    if _is_index(path):
        index: SentenceIndex
        if is_address(path):
            index = ClusterSentences(ClusterIndex.open(path, None, cluster))
        else:
            index = live_sentences(IndexFolder.open(path))
        if encoder is not None and index.encoder.fingerprint != encoder.fingerprint:
            raise ConfigError(
                f"{path} was written with {index.encoder.name}; give --encoder {index.encoder.name} "
                "for the other file"
            )
        return index
    assert encoder is not None
    first = first_of_each(read_sentences(path, ids))
    if not len(first):
        raise DocumentError(f"{path}: the file is empty; a sentence in each line is expected")
    count = int(first.sum())
    if count < len(first):
        click.echo(f"{path}: {len(first) - count} repeated sentences left out", err=True)
    with Path(path).open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    documents = as_documents(read_sentences(path, ids), first, lang)
    return _built(place, documents, count, encoder, model, factory, f"{digest} {ids} {lang}")


def _is_index(path: str) -> bool:
    return is_address(path) or Path(path).is_dir()


def _built(
    place: Path,
    documents: Iterator[Document],
    count: int,
    encoder: Encoder,
    model: str,
    factory: str,
    fingerprint: str,
) -> Sentences:
    """The index folder at `place`: the one of an earlier call with the same input, or a new one."""
    from configs.settings import DenseSettings, PassageSettings
    from eval.sentences.mining import LONGEST, live_sentences
    from indexer.build import build_index
    from indexer.folder import IndexFolder
    from indexer.text.rejects import Reject

    made_of = {"input": fingerprint, "encoder": encoder.fingerprint, "factory": factory}
    note = place.with_name(f"{place.name}.json")
    if (place / "manifest.json").is_file():
        if not note.is_file() or json.loads(note.read_text("utf-8")) != made_of:
            raise ConfigError(
                f"{place}: made from other sentences, another encoder or factory; give another --work, or "
                "delete that folder"
            )
        return live_sentences(IndexFolder.open(place, encoder))
    rejects: list[Reject] = []
    place.parent.mkdir(parents=True, exist_ok=True)
    with progress_bar(f"indexing {count} sentences", count) as update:
        build_index(
            place,
            documents,
            encoder,
            model=model,
            passages=PassageSettings(size=LONGEST, overlap=0),
            dense=DenseSettings(factory=factory),
            on_reject=rejects.append,
            progress=update,
        )
    for reject in rejects[:3]:
        click.echo(f"left out: {reject.place}: {reject.reason}", err=True)
    if len(rejects) > 3:
        click.echo(f"left out: {len(rejects) - 3} more", err=True)
    note.write_text(json.dumps(made_of), "utf-8")
    return live_sentences(IndexFolder.open(place, encoder))


@contextlib.contextmanager
def _workplace(work: str | None) -> Iterator[Path]:
    if work is not None:
        Path(work).mkdir(parents=True, exist_ok=True)
        yield Path(work)
        return
    # FAISS and numpy keep files of an index mapped: Windows cannot remove those until the process ends
    with tempfile.TemporaryDirectory(prefix="tandem-bitext-", ignore_cleanup_errors=True) as folder:
        yield Path(folder)


def _two(langs: str | None) -> tuple[str, str]:
    if langs is None:
        return "", ""
    one, comma, other = langs.partition(",")
    if not comma or not one.strip() or not other.strip() or "," in other:
        raise ConfigError(f"--langs {langs}: two languages are expected, for example cs,en")
    return one.strip(), other.strip()
