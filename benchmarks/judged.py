"""Judged collections to search, in one language and across languages, from the shared data and the demo."""

from __future__ import annotations

import gzip
import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from indexer.schema import Document
from indexer.text.passages import sentences
from indexer.text.sources import read_documents

__all__ = [
    "Collection",
    "afriqa",
    "classic",
    "demo",
    "headlines",
    "ntrex",
    "problems",
    "rare_words",
]

NTREX = {"en": "eng", "cs": "ces", "bn": "ben", "de": "deu", "fr": "fra", "ru": "rus", "pl": "pol", "tr": "tur", "ja": "jpn", "ar": "arb"}  # fmt: skip
MGSM = ("bn", "de", "es", "fr", "ja", "ru", "sw", "zh")
AFRIQA = ("bem", "hau", "ibo", "kin", "twi", "zul")


@dataclass(frozen=True, slots=True)
class Collection:
    """Documents, queries and which documents answer them (grade above 0)."""

    name: str
    documents: list[Document]
    queries: dict[str, str]
    qrels: dict[str, dict[str, int]]


def _lines(path: Path) -> Iterator[str]:
    with gzip.open(path, "rt", encoding="utf-8") as file:
        yield from (line.rstrip("\n") for line in file)


def demo() -> Collection:
    """The bundled collection, whose queries mostly cross."""
    folder = Path(__file__).parent.parent / "demo"
    documents = list(read_documents([str(folder / "documents.jsonl")], lambda reject: None))
    records = map(json.loads, (folder / "queries.jsonl").read_text("utf-8").splitlines())
    qrels: dict[str, dict[str, int]] = {}
    for line in (folder / "qrels.txt").read_text("utf-8").splitlines():
        query, _, document, grade = line.split()
        qrels.setdefault(query, {})[document] = int(grade)
    return Collection("demo", documents, {r["_id"]: r["text"] for r in records}, qrels)


def classic(data: Path, name: str) -> Collection:
    """Cranfield, CACM or ADI: English alone."""
    folder = data / "ir-classic" / name
    documents = [
        Document(r["doc_id"], r["text"], r["title"], lang="en")
        for r in map(json.loads, _lines(folder / "corpus.jsonl.gz"))
        if r["text"].strip() or r["title"].strip()
    ]
    queries = {
        r["query_id"]: r["text"] for r in map(json.loads, _lines(folder / "queries.jsonl.gz"))
    }
    qrels: dict[str, dict[str, int]] = {}
    for line in (folder / "qrels.tsv").read_text("utf-8").splitlines()[1:]:
        query, document, grade = line.split("\t")
        qrels.setdefault(query, {})[document] = int(grade)
    return Collection(name, documents, {q: t for q, t in queries.items() if q in qrels}, qrels)


def afriqa(data: Path) -> Collection:
    """English questions, and the English Wikipedia passages that answer them."""
    places: dict[str, str] = {}  # text -> id
    asked, qrels = {}, {}
    for lang in AFRIQA:
        own = {}
        for record in map(
            json.loads, _lines(data / f"dev/afriqa/afriqa.{lang}.dev.passages-en.jsonl.gz")
        ):
            own[record["pid"]] = places.setdefault(record["text"], f"{lang}-{record['pid']}")
        for record in map(
            json.loads, _lines(data / f"dev/afriqa/afriqa.{lang}.dev.queries.jsonl.gz")
        ):
            query = f"{lang}-q{record['qid']}"
            asked[query] = record["question_en"]
            qrels[query] = {own[record["pid"]]: 1}
    documents = [Document(id_, text, lang="en") for text, id_ in places.items()]
    return Collection("afriqa", documents, asked, qrels)


def _ntrex(data: Path) -> dict[str, list[str]]:
    """Language -> its news sentences; the same row is the same sentence."""
    sides: dict[str, list[str]] = {}
    for lang, code in NTREX.items():
        if lang != "en":
            rows = _lines(data / "ntrex128" / f"ntrex128.eng-{code}.tsv.gz")
            sides["en"], sides[lang] = map(list, zip(*(r.split("\t") for r in rows), strict=True))
    return sides


