"""Which texts stand in an evaluation set, so that no student is trained on them."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from pathlib import Path

from configs.errors import ConfigError
from indexer.text.compression import open_text, strip_suffix

__all__ = ["evaluation_texts", "fold"]

NOT_WORD = re.compile(r"[\W_]+")
KINDS = (".tsv", ".txt", ".jsonl")  # compressed or not


def fold(text: str) -> str:
    """A text as texts are compared: compatibility form, no case, no space, no punctuation."""
    if text.isascii():
        return NOT_WORD.sub("", text.lower())
    return NOT_WORD.sub("", unicodedata.normalize("NFKC", text).casefold())


def evaluation_texts(paths: Sequence[str]) -> Mapping[str, Set[str]]:
    """Folder name -> folded texts, of every TSV, text and JSON-lines file at or under each path.

    A text of fewer than six letters is left out: "yes" in a test set makes no leak.
    Raises ConfigError for a path that is absent.
    """
    sets: dict[str, set[str]] = {}
    for path in map(Path, paths):
        if not path.exists():
            raise ConfigError(
                f"corpora.exclude: {path} does not exist; give the evaluation sets' place"
            )
        files = [path] if path.is_file() else sorted(path.rglob("*"))
        for file in files:
            if strip_suffix(file.name).endswith(KINDS):
                folded = sets.setdefault(file.parent.name, set())
                folded.update(text for text in map(fold, _texts(file)) if len(text) >= 6)
    return sets


def _texts(file: Path) -> Iterator[str]:
    with open_text(file) as lines:
        for line in lines:
            if ".jsonl" in file.name:
                yield from _strings(json.loads(line))
            else:
                yield from line.rstrip("\n").split("\t")


def _strings(value: object) -> Iterable[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from _strings(item)
    elif isinstance(value, list):
        for item in value:
            yield from _strings(item)
