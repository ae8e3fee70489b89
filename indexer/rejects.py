"""Input that was set aside: counted, and written to `rejects.jsonl` where a person can mend it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import IO

from configs.errors import DocumentError
from indexer.sources import Reject

__all__ = ["RejectLog"]

_SHOWN = 3


class RejectLog:
    """Called with each reject. `strict`: the first one ends the work with a DocumentError.

    The file is begun at the first reject, so a run without any leaves none, and an older one is removed.
    """

    def __init__(self, path: Path, strict: bool = False) -> None:
        self.path = path
        self.count = 0
        self.first: list[Reject] = []
        self._strict = strict
        self._file: IO[str] | None = None

    def __call__(self, reject: Reject) -> None:
        if self._strict:
            raise DocumentError(f"{reject.place}: {reject.reason} (--strict; nothing was changed)")
        self.count += 1
        if len(self.first) < _SHOWN:
            self.first.append(reject)
        if self._file is None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self.path.open("w", encoding="utf-8", errors="backslashreplace")
        file, _, line = reject.place.rpartition(":")
        record = {
            "file": file if line.isdigit() else reject.place,
            "line": int(line) if line.isdigit() else None,
            "reason": reject.reason,
            "text": reject.text,
        }
        self._file.write(json.dumps(record, ensure_ascii=False) + "\n")

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
        else:
            self.path.unlink(missing_ok=True)
