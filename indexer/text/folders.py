"""The files of a folder: which are read, which are of unknown types, and what is passed over by rule.

Knows kinds by the endings of names only; opens nothing.
"""

from __future__ import annotations

import fnmatch
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from indexer.text.compression import strip_suffix
from indexer.text.rejects import UNKNOWN_TYPE

__all__ = ["LINE_FILES", "TEXT_FILES", "Listing", "kind_of", "list_folder"]

TEXT_FILES = frozenset(
    ".txt .text .rst .md .markdown .html .htm .xhtml .xml .pdf .docx .epub".split()
)
"""One document a file."""
LINE_FILES = frozenset(".jsonl .json .ndjson .csv .tsv .tab".split())
"""One document a line or row."""


@dataclass(slots=True)
class Listing:
    """What lies below a folder."""

    files: list[Path] = field(default_factory=list)
    """Of a kind that is read, in the order of their paths."""
    unknown: list[tuple[Path, str]] = field(default_factory=list)
    """What is not read, each with the reason."""
    passed_over: Counter[str] = field(default_factory=Counter)
    """Hidden files, index folders, what --ignore names: how many of each."""


def kind_of(path: Path) -> str:
    """The ending that tells what a file is, in lower case: `.jsonl` of `A.JSONL.GZ`; empty without one."""
    return Path(strip_suffix(path.name)).suffix.lower()


def list_folder(folder: Path, ignore: Sequence[str] = ()) -> Listing:
    """Files below a folder. Folders that are links are not entered, so that no circle is walked."""
    found = Listing()

    def unreadable(error: OSError) -> None:
        found.unknown.append(
            (Path(str(error.filename)), f"the folder cannot be read: {error.strerror}")
        )

    for parent, folders, names in os.walk(folder, onerror=unreadable):
        # An index written below its own documents must not be read as documents.
        if "lock" in names and ("manifest.json" in names or "journal" in folders):
            found.passed_over["index folder"] += 1
            folders.clear()
            continue
        entered = []
        for name in folders:
            path = Path(parent, name)
            if _is_ignored(path.relative_to(folder).as_posix(), ignore):
                found.passed_over["folder named by --ignore"] += 1
            elif name.startswith("."):
                found.passed_over["hidden folder"] += 1
            elif path.is_symlink():
                found.unknown.append((path, "a link to a folder: name that folder itself"))
            else:
                entered.append(name)
        folders[:] = entered
        for name in names:
            _list_file(Path(parent, name), folder, ignore, found)
    found.files.sort()
    found.unknown.sort()
    return found


def _list_file(path: Path, folder: Path, ignore: Sequence[str], found: Listing) -> None:
    if _is_ignored(path.relative_to(folder).as_posix(), ignore):
        found.passed_over["file named by --ignore"] += 1
    elif path.name.startswith((".", "~$")):  # "~$" are the locks of office programs
        found.passed_over["hidden file"] += 1
    elif not path.is_file():
        found.unknown.append(
            (path, "a link to nothing" if path.is_symlink() else "no regular file")
        )
    elif kind_of(path) in TEXT_FILES | LINE_FILES:
        found.files.append(path)
    else:
        found.unknown.append((path, f"{UNKNOWN_TYPE} {kind_of(path) or '(no ending)'}"))


def _is_ignored(path: str, patterns: Sequence[str]) -> bool:
    name = path.rpartition("/")[2]
    return any(
        fnmatch.fnmatch(path, pattern) or fnmatch.fnmatch(name, pattern.rstrip("/"))
        for pattern in patterns
    )
