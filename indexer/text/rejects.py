"""Input that was set aside: counted, and written to `rejects.jsonl` where a person can mend it."""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path
from typing import IO

from configs.errors import DocumentError
from indexer.text.sources import Reject

__all__ = ["RejectLog"]

_SHOWN = 3
_IN_MEMORY = 2**20  # bytes; more goes to a temporary file


class RejectLog:
    """Called with each reject. `strict`: the first one ends the work with a DocumentError.

    Nothing is written before `save`: an index that stands at the target keeps the rejects of its own
    last change until the next one is committed.
    """

    def __init__(self, path: Path, strict: bool = False) -> None:
        self.path = path
        self.count = 0
        self.first: list[Reject] = []
        self._strict = strict
        self._kept: IO[bytes] | None = None

    def __call__(self, reject: Reject) -> None:
        if self._strict:
            raise DocumentError(f"{reject.place}: {reject.reason} (--strict; nothing was changed)")
        self.count += 1
        if len(self.first) < _SHOWN:
            self.first.append(reject)
        if self._kept is None:
            self._kept = tempfile.SpooledTemporaryFile(_IN_MEMORY)  # noqa: SIM115
        file, _, line = reject.place.rpartition(":")
        record = {
            "file": file if line.isdigit() else reject.place,
            "line": int(line) if line.isdigit() else None,
            "reason": reject.reason,
            "text": reject.text,
        }
        text = json.dumps(record, ensure_ascii=False) + "\n"
        self._kept.write(text.encode("utf-8", "backslashreplace"))

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
