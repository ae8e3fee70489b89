"""`tandem eval`: tatoeba, sts, bias, costra, paraphrase, probe; and, from their own files, bitext, speed
and curve. Nothing heavy is imported before a command runs.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from configs.errors import ConfigError
from configs.tables import plain_table
from eval.cli_bitext import bitext
from eval.cli_measure import (
    columns_option,
    emit,
    encoder_options,
    percent,
    split_columns,
    the_encoder,
)
from eval.cli_speed import curve, speed

if TYPE_CHECKING:
    from eval.sentences.bias import Pool, PoolPrecision

__all__ = ["bias", "bitext", "costra", "curve", "paraphrase", "probe", "speed", "sts", "tatoeba"]

FILES = click.argument("files", nargs=-1, required=True, metavar="FILE...")


@click.command(epilog="Example: tandem eval tatoeba tatoeba.eng-*.tsv.gz --encoder accurate --json")
@FILES
@columns_option("source,target")
@encoder_options
def tatoeba(files: tuple[str, ...], columns: str | None, as_json: bool, **which: Any) -> None:
    """Translation accuracy, in per cent, both ways.

    FILE holds a sentence and its translation in each line. A sentence is right when its nearest one of
    the other column, by cosine over the whole file, is its own translation.
    """
    from eval.sentences.encoding import Remembering, encoded
    from eval.sentences.tables import data_file, stem
    from eval.sentences.tatoeba import accuracy, macro, read_pairs

    sets = [read_pairs(path, split_columns(columns)) for path in files]
    encoder = Remembering(the_encoder(**which))
    found = [
        accuracy(path, encoded(encoder, source, stem(path)), encoded(encoder, target, stem(path)))
        for path, (source, target) in zip(files, sets, strict=True)
    ]
    rows = [*found, macro(found)] if len(found) > 1 else found
    text = plain_table(
        ["set", "pairs", "forward", "backward", "mean"],
        [
            [r.name, str(r.pairs), percent(r.forward), percent(r.backward), percent(r.mean)]
            for r in rows
        ],
    )
    data = [data_file(path, len(one[0])) for path, one in zip(files, sets, strict=True)]
    emit(as_json, "tatoeba", encoder, data, rows, text)


@click.command(
    epilog="Example: tandem eval sts stsb.de.test.jsonl.gz stsb.fr.test.jsonl.gz --across"
)
@FILES
@columns_option("s1,s2,score")
@click.option(
    "--across",
    "across_too",
    is_flag=True,
    help="Also measure every pair of FILEs: first sentences of the one against second sentences of the "
    "other. They must hold the same pairs in the same order.",
)
@encoder_options
def sts(
    files: tuple[str, ...], columns: str | None, across_too: bool, as_json: bool, **which: Any
) -> None:
    """Semantic textual similarity: Spearman and Pearson, times 100.

    FILE holds two sentences and people's grade of their likeness in each line (any scale).
    """
    from eval.sentences.encoding import Remembering, encoded
    from eval.sentences.sts import across, correlation, cosines, read_graded
    from eval.sentences.tables import data_file

    alone = [read_graded(path, split_columns(columns)) for path in files]
    sets = list(alone)
    if across_too:
        if len(alone) < 2:
            raise ConfigError("--across compares files of two languages or more; one was given")
        sets += [across(one, other) for one in alone for other in alone if one is not other]
    encoder = Remembering(the_encoder(**which))
    found = [
        correlation(
            one.name,
            cosines(encoded(encoder, one.first, one.name), encoded(encoder, one.second, one.name)),
            one.grades,
        )
        for one in sets
    ]
    text = plain_table(
        ["set", "pairs", "Spearman", "Pearson"],
        [[r.name, str(r.pairs), percent(r.spearman), percent(r.pearson)] for r in found],
    )
    for name, part in (("in one language", found[: len(alone)]), ("across", found[len(alone) :])):
        if len(part) > 1:
            mean = sum(r.spearman for r in part) / len(part)
            text += f"\nmean Spearman {name}: {percent(mean)}"
    data = [data_file(path, len(one.grades)) for path, one in zip(files, alone, strict=True)]
    emit(as_json, "sts", encoder, data, found, text, across=across_too)


@click.command(
    epilog="Example: tandem eval bias stsb.*.test.jsonl.gz; "
    "tandem eval bias --pool ntrex128.eng-ces.tsv.gz ntrex128.eng-deu.tsv.gz --limit 500"
)
@FILES
@columns_option("s1,s2,score (or, with --pool and one FILE, id,lang,text)")
@click.option(
    "--pool",
    "is_pool",
    is_flag=True,
    help="Translations among the sentences of all languages in one pool: mAP@20, and a matrix of language pairs. One FILE "
    "of id, lang, text; or FILEs of two columns that share their first (name.eng-ces.tsv, or LANG=FILE).",
)
@click.option(
    "--answers",
    multiple=True,
    metavar="FILE",
    help="LAReQA: FILEs are questions (JSON lines of id, lang, text), and this is a file of answers (id, lang, text, "
    "questions: ids that it answers) for one pool of all languages; may be repeated.",
)
@click.option("--pivot", default="eng", show_default=True, help="The shared column's language.")
@click.option("--limit", default=0, help="Meanings used, from the top; 0 (default): all.")
@encoder_options
def bias(
    files: tuple[str, ...],
    columns: str | None,
    is_pool: bool,
    answers: tuple[str, ...],
    pivot: str,
    limit: int,
    as_json: bool,
    **which: Any,
) -> None:
    """Does the encoder prefer a language over a meaning?

    Without --pool, FILEs are graded pairs, each of one language or of a pair of languages, as in STS 2017: each file is
    measured alone (expected: their mean Spearman) and all joined (actual). Files that are row for row the same pairs in
    several languages are crossed too: the first side of one, the second of another. A negative difference is bias
    (Reimers and Gurevych 2020, section 6).
    """
    if answers:
        _answer_bias(files, answers, as_json, which)
        return
    if is_pool:
        _pool_bias(files, columns, pivot, limit, as_json, which)
        return
    from eval.sentences.bias import language_bias
    from eval.sentences.sts import across, read_graded
    from eval.sentences.tables import data_file

    alone = [read_graded(path, split_columns(columns)) for path in files]
    same = all(
        list(one.grades) == list(alone[0].grades) for one in alone
    )  # row for row the same pairs
    crossed = [across(one, other) for one in alone for other in alone if same and one is not other]
    encoder = the_encoder(**which)
    found = language_bias([*alone, *crossed], encoder)
    text = plain_table(
        ["set", "pairs", "Spearman"],
        [[one.name, str(one.pairs), percent(one.spearman)] for one in found.sets],
    )
    text += (
        f"\nexpected {percent(found.expected)}  actual {percent(found.actual)}"
        f"  difference {percent(found.difference)}"
    )
    data = [data_file(path, len(one.grades)) for path, one in zip(files, alone, strict=True)]
    emit(as_json, "language bias", encoder, data, found, text)


def _pool_bias(
    files: tuple[str, ...],
    columns: str | None,
    pivot: str,
    limit: int,
    as_json: bool,
    which: dict[str, Any],
) -> None:
    from eval.sentences.bias import aligned_pool, pool_precision, read_pool
    from eval.sentences.encoding import encoded
    from eval.sentences.tables import data_file

    named = [_language_and_path(file) for file in files]
    if len(files) == 1 and not named[0][0]:
        pool = read_pool(files[0], split_columns(columns))
    else:
        if unnamed := [path for lang, path in named if not lang]:
            raise ConfigError(f"{unnamed[0]}: of which language? Write it as LANG={unnamed[0]}")
        pool = aligned_pool(pivot, named)
    pool = _first_meanings(pool, limit)
    encoder = the_encoder(**which)
    found = pool_precision(pool, encoded(encoder, pool.texts))
    text = _precision_text(found)
    data = [data_file(path) for _, path in named]
    emit(as_json, "translation pool", encoder, data, found, text, limit=limit, pivot=pivot)


def _answer_bias(
    files: tuple[str, ...], answers: tuple[str, ...], as_json: bool, which: dict[str, Any]
) -> None:
    from eval.sentences.bias import answer_precision, read_answers
    from eval.sentences.tables import data_file

    pool = read_answers(files, answers)
    encoder = the_encoder(**which)
    asked = encoder.encode(list(pool.questions.texts), kind="query")
    found = answer_precision(pool, asked, encoder.encode(list(pool.texts), kind="passage"))
    data = [data_file(path) for path in (*files, *answers)]
    emit(as_json, "LAReQA", encoder, data, found, _precision_text(found))


def _precision_text(found: PoolPrecision) -> str:
    """A row for each language of the queries: mAP@20, and each language of the answers by itself."""
    text = plain_table(
        ["query", "mAP@20", *found.langs],
        [
            [lang, percent(found.by_query_language.get(lang)), *(percent(cell, 1) for cell in row)]
            for lang, row in zip(found.langs, found.matrix, strict=True)
        ],
    )
    return text + (
        f"\n{found.queries} queries, {found.candidates} candidates: mAP@20 "
        f"{percent(found.mean_average_precision)}; a wrong one of the query's own language comes first "
        f"for {percent(found.same_language_first)} %"
    )


def _language_and_path(file: str) -> tuple[str, str]:
    """The language a file's name gives (`LANG=FILE`, or `name.eng-ces.tsv`), empty when none; its path."""
    lang, equals, path = file.partition("=")
    if equals and lang.replace("-", "").isalnum():
        return lang, path
    match = re.search(r"\.[a-z]{2,3}-([A-Za-z][A-Za-z-]*)\.tsv", Path(file).name)
    return (match[1] if match else "", file)


