"""Grades that a person gives to hits, in a file of DaReCzech's form.

Tab-separated UTF-8 with a header and no quoting: ID, query, url, doc, title, label. `url` holds the
document's id, which is what `tandem eval relevance` looks documents up by. One line for each pair of
query and document: a new pair is appended in one write; a changed grade rewrites the file beside
itself and moves it into place. At no moment is a half line or half a file left behind.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

from configs.errors import DocumentError
from indexer.schema import Document

__all__ = ["COLUMNS", "GRADES", "Judgments"]

COLUMNS = ("ID", "query", "url", "doc", "title", "label")
HEADER = "\t".join(COLUMNS) + "\n"
GRADES = {
    "0": "Useless",
    "0.25": "Slight",
    "0.5": "Partial",
    "0.75": "Good",
    "1": "Perfect",
}

Pair = tuple[str, str]  # (query, document id), as they stand in the file
SEPARATORS = str.maketrans("\t\r\n", "   ")


class Judgments:
    """The grades of one file; safe to call from many threads."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._labels: dict[Pair, str] = {}
        self._last_id = 0
        self._seen: tuple[int, int, int] | None = None  # the file as last read or written

    def open(self) -> Judgments:
        """Read the file, or create it with its header. Raises DocumentError."""
        with self._lock:
            try:
                with _alone(self.path.parent):
                    if not self.path.exists():
                        self._replace([HEADER])
                    self._read()
            except OSError as error:
                raise self._trouble(error) from error
        return self

    def grade(self, query: str, document_id: str) -> str | None:
        """The label given to this document for this query, as written in `GRADES`."""
        return self._labels.get(_pair(query, document_id))

    def __len__(self) -> int:
        return len(self._labels)

    def give(self, query: str, document: Document, label: str) -> None:
        """Write one grade; on return it is on the disk. Raises DocumentError."""
        if label not in GRADES:
            raise DocumentError(f"grade {label!r}: choose one of {', '.join(GRADES)}")
        pair = _pair(query, document.id)
        with self._lock:
            try:
                with _alone(self.path.parent):
                    self._give(pair, document, label)
            except OSError as error:
                raise self._trouble(error) from error

    def _give(self, pair: Pair, document: Document, label: str) -> None:
        if self._seen != self._state():  # a person edited it, or another page writes to it
            self._read()
        if pair not in self._labels:
            self._append(self._line(self._last_id + 1, pair, document, label))
            self._last_id += 1
        elif self._labels[pair] != label:
            self._replace(self._with_label(pair, label))
        self._labels[pair] = label
        self._seen = self._state()

    def _line(self, number: int, pair: Pair, document: Document, label: str) -> str:
        values = (str(number), *pair, flat(document.text), flat(document.title), label)
        return "\t".join(values) + "\n"

    def _rows(self) -> Iterator[tuple[str, list[str]]]:
        """Each line after the header, as it stands and by column."""
        with self.path.open(encoding="utf-8", newline="\n") as lines:
            header = next(lines, "")
            if header.rstrip("\r\n") != HEADER.rstrip("\n"):
                raise DocumentError(
                    f"{self.path}:1: no file of judgments; its first line must be the columns "
                    f"{', '.join(COLUMNS)} (tab-separated), or name a file that does not exist yet"
                )
            for number, line in enumerate(lines, start=2):
                values = line.rstrip("\r\n").split("\t")
                if len(values) != len(COLUMNS):
                    raise DocumentError(
                        f"{self.path}:{number}: {len(values)} columns where {len(COLUMNS)} are "
                        "expected; mend or remove the line"
                    )
                yield line, values

    def _read(self) -> None:
        labels: dict[Pair, str] = {}
        last, complete = 0, True
        try:
            for line, values in self._rows():
                complete = line.endswith("\n")
                labels[values[1], values[2]] = _plain_label(values[5])
                last = max(last, int(values[0])) if values[0].isdecimal() else last
        except UnicodeDecodeError as error:
            raise DocumentError(f"{self.path}: no UTF-8 text ({error.reason})") from error
        if not complete:
            self._append("\n")  # an editor left the last line open
        self._labels, self._last_id, self._seen = labels, last, self._state()

    def _with_label(self, pair: Pair, label: str) -> Iterator[str]:
        yield HEADER
        for line, values in self._rows():
            same = (values[1], values[2]) == pair
            yield "\t".join([*values[:5], label]) + "\n" if same else line

    def _append(self, text: str) -> None:
        data = text.encode("utf-8")
        with self.path.open("ab", buffering=0) as file:
            size = file.seek(0, os.SEEK_END)
            try:
                if file.write(data) != len(data):
                    raise OSError("the disk is full")
                os.fsync(file.fileno())
            except OSError:
                file.truncate(size)  # half a line must not stay
                raise

    def _replace(self, lines: list[str] | Iterator[str]) -> None:
        beside = self.path.with_name(f"{self.path.name}.{os.getpid()}.new")
        try:
            with beside.open("w", encoding="utf-8", newline="\n") as file:
                file.writelines(lines)
                file.flush()
                os.fsync(file.fileno())
            beside.replace(self.path)
        except BaseException:
            beside.unlink(missing_ok=True)
            raise

    def _state(self) -> tuple[int, int, int] | None:
        if not self.path.exists():
            self._replace([HEADER])  # removed under us: begin again rather than lose this grade
        status = self.path.stat()
        return status.st_ino, status.st_size, status.st_mtime_ns

    def _trouble(self, error: OSError) -> DocumentError:
        return DocumentError(
            f"{self.path}: the judgments cannot be kept there ({error.strerror or error}); "
            "choose a file in a folder that can be written to"
        )


def flat(text: str) -> str:
    """One line with no tabs: the form quotes nothing. Every run of white space becomes a space."""
    return " ".join(text.split())


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """No other page writes to a file of this folder meanwhile, where the system can lock folders.

    The file itself cannot be what is locked: a changed grade puts another in its place.
    """
    if sys.platform == "win32":
        yield
        return
    import fcntl

    place = os.open(folder, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):  # a network drive without locks
            fcntl.flock(place, fcntl.LOCK_EX)
        yield
    finally:
        os.close(place)


def _pair(query: str, document_id: str) -> Pair:
    """An id stays as it is, two blanks in a row included: it is looked up in the index again."""
    return flat(query), document_id.translate(SEPARATORS)


def _plain_label(text: str) -> str:
    """`1.0` and `0.50` as `GRADES` writes them; another label stays as it is."""
    try:
        return f"{float(text):g}"
    except ValueError:
        return text
