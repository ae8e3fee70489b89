"""Opening files that may be compressed: gzip, bzip2, xz and Zstandard, recognised by their first bytes.

Knows nothing of what a file holds.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import sys
import zlib
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

__all__ = ["SUFFIXES", "UNREADABLE", "open_file", "open_text", "strip_suffix", "unpacked"]

SUFFIXES = (".gz", ".bz2", ".xz", ".zst", ".zstd")
"""Endings of compressed files, in lower case."""
UNREADABLE = (OSError, EOFError, zlib.error, lzma.LZMAError, zstd.ZstdError)
"""What reading a damaged, shortened or forbidden file raises."""

_MAGIC = {
    b"\x1f\x8b": ".gz",
    b"BZh": ".bz2",
    b"\xfd7zXZ\x00": ".xz",
    b"\x28\xb5\x2f\xfd": ".zst",
}


def strip_suffix(name: str) -> str:
    """A file's name without the ending of its compression, in any case: `a.JSONL.GZ` -> `a.JSONL`."""
    stem, dot, suffix = name.rpartition(".")
    return stem if dot and f".{suffix.lower()}" in SUFFIXES else name


def open_file(path: str | Path) -> io.BufferedReader[Any]:
    """A file's bytes, decompressed. The first bytes decide, so a wrongly named file opens too.

    Raises one of UNREADABLE, here or while it is read; OSError when a file that is named as compressed
    is none.
    """
    raw = Path(path).open("rb")  # noqa: SIM115  # the caller closes what is returned
    try:
        return unpacked(raw, str(path))
    except BaseException:
        raw.close()
        raise


def open_text(path: str | Path) -> IO[str]:
    """A file's text, decompressed, as UTF-8; only a line feed ends a line. Raises as `open_file`, and
    UnicodeDecodeError."""
    return io.TextIOWrapper(open_file(path), encoding="utf-8", newline="\n")


def unpacked(raw: io.BufferedReader[Any], name: str = "") -> io.BufferedReader[Any]:
    """An open file, decompressed as its first bytes say; closing the result closes `raw`."""
    suffix = f".{name.rpartition('.')[2].lower()}"
    head = raw.peek(8)[:8]
    for magic, kind in _MAGIC.items():
        if head.startswith(magic):
            return io.BufferedReader(_Unpacked(raw, kind), 1 << 16)
    if head and suffix in SUFFIXES:
        raise OSError(f"it is named {suffix}, but its content is not compressed that way")
    return raw


class _Unpacked(io.RawIOBase):
    """A decompressing stream that closes the file below it."""

    def __init__(self, raw: IO[bytes], kind: str) -> None:
        self._raw = raw
        opened: Any = {".gz": gzip, ".bz2": bz2, ".xz": lzma, ".zst": zstd}[kind]
        self._stream: IO[bytes] = opened.open(raw, "rb")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        view = memoryview(buffer)
        data = self._stream.read(len(view))
        view[: len(data)] = data
        return len(data)

    def close(self) -> None:
        if not self.closed:
            self._stream.close()
            self._raw.close()
        super().close()