def _first_meanings(pool: Pool, limit: int) -> Pool:
    import dataclasses

    if limit < 0:
        raise ConfigError(f"--limit {limit}: 0 or more is expected")
    if limit == 0:
        return pool
    kept = set(list(dict.fromkeys(pool.meanings))[:limit])
    rows = [row for row, meaning in enumerate(pool.meanings) if meaning in kept]
    return dataclasses.replace(
        pool,
        texts=tuple(pool.texts[row] for row in rows),
        langs=tuple(pool.langs[row] for row in rows),
        meanings=tuple(pool.meanings[row] for row in rows),
    )


@click.command(epilog="Example: tandem eval costra --encoder accurate")
@click.option(
    "--data", metavar="FILE", help="Costra's TSV. Default: the one in the costra package."
)
@click.option(
    "--raw",
    is_flag=True,
    help="Encode the sentences as written. Default: as tokenised, which the published figures use.",
)
@encoder_options
def costra(data: str | None, raw: bool, as_json: bool, **which: Any) -> None:
    """Costra 1.1: geometry of Czech sentence vectors, in per cent of people's judgments kept.

    Two means are printed. "mean of six categories" is the overall score of the costra package. "mean without basic and
    modality" is the mean that the figures of Bednář et al. 2023 fit. Compare only figures of the same mean.
    """
    from eval.sentences import costra as measure
    from eval.sentences.encoding import encoded
    from eval.sentences.tables import data_file

    path = data or measure.bundled()
    sentences = measure.read(path)
    encoder = the_encoder(**which)
    found = measure.score(
        sentences, encoded(encoder, [one.text if raw else one.tokens for one in sentences])
    )
    text = plain_table(
        ["category", "judgments", "kept"],
        [
            *(
                [name, str(found.judgments[name]), percent(v)]
                for name, v in found.categories.items()
            ),
            ["mean of six categories", "", percent(found.mean_of_six)],
            [
                "mean without basic and modality",
                "",
                percent(found.mean_without_basic_and_modality),
            ],
        ],
    )
    files = [data_file(path, len(sentences))]
    # with --data the package was not read, so its version would say nothing about the figures
    package = None if data else measure.package_version()
    emit(as_json, "costra", encoder, files, found, text, raw=raw, costra_package=package)