def ntrex(data: Path, queries: int = 300) -> Collection:
    """Each sentence of each language is a document; every 7th is a query, its own text taken out."""
    sides = _ntrex(data)
    langs = sorted(sides)
    asked, qrels = {}, {}
    for n in range(queries):
        row, lang = (n * 7) % len(sides["en"]), langs[n % len(langs)]
        asked[f"{lang}-{row}"] = sides[lang][row]
        qrels[f"{lang}-{row}"] = {f"{other}-{row}": 1 for other in langs if other != lang}
    documents = [
        Document(f"{lang}-{row}", text, lang=lang)
        for lang in langs
        for row, text in enumerate(sides[lang])
        if f"{lang}-{row}" not in asked and text.strip()
    ]
    return Collection("ntrex", documents, asked, qrels)


def headlines(data: Path) -> Collection:
    """A news headline, and its article in three of ten languages: some queries cross, some need not."""
    sides = _ntrex(data)
    rows: dict[str, list[int]] = {}
    names = (data / "ntrex128/document_ids.tsv").read_text("utf-8").splitlines()
    for row, line in enumerate(names):
        rows.setdefault(line.split("\t")[0], []).append(row)
    articles = [found for found in rows.values() if len(found) >= 4]
    parts = [
        {lang: (side[a[0]], " ".join(side[row] for row in a[1:])) for lang, side in sides.items()}
        for a in articles
    ]
    return _scattered("headlines", parts)


def problems(data: Path) -> Collection:
    """The first sentence of a school problem, and the rest of it in three of nine languages (MGSM)."""
    sides: dict[str, list[str]] = {}
    for lang in MGSM:
        rows = _lines(data / f"dev/mgsm/mgsm.en-{lang}.tsv.gz")
        sides["en"], sides[lang] = map(list, zip(*(r.split("\t") for r in rows), strict=True))
    parts = []
    for row in range(len(sides["en"])):
        cut = {}
        for lang, side in sides.items():
            borders = sentences(side[row])
            if len(borders) > 1:
                cut[lang] = side[row][: borders[0][1]].strip(), side[row][borders[0][1] :]
        if len(cut) == len(sides):
            parts.append(cut)
    return _scattered("mgsm", parts)


def _scattered(name: str, parts: list[dict[str, tuple[str, str]]]) -> Collection:
    """(query, document) by language, each text in three of its languages and asked for in two."""
    documents, asked, qrels = [], {}, {}
    for n, part in enumerate(parts):
        langs = list(part)
        here = [lang for place, lang in enumerate(langs) if (place + n) % len(langs) in (0, 3, 6)]
        documents += [Document(f"{lang}-{n}", part[lang][1], lang=lang) for lang in here]
        for turn in (0, 1):
            lang = langs[(n * 3 + turn * 5) % len(langs)]
            asked[f"{lang}-{n}"] = part[lang][0]
            qrels[f"{lang}-{n}"] = {f"{other}-{n}": 1 for other in here}
    return Collection(name, documents, asked, qrels)


def rare_words(collection: Collection, every: int = 1) -> Collection:
    """The same documents; the two rarest words of every n-th must find it: what words are for."""
    words = {
        document.id: list(dict.fromkeys(re.findall(r"[^\W_]{3,}", document.text.lower())))
        for document in collection.documents
    }
    counts = Counter(word for own in words.values() for word in own)
    queries = {}
    for document in collection.documents[::every]:
        rare = sorted(words[document.id], key=lambda word: (counts[word], word))[:2]
        if len(rare) == 2 and document.lang not in (
            "bn",
            "ja",
            "zh",
        ):  # words end at no space or mark
            queries[document.id] = " ".join(rare)
    qrels = {id_: {id_: 1} for id_ in queries}
    return Collection(f"{collection.name}, 2 words", collection.documents, queries, qrels)
