"""Reading files of judgments line by line: compressed or plain, UTF-8, with the line number for errors."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from configs.errors import DocumentError
from indexer.text.compression import UNREADABLE, open_file

__all__ = ["checksum", "json_lines", "numbered_lines", "refuse"]


def numbered_lines(path: Path) -> Iterator[tuple[int, str]]:
    """(line number from 1, text without its line end) of a UTF-8 file, compressed or not; blanks left out.

    Only a line feed ends a line: a document may hold U+2028 or a form feed.
    """
    try:
        with open_file(path) as file:
            for number, raw in enumerate(file, start=1):
                try:
                    text = raw.decode("utf-8-sig" if number == 1 else "utf-8").rstrip("\r\n")
                except UnicodeDecodeError as error:
                    raise DocumentError(
                        f"{path}:{number}: not UTF-8 ({error.reason} at byte {error.start}); "
                        "convert the file to UTF-8"
                    ) from error
                if text.strip():
                    yield number, text
    except UNREADABLE as error:
        raise DocumentError(f"{path}: cannot be read: {error}") from error


def json_lines(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """(line number, object) of a JSON Lines file. Raises DocumentError at a line that is none."""
    for number, text in numbered_lines(path):
        try:
            value = json.loads(text)
        except json.JSONDecodeError as error:
            raise DocumentError(f"{path}:{number}: no JSON: {error.msg}") from error
        if not isinstance(value, dict):
            raise DocumentError(f"{path}:{number}: a JSON object is expected, not {text[:40]!r}")
        yield number, value


def checksum(path: Path) -> str:
    """SHA-256 of the file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def refuse(problems: Sequence[str], shown: int = 5) -> None:
    """Raise one DocumentError for all `problems`, the first few spelled out; none: return."""
    if problems:
        rest = f"; and {len(problems) - shown} more" if len(problems) > shown else ""
        raise DocumentError("; ".join(problems[:shown]) + rest)
