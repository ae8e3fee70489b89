"""BEIR folders: `corpus.jsonl`, `queries.jsonl` and `qrels/SPLIT.tsv`, or `qrels.tsv`; gzip'd or not."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from configs.errors import DocumentError
from eval.formats.file_kinds import LOOKS
from eval.formats.text_lines import json_lines
from eval.formats.topics import Topic
from indexer.schema import Document

__all__ = ["BeirFiles", "find", "read_corpus", "write_folder", "write_queries"]


@dataclass(frozen=True, slots=True)
class BeirFiles:
    """Where a folder keeps its three parts; `corpus` may be missing."""

    queries: Path
    qrels: Path
    corpus: Path | None


def find(folder: Path) -> BeirFiles:
    """The folder's parts; of several splits `test` is taken, else the only one there is.

    Raises DocumentError when a part is missing or the split cannot be told.
    """

    def either(name: str) -> Path | None:
        return next((p for end in ("", ".gz") if (p := folder / f"{name}{end}").is_file()), None)

    qrels = either("qrels.tsv") or either("qrels/test.tsv")
    if qrels is None:
        splits = sorted((folder / "qrels").glob("*.tsv*")) if (folder / "qrels").is_dir() else []
        if len(splits) != 1:
            names = ", ".join(split.name for split in splits) or "none"
            raise DocumentError(
                f"{folder}: qrels/test.tsv is expected (there: {names}); name the file"
            )
        qrels = splits[0]
    queries = either("queries.jsonl")
    if queries is None:
        raise DocumentError(f"{folder}: queries.jsonl is missing from {LOOKS['beir']}")
    return BeirFiles(queries, qrels, either("corpus.jsonl"))


def read_corpus(path: Path) -> Iterator[Document]:
    """The documents of a `corpus.jsonl` (`_id`, `id` or `doc_id`; `title`; `text`).

    Unknown keys are kept as fields. Raises DocumentError for a document without an id.
    """
    taken = {"_id", "id", "doc_id", "title", "text", "url", "lang"}
    for number, value in json_lines(path):
        own = next((value[key] for key in ("_id", "id", "doc_id") if key in value), None)
        if own is None:
            raise DocumentError(f"{path}:{number}: a document without an id (_id, id or doc_id)")
        text = {key: str(value.get(key) or "") for key in ("text", "title", "url", "lang")}
        fields = {key: str(item) for key, item in value.items() if key not in taken and item}
        yield Document(str(own), text["text"], text["title"], text["url"], text["lang"], fields)


def write_folder(
    folder: Path,
    documents: Iterable[Document],
    queries: Mapping[str, Topic],
    qrels: Mapping[str, Mapping[str, int]],
) -> None:
    """Write the three parts; the split is called `test`."""
    (folder / "qrels").mkdir(parents=True, exist_ok=True)
    with (folder / "corpus.jsonl").open("w", encoding="utf-8", newline="\n") as file:
        for document in documents:
            row = {"_id": document.id, "title": document.title, "text": document.text}
            extra = {"url": document.url, "lang": document.lang, **document.fields}
            row |= {key: value for key, value in extra.items() if value}
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
    write_queries(folder / "queries.jsonl", queries)
    with (folder / "qrels" / "test.tsv").open("w", encoding="utf-8", newline="\n") as file:
        file.write("query-id\tcorpus-id\tscore\n")
        for query_id, grades in qrels.items():
            for document_id, grade in grades.items():
                file.write(f"{query_id}\t{document_id}\t{grade}\n")


def write_queries(path: Path, queries: Mapping[str, Topic]) -> None:
    """Write a `queries.jsonl`."""
    with path.open("w", encoding="utf-8", newline="\n") as file:
        for query in queries.values():
            row = {"_id": query.id, "text": query.text}
            row |= {"lang": query.lang} if query.lang else {}
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
