"""The collection that is measured: real text in 40 languages, from the folder of shared data.

Sentences of the parallel corpora (both columns), NTREX-128 and Reuters-21578, each once. Where they are
short, neighbours of one source and language are joined to passages of about 45 words. Queries are held
out: everyday sentences, titles of articles and short texts of the corpora, 2 to 12 words long. Nothing
is made up, and the same data gives the same bytes.
"""

from __future__ import annotations

import csv
import gzip
import json
import lzma
import os
import random
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from configs.errors import DocumentError
from indexer.text.passages import sentences

__all__ = ["Collection", "data_folder", "prepare", "subset"]

VERSION = 1  # of the recipe below; another number makes the files again
SEED = 5
JOINED = 37  # words at which a passage is full; the last sentence brings the mean to about 45
LEAST = 8  # words of a remainder that is still a passage
LONGEST = 900  # characters: one passage in every system that splits
QUERIES = 1000
HELD_OUT = 4000  # one short text in so many is kept for queries

_UNSPACED = {"ja", "zh"}  # two characters count as a word
_CODES = {
    "ara": "ar", "arb": "ar", "ben": "bn", "bul": "bg", "ces": "cs", "cmn": "zh", "dan": "da",
    "deu": "de", "ell": "el", "eng": "en", "fil": "tl", "fin": "fi", "fra": "fr", "heb": "he",
    "hin": "hi", "hrv": "hr", "hun": "hu", "ita": "it", "jpn": "ja", "kat": "ka", "kor": "ko",
    "lit": "lt", "nld": "nl", "nob": "no", "pol": "pl", "por": "pt", "ron": "ro", "rus": "ru",
    "slk": "sk", "spa": "es", "srp": "sr", "swa": "sw", "swe": "sv", "swh": "sw", "tat": "tt",
    "tgl": "tl", "tur": "tr", "ukr": "uk", "vie": "vi", "zho": "zh",
}  # fmt: skip

Text = tuple[str, str]  # language, text


@dataclass(frozen=True, slots=True)
class Collection:
    """The two files, and what is in them."""

    documents: str
    """JSON lines of id, text and lang, in a fixed random order: the first n are a sample."""
    queries: str
    """JSON lines of _id, text and lang."""
    passages: int
    words: float
    """Mean words of a passage."""
    languages: dict[str, int]
    version: int = VERSION


def data_folder(given: Path | None = None) -> Path:
    """The folder of shared data: given, in TANDEM_DATA, or beside the repository.

    Raises DocumentError when it is not there.
    """
    root = Path(__file__).resolve().parent.parent
    folder = given or Path(os.environ.get("TANDEM_DATA", root.parent / "shared" / "data"))
    if not (folder / "parallel").is_dir():
        raise DocumentError(
            f"{folder}: no shared data to measure on; set TANDEM_DATA to the folder that holds parallel/"
        )
    return folder


def prepare(data: Path, work: Path) -> Collection:
    """The collection's files in `work`, made when they are not there."""
    note = work / "collection.json"
    if note.is_file():
        found = json.loads(note.read_text("utf-8"))
        if found.get("version") == VERSION:
            return Collection(**found)
    work.mkdir(parents=True, exist_ok=True)
    held_out: list[Text] = []
    passages = list(_passages(data, held_out))
    chance = random.Random(SEED)
    chance.shuffle(passages)
    documents, queries = work / "collection.jsonl", work / "queries.jsonl"
    _write(documents, "id", "p", passages)
    _write(queries, "_id", "q", _queries(data, held_out, chance))
    counts: dict[str, int] = {}
    for lang, _ in passages:
        counts[lang] = counts.get(lang, 0) + 1
    made = Collection(
        str(documents),
        str(queries),
        len(passages),
        round(sum(map(_words, passages)) / max(len(passages), 1), 1),
        dict(sorted(counts.items(), key=lambda entry: -entry[1])),
    )
    note.write_text(json.dumps(asdict(made), indent=1), "utf-8")
    return made


def subset(collection: Collection, size: int) -> Path:
    """A file of the first `size` documents. Raises DocumentError when there are fewer."""
    if size > collection.passages:
        raise DocumentError(
            f"{size:,} passages are asked for, but the shared data make {collection.passages:,}"
        )
    whole = Path(collection.documents)
    file = whole.with_name(f"collection-{size}.jsonl")
    if not file.is_file() or file.stat().st_mtime < whole.stat().st_mtime:
        new = file.with_suffix(".new")
        with whole.open("rb") as lines, new.open("wb") as out:
            for _, line in zip(range(size), lines, strict=False):
                out.write(line)
        new.replace(file)
    return file


def _write(file: Path, key: str, prefix: str, texts: Iterable[Text]) -> None:
    with file.open("w", encoding="utf-8", newline="\n") as out:
        for number, (lang, text) in enumerate(texts, 1):
            line = {key: f"{prefix}{number:07d}", "text": text, "lang": lang}
            out.write(json.dumps(line, ensure_ascii=False) + "\n")