@click.command(
    epilog="Example: tandem eval paraphrase test.tsv --train train.tsv --encoder accurate"
)
@click.argument("file")
@click.option(
    "--train", metavar="FILE", help="Pairs to choose the best threshold on. Default: FILE itself."
)
@columns_option("s1,s2,label")
@encoder_options
def paraphrase(
    file: str, train: str | None, columns: str | None, as_json: bool, **which: Any
) -> None:
    """Paraphrase detection by cosine: at 0.8, and at the threshold of the best F1.

    FILE holds two sentences and a label in each line: 1 they mean the same, 0 they do not.
    """
    import numpy as np

    from eval.sentences.encoding import encoded
    from eval.sentences.paraphrase import Labelled, paraphrases, read_labelled
    from eval.sentences.sts import cosines
    from eval.sentences.tables import data_file

    test = read_labelled(file, split_columns(columns))
    chosen = read_labelled(train, split_columns(columns)) if train else None
    encoder = the_encoder(**which)

    def measured(
        pairs: Labelled,
    ) -> tuple[np.typing.NDArray[np.float64], np.typing.NDArray[np.bool_]]:
        cosine = cosines(encoded(encoder, pairs.first), encoded(encoder, pairs.second))
        return cosine, np.array(pairs.same)

    found = paraphrases(*measured(test), measured(chosen) if chosen else None)
    text = plain_table(
        ["threshold", "value", "accuracy", "precision", "recall", "F1"],
        [
            [name, f"{d.threshold:.4f}", *map(percent, (d.accuracy, d.precision, d.recall, d.f1))]
            for name, d in (("fixed", found.fixed), ("best", found.best))
        ],
    )
    text += (
        f"\n{found.pairs} pairs, {found.positives} of them the same; best chosen on {found.chosen_on}"
        f"\nmean cosine: same {_number(found.mean_cosine_same)}, other {_number(found.mean_cosine_other)}"
    )
    files = [data_file(file, len(test.same))]
    files += [data_file(train, len(chosen.same))] if train and chosen else []
    emit(as_json, "paraphrase", encoder, files, found, text)


