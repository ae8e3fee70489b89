"""Documents on their way into an index: checked, each id once, those that have not changed left out."""

from __future__ import annotations

import collections
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Protocol, TypeVar

from indexer import prepare
from indexer.prepare import Hashed
from indexer.schema import Document
from indexer.storage import commit
from indexer.storage.store import content_hash
from indexer.text.records import check_document
from indexer.text.rejects import OnReject, Reject

__all__ = ["Incoming", "Progress"]

Progress = Callable[[int], None]  # documents done since the last call


class Known(Protocol):
    """A document as it stands in the index."""

    @property
    def hash(self) -> bytes:
        """Its content hash."""
        ...


K = TypeVar("K", bound=Known)


class Incoming:
    """Batches of the documents to write, and counts of what became of all of them.

    `counts`: added, replaced, unchanged, repeated (given twice, alike) and rejected.
    """

    def __init__(self, on_reject: OnReject | None = None, progress: Progress | None = None) -> None:
        self.counts: collections.Counter[str] = collections.Counter()
        self._on_reject = on_reject
        self._progress = progress
        # content hash, then the place as UTF-8: one object an id, of which there may be millions
        self._seen: dict[str, bytes] = {}

    def batches(
        self,
        documents: Iterable[Document],
        find: Callable[[Sequence[Document]], Mapping[str, K]],
        replaced: Callable[[str, K], None],
    ) -> Iterator[list[Hashed]]:
        """The documents that are valid, not given before, and not in the index with the same content.

        `find` gives what the index holds of some documents, by id, and `replaced` is told of each that changes.
        """
        stream = iter(documents)
        while chunk := list(itertools.islice(stream, prepare.BATCH)):
            commit.reached("batch read")
            good = [
                (document, digest)
                for document, digest in ((document, content_hash(document)) for document in chunk)
                if self._is_new(document, digest)
            ]
            known = find([document for document, _ in good])
            batch = []
            for document, digest in good:
                before = known.get(document.id)
                if before is None:
                    self.counts["added"] += 1
                elif before.hash == digest:
                    self.counts["unchanged"] += 1
                    continue
                else:
                    replaced(document.id, before)
                    self.counts["replaced"] += 1
                batch.append((document, digest))
            if self._progress is not None and len(batch) < len(chunk):
                self._progress(len(chunk) - len(batch))
            if batch:
                yield batch

    def _is_new(self, document: Document, digest: bytes) -> bool:
        """Whether a document can be used and was not given before; it is set aside where it cannot."""
        problem = check_document(document)
        first = self._seen.get(document.id) if problem is None else None
        if first is not None:
            if first.startswith(digest):
                self.counts["repeated"] += 1
                return False
            where = first[len(digest) :].decode()
            problem = (
                f"the id {document.id!r} came before{f', at {where},' if where else ''} "
                "with other content; the first is kept"
            )
        if problem is not None:
            self.counts["rejected"] += 1
            if self._on_reject is not None:
                place = document.place or document.id[:200]
                self._on_reject(Reject(place, problem, document.text[:2000]))
            return False
        self._seen[document.id] = digest + document.place.encode("utf-8", "replace")
        return True
