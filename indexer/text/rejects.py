"""Input that was set aside: counted, and written to `rejects.jsonl` where a person can mend it."""

from __future__ import annotations

import itertools
import json
import re
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from configs.errors import DocumentError

__all__ = ["UNKNOWN_TYPE", "OnReject", "Reject", "RejectLog", "file_of"]

UNKNOWN_TYPE = "unknown file type"
"""How the reason begins for a file whose name says that it is of no kind that is read."""

_SHOWN = 100  # files
_PLACE = re.compile(r"(.*?)(?::(\d+)|, item (\d+))?", re.DOTALL)
_IN_MEMORY = 2**20  # bytes; more goes to a temporary file


@dataclass(frozen=True, slots=True)
class Reject:
    """A piece of input that could not be used: where it stands, why, and the text as far as it could be read."""

    place: str
    reason: str
    text: str = ""


OnReject = Callable[[Reject], None]


def file_of(place: str) -> str:
    """The file of a place: `a.csv` of `a.csv:3`."""
    found = _PLACE.fullmatch(place)
    assert found is not None, "the pattern takes any text"
    return found[1]


class RejectLog:
    """Called with each reject. `strict`: the first one ends the work with a DocumentError.

    Nothing is written before `save`: an index that stands at the target keeps the rejects of its own
    last change until the next one is committed.
    """

    def __init__(self, path: Path, strict: bool = False) -> None:
        self.path = path
        self.count = 0
        self._files: dict[str, tuple[str, int]] = {}  # file -> its first reject's line, rejects
        self._unknown: Counter[str] = Counter()  # ending -> files
        self._strict = strict
        self._kept: IO[bytes] | None = None

    def __call__(self, reject: Reject) -> None:
        if self._strict:
            raise DocumentError(f"{reject.place}: {reject.reason} (--strict; nothing was changed)")
        self.count += 1
        if self._kept is None:
            self._kept = tempfile.SpooledTemporaryFile(_IN_MEMORY)  # noqa: SIM115
        found = _PLACE.fullmatch(reject.place)
        assert found is not None, "the pattern takes any text"
        file, line, item = found.groups()
        record = {
            "file": file,
            "line": int(line) if line else None,
            "reason": f"item {item}: {reject.reason}" if item else reject.reason,
            "text": reject.text,
        }
        if reject.reason.startswith(UNKNOWN_TYPE):
            self._unknown[reject.reason.removeprefix(UNKNOWN_TYPE).strip()] += 1
        else:
            first, count = self._files.get(file, (f"{reject.place}: {reject.reason}", 0))
            self._files[file] = first, count + 1
        text = json.dumps(record, ensure_ascii=False) + "\n"
        self._kept.write(text.encode("utf-8", "backslashreplace"))

    def lines(self) -> list[str]:
        """What was set aside, every file by name: its first reject, and how many there are."""
        found = []
        if self._unknown:
            kinds = ", ".join(f"{n:,} {ending}" for ending, n in self._unknown.most_common())
            ranked = [ending for ending, _ in self._unknown.most_common() if ending.startswith(".")]
            ending = ranked[0] if ranked else ""
            found.append(
                f"{kinds}: files of types that are not read; to leave them out: --ignore '*{ending}'"
            )
        for first, count in itertools.islice(self._files.values(), _SHOWN):
            found.append(first + (f" (and {count - 1:,} more of this file)" if count > 1 else ""))
        if len(self._files) > _SHOWN:
            found.append(f"and parts of {len(self._files) - _SHOWN:,} more files")
        return found

    def save(self) -> None:
        """Write the file; without rejects, remove the one that an earlier change left."""
        if self._kept is None:
            self.path.unlink(missing_ok=True)
            return
        self._kept.seek(0)
        self.path.unlink(missing_ok=True)  # were it a link, what it names would be overwritten
        with self.path.open("wb") as file:
            shutil.copyfileobj(self._kept, file)

    def close(self) -> None:
        if self._kept is not None:
            self._kept.close()
