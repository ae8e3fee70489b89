"""`python -m benchmarks.students`: encoders side by side on the development sets, in one table.

Translations found among all of a set (Tatoeba, newstest, NTREX-128), likeness that people graded
(stsb-multi-mt, Czech STS, Costra), and the right passage for a question, by exact search over all.
"""

from __future__ import annotations

import json
import statistics
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import click
import numpy as np

from benchmarks import judged
from benchmarks.collection import data_folder
from configs.errors import TandemError
from configs.tables import markdown_table
from eval.sentences import costra, sts, tatoeba
from eval.sentences.encoding import Remembering, encoded
from indexer.encoders.opening import open_encoder
from indexer.schema import Encoder

__all__ = ["figures", "main", "reciprocal_rank", "table"]

NEWSTEST = ("2019.en-cs", "2018.en-de", "2018.en-ru", "2018.en-tr", "2018.en-zh", "2020.en-ja", "2020.en-pl")  # fmt: skip
# languages that the shared data has no training pairs of
FURTHER = "bul dan ell fin heb hrv hun lit nob ron srp-Cyrl swe".split()
COLLECTIONS: dict[str, Callable[[Path], judged.Collection]] = {
    "AfriQA": judged.afriqa,
    "Cranfield": lambda data: judged.classic(data, "cranfield"),
    "CACM": lambda data: judged.classic(data, "cacm"),
    "headlines": judged.headlines,
}
ROWS = {
    "tatoeba": "Tatoeba, 23 languages, both ways",
    "newstest": "newstest, 7 languages, both ways",
    "ntrex": "NTREX-128, 9 languages, both ways",
    "further": "NTREX-128, 12 further languages, both ways",
    "sts.en": "stsb-multi-mt dev, English, Spearman",
    "sts": "stsb-multi-mt dev, mean of 11 languages",
    "sts.cs": "Czech STS, headlines and images",
    "costra": "Costra, mean of six categories",
    "costra.ordered": "Costra, mean without basic and modality",
    "AfriQA": "English questions to Wikipedia (AfriQA), MRR",
    "Cranfield": "Cranfield, first relevant, MRR",
    "CACM": "CACM, first relevant, MRR",
    "headlines": "a NTREX headline to its article (10 languages), MRR",
}


@click.command(epilog="Example: python -m benchmarks.students fast accurate all-MiniLM-L6-v2")
@click.argument("encoders", nargs=-1, metavar="ENCODER...")
@click.option(
    "--data",
    metavar="FOLDER",
    type=click.Path(path_type=Path),
    help="Shared data.  [default: TANDEM_DATA, or ../shared/data]",
)
@click.option(
    "--out",
    default="benchmarks/results",
    show_default=True,
    metavar="FOLDER",
    type=click.Path(path_type=Path),
    help="Where students.json and students.md are written; encoders that are there already are kept.",
)
def main(encoders: tuple[str, ...], data: Path | None, out: Path) -> None:
    """Measure each ENCODER [default: fast accurate] on the development sets.

    Without the shared data there is nothing to measure, and the command says so and ends well.
    """
    try:
        folder = data_folder(data)
    except TandemError as error:
        click.echo(f"Skipped: {error}", err=True)
        return
    file = out / "students.json"
    found: dict[str, Any] = json.loads(file.read_text("utf-8")) if file.is_file() else {}
    for name in encoders or ("fast", "accurate"):
        try:
            found[Path(name).name] = figures(open_encoder(name), folder)
        except TandemError as error:
            click.echo(f"Error: {error}", err=True)
            sys.exit(1)
    out.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(found, indent=1) + "\n", "utf-8")
    (out / "students.md").write_text(table(found), "utf-8")
    click.echo(table(found))