@click.command(
    epilog="Example: tandem eval probe reviews.tsv --folds 10 --encoder accurate   "
    "Several labels a text: tandem eval probe topics.tsv --multilabel --separator ';'   "
    "As CFD is measured: tandem eval probe cfd.tsv --head"
)
@click.argument("file")
@click.option(
    "--test", metavar="FILE", help="Measure on this file, train on the other; no folds then."
)
@click.option(
    "--folds", default=5, show_default=True, type=click.IntRange(min=2), help="Stratified folds."
)
@click.option("--seed", default=0, show_default=True, help="Shuffles the texts before folding.")
@click.option(
    "--strength", default=1.0, show_default=True, help="scikit-learn's C: higher regularises less."
)
@click.option(
    "--multilabel",
    is_flag=True,
    help="A text has several labels, as in CTDC: micro-F1, at a threshold chosen on a tenth of each training part.",
)
@click.option(
    "--head",
    is_flag=True,
    help="The protocol of Bednář et al. 2023 for CFD: a small head, ten folds, seed 42, one of five learning rates chosen on a "
    "tenth of each training part.",
)
@click.option("--separator", default=",", show_default=True, help="Between the labels of a text.")
@columns_option("label,text")
@encoder_options
def probe(
    file: str,
    test: str | None,
    folds: int,
    seed: int,
    strength: float,
    multilabel: bool,
    head: bool,
    separator: str,
    columns: str | None,
    as_json: bool,
    **which: Any,
) -> None:
    """A linear probe: macro-F1, in per cent, of logistic regression on frozen vectors.

    FILE holds a label and a text in each line; with --multilabel several labels.
    """
    from eval.sentences.encoding import encoded
    from eval.sentences.probe import cross_validated, held_out, read_classified
    from eval.sentences.tables import data_file

    if strength <= 0:
        raise ConfigError(f"--strength {strength:g}: it must be above 0")
    if head:
        if test or multilabel:
            raise click.UsageError(
                "--head is for one label a text, and goes by folds: without --test"
            )
        _head(file, columns, as_json, which)
        return
    if multilabel:
        if test:
            raise click.UsageError("--multilabel goes by folds: without --test")
        _multilabel(file, folds, seed, strength, separator, columns, as_json, which)
        return
    whole = read_classified(file, split_columns(columns))
    tested = read_classified(test, split_columns(columns)) if test else None
    encoder = the_encoder(**which)
    vectors = encoded(encoder, whole.texts)
    data = [data_file(file, len(whole.texts))]
    if test and tested:
        found = held_out(
            vectors, whole.labels, encoded(encoder, tested.texts), tested.labels, strength
        )
        data.append(data_file(test, len(tested.texts)))
    else:
        found = cross_validated(vectors, whole.labels, folds, seed, strength)
    text = (
        f"macro-F1 {percent(found.macro_f1)} (deviation over {len(found.folds)} folds "
        f"{percent(found.macro_f1_deviation)}), accuracy {percent(found.accuracy)}, "
        f"always the most frequent class {percent(found.majority)}\n"
        f"{found.texts} texts: " + ", ".join(f"{label} {n}" for label, n in found.classes.items())
    )
    emit(as_json, "probe", encoder, data, found, text, folds=folds, seed=seed, strength=strength)


