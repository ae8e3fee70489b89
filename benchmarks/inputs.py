"""Reading the collection's files back, the same way for Tandem and for every peer."""

from __future__ import annotations

import dataclasses
import itertools
import json
from collections.abc import Iterator
from pathlib import Path

from configs.errors import DocumentError
from indexer.schema import Document
from indexer.text.rejects import Reject
from indexer.text.sources import read_documents

__all__ = ["documents", "queries", "texts"]


def documents(file: str, detect: bool = False) -> Iterator[Document]:
    """Documents of a JSONL file as `tandem index build` reads them; without their language to `detect` it."""

    def refuse(reject: Reject) -> None:
        raise DocumentError(f"{reject.place}: {reject.reason}")

    for document in read_documents([file], refuse):
        yield dataclasses.replace(document, lang="") if detect else document


def texts(file: str) -> list[str]:
    """The text of every document, in order: what the peers are given."""
    with Path(file).open(encoding="utf-8") as lines:
        return [json.loads(line)["text"] for line in lines]


def queries(file: str, count: int) -> list[str]:
    """The first `count` queries."""
    with Path(file).open(encoding="utf-8") as lines:
        return [json.loads(line)["text"] for line in itertools.islice(lines, count)]