def figures(encoder: Encoder, data: Path) -> dict[str, float]:
    """Name -> per cent, by the names of ROWS and, of sets of several files, `name.language`."""
    one = Remembering(encoder)
    found = {"dim": float(encoder.dim)}
    found |= _translations(one, "tatoeba", sorted((data / "dev/tatoeba").glob("*.eng-*.tsv.gz")))
    news = [data / f"dev/newstest/newstest{name}.tsv.gz" for name in NEWSTEST]
    found |= _translations(one, "newstest", news)
    codes = [code for code in judged.NTREX.values() if code != "eng"]
    texts = [data / f"ntrex128/ntrex128.eng-{code}.tsv.gz" for code in codes]
    found |= _translations(one, "ntrex", texts)
    found |= further(one, data)
    graded = {
        path.name.split(".")[1]: _spearman(one, path)
        for path in sorted((data / "dev/stsb-multi-mt").glob("*.dev.jsonl.gz"))
    }
    found |= {f"sts.{name}": score for name, score in graded.items()}
    found["sts"] = statistics.fmean(graded.values())
    czech = sorted((data / "dev/sts-czech").glob("sts-cs.test.*.jsonl.gz"))
    found["sts.cs"] = statistics.fmean(_spearman(one, path) for path in czech)
    sentences = costra.read(data / "dev/costra/costra-1.1.tsv.gz")
    vectors = encoded(one, [sentence.tokens for sentence in sentences], "Costra")
    geometry = costra.score(sentences, vectors)
    found["costra"] = 100 * geometry.mean_of_six
    found["costra.ordered"] = 100 * geometry.mean_without_basic_and_modality
    for name, read in COLLECTIONS.items():
        found[name] = 100 * reciprocal_rank(encoder, read(data))
    return found


def further(encoder: Remembering, data: Path) -> dict[str, float]:
    """`figures` of the languages without training pairs."""
    texts = [data / f"ntrex128/ntrex128.eng-{code}.tsv.gz" for code in FURTHER]
    return _translations(encoder, "further", texts)


def reciprocal_rank(encoder: Encoder, collection: judged.Collection) -> float:
    """Mean over the queries of 1 / the rank of the first relevant document (0 beyond the tenth), by the
    cosine with every document; of equal ones the first in the collection is ahead."""
    documents = collection.documents
    texts = [f"{one.title}. {one.text}" if one.title else one.text for one in documents]
    passages = encoded(encoder, texts, collection.name)
    asked = encoder.encode(list(collection.queries.values()), "query")
    ranks = []
    for vector, query in zip(asked, collection.queries, strict=True):
        grades = collection.qrels[query]
        if not any(grade > 0 for grade in grades.values()):
            continue
        best = np.argsort(-(passages @ vector), kind="stable")[:10]
        hits = [place for place, row in enumerate(best, 1) if grades.get(documents[row].id, 0) > 0]
        ranks.append(1 / hits[0] if hits else 0.0)
    return statistics.fmean(ranks)


def table(found: Mapping[str, Mapping[str, float]]) -> str:
    """Markdown: a column for each encoder, and Tatoeba by language below."""
    names = list(found)

    def row(title: str, key: str, digits: int = 1) -> list[str]:
        # an encoder that was measured before a row was added has no figure there
        cells = (found[name].get(key) for name in names)
        return [title, *("-" if cell is None else f"{cell:.{digits}f}" for cell in cells)]

    rows = [row("dimensions", "dim", 0), *(row(title, key) for key, title in ROWS.items())]

    def by_language(name: str) -> str:
        keys = [key for key in found[names[0]] if key.startswith(f"{name}.")]
        return markdown_table(["", *names], [row(key.partition(".")[2], key) for key in keys])

    return (
        f"{markdown_table(['', *names], rows)}\n\nTatoeba, mean of both ways:\n\n{by_language('tatoeba')}\n\n"
        f"The further languages of NTREX-128:\n\n{by_language('further')}\n"
    )


def _translations(encoder: Remembering, name: str, files: list[Path]) -> dict[str, float]:
    """The mean of both ways for each file, and of the files."""
    found = {}
    for path in files:
        source, target = tatoeba.read_pairs(str(path))
        right = tatoeba.accuracy(
            path.name, encoded(encoder, source, name), encoded(encoder, target, name)
        )
        found[f"{name}.{path.name.split('-')[-1].split('.')[0]}"] = 100 * right.mean
    return found | {name: statistics.fmean(found.values())}


def _spearman(encoder: Remembering, path: Path) -> float:
    graded = sts.read_graded(str(path))
    both = [encoded(encoder, side, path.name) for side in (graded.first, graded.second)]
    return 100 * sts.correlation(graded.name, sts.cosines(*both), graded.grades).spearman


if __name__ == "__main__":
    main()
