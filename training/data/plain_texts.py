"""Plain sentences and scored pairs, read and checked."""

from __future__ import annotations

import glob
import json
from collections.abc import Iterator, Sequence

from configs.errors import ConfigError, DocumentError
from configs.training import TextSettings
from indexer.text.compression import UNREADABLE, open_text

__all__ = ["read_scored", "read_texts"]

BAD_SHARE = 0.01
"""Of a file's lines that may lack the column or be empty before the file is refused."""


def read_texts(files: Sequence[TextSettings]) -> list[str]:
    """The sentences of all files, each once, in order, with their spaces put right.

    Raises ConfigError when no file is named or found, DocumentError (file, line, count) when more
    than a hundredth of a file's lines have no such column or nothing in it.
    """
    if not files:
        raise ConfigError("texts: no file is named; give at least one path")
    found: dict[str, None] = {}
    for settings in files:
        for path in _paths(settings.path):
            found.update(dict.fromkeys(_column(path, settings.column, settings.limit)))
    return list(found)


def read_scored(path: str, limit: int) -> tuple[list[str], list[str], list[float]]:
    """First texts, second texts and their likeness, from a TSV or JSON lines of s1, s2, score."""
    firsts: list[str] = []
    seconds: list[str] = []
    scores: list[float] = []
    for number, line in enumerate(_lines(_paths(path)[0]), start=1):
        if len(scores) == limit:
            break
        try:
            first, second, score = _scored(line, ".jsonl" in path)
        except (ValueError, KeyError, TypeError) as error:
            raise DocumentError(
                f"{path}: line {number}: two texts and a number are needed "
                f"({type(error).__name__}: {error})"
            ) from error
        firsts.append(first)
        seconds.append(second)
        scores.append(score)
    if len(set(scores)) < 2:
        raise DocumentError(f"{path}: at least two different scores are needed, for a correlation")
    return firsts, seconds, scores


def _scored(line: str, is_json: bool) -> tuple[str, str, float]:
    if is_json:
        row = json.loads(line)
        return str(row["s1"]), str(row["s2"]), float(row["score"])
    first, second, score = line.split("\t")
    return first, second, float(score)


def _paths(pattern: str) -> list[str]:
    found = sorted(glob.glob(pattern))  # noqa: PTH207 - the pattern may be absolute
    if not found:
        raise ConfigError(f"{pattern}: no such file")
    return found


def _lines(path: str) -> Iterator[str]:
    try:
        with open_text(path) as lines:
            for line in lines:
                yield line.rstrip("\r\n")
    except (UnicodeDecodeError, *UNREADABLE) as error:
        raise DocumentError(f"{path}: cannot be read ({error}); is the file whole?") from error


def _column(path: str, column: int, limit: int) -> Iterator[str]:
    read = bad = 0
    first = ""
    for number, line in enumerate(_lines(path), start=1):
        if limit and read - bad == limit:
            break
        read += 1
        cells = line.split("\t") if column else [line]
        text = " ".join(cells[column - 1].split()) if len(cells) >= column else ""
        if text:
            yield text
            continue
        bad += 1
        if not first:
            first = f"line {number}: {'it is empty' if len(cells) >= column else _columns(cells)}"
    if bad > BAD_SHARE * read:
        raise DocumentError(
            f"{path}: {bad} of {read} lines have no text in column {column or 1}, the first at {first}"
        )
    if not read:
        raise DocumentError(f"{path}: there is no line in it")


def _columns(cells: Sequence[str]) -> str:
    return f"{len(cells)} column{'s' if len(cells) != 1 else ''}"