def _words(entry: Text) -> int:
    lang, text = entry
    return len(text) // 2 if lang in _UNSPACED else text.count(" ") + 1


def _passages(data: Path, held_out: list[Text]) -> Iterator[Text]:
    """Every passage, source by source; texts that are kept for queries go to `held_out`."""
    seen: set[int] = set()  # 64-bit hashes of texts

    def fresh(texts: Iterable[Text]) -> Iterator[Text]:
        for entry in texts:
            key = hash(entry[1])
            if key in seen or not 0 < len(entry[1]) <= LONGEST:
                continue
            seen.add(key)
            if zlib.crc32(entry[1].encode()) % HELD_OUT == 0 and 2 <= _words(entry) <= 12:
                held_out.append(entry)
            else:
                yield entry

    for run in _runs(data):
        yield from _joined(fresh(run))


def _joined(texts: Iterable[Text]) -> Iterator[Text]:
    """Neighbours in one language put together until a passage is full."""
    waiting: dict[str, list[str]] = {}
    counts: dict[str, int] = {}
    for lang, text in texts:
        parts = waiting.setdefault(lang, [])
        if parts and sum(map(len, parts)) + len(parts) + len(text) > LONGEST:
            yield lang, " ".join(parts)
            parts.clear()
            counts[lang] = 0
        parts.append(text)
        counts[lang] = counts.get(lang, 0) + _words((lang, text))
        if counts[lang] >= JOINED:
            yield lang, " ".join(parts)
            parts.clear()
            counts[lang] = 0
    for lang, parts in waiting.items():
        if counts[lang] >= LEAST:
            yield lang, " ".join(parts)


def _runs(data: Path) -> Iterator[Iterable[Text]]:
    """Texts that belong together: a source of a parallel corpus, a news document."""
    for file in sorted(data.glob("parallel*/en-*.tsv.xz")):
        yield from _by_source(file)
    yield from _ntrex(data / "ntrex128")
    for article in _reuters(data):
        text = article["text"]
        yield [("en", text[start:end].strip()) for start, end in sentences(text)]


def _by_source(file: Path) -> Iterator[list[Text]]:
    lang = file.name[3:5]
    run: list[Text] = []
    before = None
    with lzma.open(file, "rt", encoding="utf-8") as lines:
        for line in lines:
            source, english, other = line.rstrip("\n").split("\t", 2)
            if source != before and run:
                yield run
                run = []
            before = source
            run += [("en", english), (lang, other)]
    yield run


def _ntrex(folder: Path) -> Iterator[list[Text]]:
    names = folder / "document_ids.tsv"
    documents = names.read_text("utf-8").split("\n") if names.is_file() else []
    for file in sorted(folder.glob("ntrex128.eng-*.tsv.gz")):
        lang = _CODES[file.name.split(".")[1][4:7]]
        run: list[Text] = []
        with gzip.open(file, "rt", encoding="utf-8") as lines:
            for i, line in enumerate(lines):
                if run and documents[i] != documents[i - 1]:
                    yield run
                    run = []
                english, _, other = line.rstrip("\n").partition("\t")
                run += [("en", english), (lang, other)]
        yield run


def _reuters(data: Path) -> Iterator[dict[str, str]]:
    file = data / "reuters-21578" / "reuters21578.jsonl.gz"
    if file.is_file():
        with gzip.open(file, "rt", encoding="utf-8") as lines:
            yield from map(json.loads, lines)


def _queries(data: Path, held_out: list[Text], chance: random.Random) -> list[Text]:
    """QUERIES held-out texts: four in ten everyday sentences, two in ten titles, the rest of the corpora."""
    everyday: list[Text] = []
    for file in sorted((data / "dev" / "tatoeba").glob("tatoeba-laser.eng-*.tsv.gz")):
        lang = _CODES[file.name.split(".")[1][4:7]]
        with gzip.open(file, "rt", encoding="utf-8", newline="") as lines:
            rows = csv.reader(lines, delimiter="\t", quoting=csv.QUOTE_NONE)
            mine = [(lang, row[1]) for row in rows if 2 <= _words((lang, row[1])) <= 12]
        everyday += chance.sample(mine, min(len(mine), 20))
    titles = [("en", article["title"].lower()) for article in _reuters(data)]
    titles = [entry for entry in titles if 2 <= _words(entry) <= 12]
    queries: dict[Text, None] = {}
    for source, count in ((everyday, 400), (titles, 200), (held_out, QUERIES)):
        picked = chance.sample(source, min(len(source), count))
        for entry in picked:
            if len(queries) < QUERIES and any(map(str.isalnum, entry[1])):
                queries[entry] = None
    shuffled = list(queries)
    chance.shuffle(shuffled)
    return shuffled
