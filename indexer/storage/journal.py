"""What a build has encoded so far, kept so that a killed build does not encode it again.

    journal.json   what the vectors depend on (encoder, chunking); another value refuses to resume
    keys.bin       a record a batch: passages, CRC-32 of their vectors, then a 16-byte key a passage
    vectors.f32    the vectors, batch after batch

A batch is written vectors first, key record last, so a record vouches for its vectors; the CRC catches
what a power cut leaves behind. A resumed build finds each passage by its key, whatever order it comes in.

Once a commit is made, its segment may have vectors.f32 as a hard link: such a journal is done with, and
is never appended to again (`indexer.folder.sweep` removes it).
"""

from __future__ import annotations

import hashlib
import json
import os
import struct
import time
import zlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from configs.errors import IndexFolderError
from indexer.schema import Encoder, Matrix

__all__ = ["Journal", "passage_key"]

BATCH = 1024  # passages encoded at a time, and so lost at most when a build is killed
SLOW_BATCH = 128  # by an encoder that is no table of token vectors: some seconds of a transformer
_RECORD = struct.Struct("<II")
_KEY = 16
_SYNCED = 10.0  # seconds between two times that the journal is made to reach the disk: a power cut


def passage_key(text: str) -> bytes:
    """16 bytes that stand for the text that is encoded."""
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=_KEY).digest()


class Journal:
    """Encoded passages, appended to; every passage has the row at which its vector stands."""

    def __init__(self, folder: Path, dim: int) -> None:
        self.folder = folder
        self.dim = dim
        self.rows = 0
        self.recovered = 0
        self._free: dict[bytes, list[int]] = {}
        self._synced = time.monotonic()
        self._keys = (folder / "keys.bin").open("ab")
        self._vectors = (folder / "vectors.f32").open("ab")

    @classmethod
    def open(cls, folder: Path, dim: int, depends_on: Mapping[str, Any]) -> Journal:
        """The journal in `folder`, made when there is none.

        Raises IndexFolderError, naming each difference, when it was begun with other settings.
        """
        folder.mkdir(parents=True, exist_ok=True)
        header = folder / "journal.json"
        before = _header(header)
        if before is None:  # none, or not whole: what stands beside it cannot be trusted
            for name in ("keys.bin", "vectors.f32"):
                (folder / name).unlink(missing_ok=True)
            new = folder / "journal.json.new"
            new.write_text(json.dumps(dict(depends_on), ensure_ascii=False), "utf-8")
            new.replace(header)
        elif before != dict(depends_on):
            differences = "; ".join(
                f"{key} was {before.get(key)!r} and is now {depends_on.get(key)!r}"
                for key in sorted({*before, *depends_on})
                if before.get(key) != depends_on.get(key)
            )
            raise IndexFolderError(
                f"{folder.parent}: a build was interrupted here with other settings ({differences}); "
                "use those to finish it, or --restart to discard what it encoded"
            )
        journal = cls(folder, dim)
        journal._recover()
        return journal

    def _recover(self) -> None:
        """Take over every whole batch; cut off what follows."""
        width = self.dim * 4
        keys = (self.folder / "keys.bin").read_bytes()
        good = 0
        with (self.folder / "vectors.f32").open("rb") as vectors:
            size = os.fstat(vectors.fileno()).st_size
            while good + _RECORD.size <= len(keys):
                count, checksum = _RECORD.unpack_from(keys, good)
                end = good + _RECORD.size + count * _KEY
                # The sizes first: a damaged count must not make us ask for memory.
                if end > len(keys) or (self.rows + count) * width > size:
                    break
                block = vectors.read(count * width)
                if zlib.crc32(block) != checksum:
                    break
                for i in range(count):
                    at = good + _RECORD.size + i * _KEY
                    self._free.setdefault(keys[at : at + _KEY], []).append(self.rows + i)
                self.rows += count
                good = end
        self._keys.truncate(good)
        self._vectors.truncate(self.rows * width)
        for file in (self._keys, self._vectors):
            file.seek(0, 2)
        for rows in self._free.values():
            rows.reverse()  # taken from the end: the first one written goes first
        self.recovered = self.rows

    @property
    def waiting(self) -> bool:
        """Whether some of what an interrupted build encoded has not been asked for yet."""
        return bool(self._free)

    def encode(self, texts: Sequence[str], encoder: Encoder) -> NDArray[np.int64]:
        """The row of each text's vector; texts that are not in the journal yet are encoded and appended."""
        size = BATCH if hasattr(encoder, "tokens") else min(BATCH, SLOW_BATCH)
        return self.encode_by(texts, lambda batch: encoder.encode(batch, kind="passage"), size)

    def encode_by(
        self,
        texts: Sequence[str],
        encode: Callable[[Sequence[str]], Matrix],
        size: int = BATCH,
    ) -> NDArray[np.int64]:
        """`encode` with a function; it is called with the texts that are not in the journal yet, in order, `size` at most."""
        keys = [passage_key(text) for text in texts]
        rows, missing = self._known(keys)
        for start in range(0, len(missing), size):
            batch = missing[start : start + size]
            vectors = encode([texts[i] for i in batch])
            rows[batch] = self._append([keys[i] for i in batch], vectors)
        return rows

    def add(self, keys: bytes, vectors: Matrix) -> NDArray[np.int64]:
        """The row of each passage that was encoded already; what is not in the journal yet is appended.

        `keys` are those of `passage_key`, one after another.
        """
        each = [keys[at : at + _KEY] for at in range(0, len(keys), _KEY)]
        rows, missing = self._known(each)
        if len(missing) == len(each):
            return self._append(each, vectors) if each else rows
        if missing:
            rows[missing] = self._append([each[i] for i in missing], vectors[missing])
        return rows

    def _known(self, keys: Sequence[bytes]) -> tuple[NDArray[np.int64], list[int]]:
        """The row of each passage that is here and no other passage's, and which ones are not here."""
        rows = np.empty(len(keys), np.int64)
        missing = []
        for i, key in enumerate(keys):
            free = self._free.get(key)
            if free is None:
                missing.append(i)
                continue
            rows[i] = free.pop()  # each row stands for one passage, equal texts included
            if not free:
                del self._free[key]
        return rows, missing

    def _append(self, keys: Sequence[bytes], vectors: Matrix) -> NDArray[np.int64]:
        """The rows at which they stand now."""
        if vectors.shape != (len(keys), self.dim):
            raise IndexFolderError(
                f"the encoder gave vectors of shape {vectors.shape}; ({len(keys)}, {self.dim}) was expected"
            )
        block = np.ascontiguousarray(vectors, np.dtype("<f4")).tobytes()
        self._vectors.write(block)
        self._vectors.flush()
        self._keys.write(_RECORD.pack(len(keys), zlib.crc32(block)) + b"".join(keys))
        self._keys.flush()
        self.rows += len(keys)
        if time.monotonic() - self._synced > _SYNCED:
            os.fsync(self._vectors.fileno())
            os.fsync(self._keys.fileno())
            self._synced = time.monotonic()
        return np.arange(self.rows - len(keys), self.rows)

    def close(self) -> None:
        self._keys.close()
        self._vectors.close()


def _header(file: Path) -> dict[str, Any] | None:
    """What a journal was begun with; None where there is none or it cannot be read."""
    try:
        values = json.loads(file.read_text("utf-8"))
    except (FileNotFoundError, ValueError, RecursionError):
        return None
    return values if isinstance(values, dict) else None
