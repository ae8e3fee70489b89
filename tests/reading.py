"""Reading documents in tests: the documents, what was set aside, and what a person is told."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from indexer.schema import Document
from indexer.text.rejects import Reject
from indexer.text.sources import ReadNotes, ReadOptions, read_documents

__all__ = ["WasRead", "read", "write"]


@dataclass(frozen=True, slots=True)
class WasRead:
    """What came of a reading; rejects as (place below the folder, reason)."""

    documents: list[Document]
    rejects: list[tuple[str, str]]
    notes: list[str]

    @property
    def ids(self) -> list[str]:
        return [document.id for document in self.documents]

    @property
    def texts(self) -> list[str]:
        return [document.text for document in self.documents]


def read(*sources: Path, options: ReadOptions | None = None) -> WasRead:
    """Reads sources that lie in one folder, or are one."""
    rejects: list[Reject] = []
    notes = ReadNotes()
    found = list(
        read_documents([str(s) for s in sources], rejects.append, options=options, notes=notes)
    )
    root = sources[0] if sources[0].is_dir() else sources[0].parent
    places = [(r.place.removeprefix(f"{root}/"), r.reason) for r in rejects]
    return WasRead(found, places, [line.replace(f"{root}/", "") for line in notes.lines()])


def write(path: Path, content: str | bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path