def _head(file: str, columns: str | None, as_json: bool, which: dict[str, Any]) -> None:
    from eval.sentences.classification_head import head_probe
    from eval.sentences.encoding import encoded
    from eval.sentences.probe import read_classified
    from eval.sentences.tables import data_file

    whole = read_classified(file, split_columns(columns))
    encoder = the_encoder(**which)
    found = head_probe(encoded(encoder, whole.texts), whole.labels)
    text = (
        f"macro-F1 {percent(found.macro_f1)} (deviation over {len(found.folds)} folds "
        f"{percent(found.macro_f1_deviation)}) at the learning rate {found.rate:g}, always the most frequent class "
        f"{percent(found.majority)}\n"
        f"{found.texts} texts: " + ", ".join(f"{label} {n}" for label, n in found.classes.items())
    )
    data = [data_file(file, len(whole.texts))]
    emit(as_json, "probe", encoder, data, found, text, head=True)


def _multilabel(
    file: str,
    folds: int,
    seed: int,
    strength: float,
    separator: str,
    columns: str | None,
    as_json: bool,
    which: dict[str, Any],
) -> None:
    from eval.sentences.encoding import encoded
    from eval.sentences.multilabel import multilabel_probe, read_multilabel
    from eval.sentences.tables import data_file

    whole = read_multilabel(file, separator, split_columns(columns))
    encoder = the_encoder(**which)
    found = multilabel_probe(encoded(encoder, whole.texts), whole.labels, folds, seed, strength)
    text = (
        f"micro-F1 {percent(found.micro_f1)} (deviation over {len(found.folds)} folds "
        f"{percent(found.micro_f1_deviation)}), macro-F1 {percent(found.macro_f1)}, threshold "
        f"{found.threshold:.2f}, always the most frequent label {percent(found.majority)}\n"
        f"{found.texts} texts: " + ", ".join(f"{label} {n}" for label, n in found.labels.items())
    )
    data = [data_file(file, len(whole.texts))]
    emit(
        as_json, "probe", encoder, data, found, text,
        folds=folds, seed=seed, strength=strength, multilabel=True,
    )  # fmt: skip


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"
