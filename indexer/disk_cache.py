"""Arrays that are worked out of a file once on a machine, and memory-mapped from then on.

They stand in the user's cache folder: TANDEM_CACHE, or where this system keeps such things. A file of it
begins with the SHA-256 of all that follows; one that is damaged, cut or of another source is made again,
and where nothing can be written, what was made is used as it is.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import os
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["derived", "folder", "is_kept", "tensors"]

_DIGEST = 32  # bytes of a SHA-256
_KEPT = 8  # files of one name: those of other students, and of older versions
_ABANDONED = 3600  # seconds after which an unfinished file is nobody's
_KINDS = {
    "BOOL": "?", "U8": "u1", "I8": "i1", "U16": "<u2", "I16": "<i2", "U32": "<u4", "I32": "<i4",
    "U64": "<u8", "I64": "<i8", "F16": "<f2", "F32": "<f4", "F64": "<f8",
}  # fmt: skip

Arrays = dict[str, NDArray[Any]]


def derived(name: str, source: bytes, make: Callable[[], Arrays]) -> Arrays:
    """What `make` gives, by name; kept for the next process that asks for this `name` and `source`.

    `source` is all that the arrays depend on, or a digest of it.
    """
    file = _file(name, source)
    if file is None:
        return make()
    with contextlib.suppress(OSError, ValueError):
        return _checked(file)
    made = make()
    with contextlib.suppress(OSError):
        _write(file, made)
        _prune(file.parent, name)
    return made


def is_kept(name: str, source: bytes) -> bool:
    """Whether `derived` finds what it kept; also where it keeps nothing, and waiting for it later would not help."""
    file = _file(name, source)
    return file is None or file.is_file()


def _file(name: str, source: bytes) -> Path | None:
    home = folder()
    digest = hashlib.sha256(source).hexdigest()[:_DIGEST]
    return None if home is None else home / f"{name}-{digest}"


def folder() -> Path | None:
    """Where this user's derived arrays stand; None where there is no such place."""
    named = os.environ.get("TANDEM_CACHE")
    if named:
        return Path(named)
    try:
        if sys.platform == "darwin":
            return Path.home() / "Library" / "Caches" / "tandem"
        key, other = (
            ("LOCALAPPDATA", "AppData/Local") if os.name == "nt" else ("XDG_CACHE_HOME", ".cache")
        )
        return Path(os.environ.get(key) or Path.home() / other) / "tandem"
    except RuntimeError:  # a user without a home
        return None


def tensors(data: NDArray[np.uint8]) -> Arrays:
    """The arrays of a safetensors file's bytes, as views of them. ValueError when it is none, or damaged.

    The library's own reader copies them.
    """
    begin = 8 + int.from_bytes(data[:8].tobytes(), "little")
    if not 8 < begin <= len(data):
        raise ValueError(f"a header of {begin - 8:,} bytes in a file of {len(data):,}")
    found = {}
    try:
        for name, entry in json.loads(data[8:begin].tobytes()).items():
            if name == "__metadata__":
                continue
            kind, shape = np.dtype(_KINDS[entry["dtype"]]), tuple(map(int, entry["shape"]))
            start, end = (begin + int(place) for place in entry["data_offsets"])
            size = math.prod(shape) * kind.itemsize
            if (
                min(shape, default=0) < 0
                or not begin <= start <= end <= len(data)
                or end - start != size
            ):
                raise ValueError(f"{name}: {shape} of {kind} from {start:,} to {end:,}")
            found[name] = data[start:end].view(kind).reshape(shape)
    except (KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"no table of tensors: {error!r}") from error
    return found


def _checked(file: Path) -> Arrays:
    data = np.memmap(file, np.uint8, "r")
    rest = np.asarray(data[_DIGEST:])
    if hashlib.sha256(rest.data).digest() != data[:_DIGEST].tobytes():
        raise ValueError(f"{file}: not as it was written")
    return tensors(rest)


def _write(file: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    from safetensors.numpy import save

    block = save({name: np.ascontiguousarray(array) for name, array in arrays.items()})
    file.parent.mkdir(parents=True, exist_ok=True)
    handle, new = tempfile.mkstemp(prefix=f"{file.name}.", suffix=".new", dir=file.parent)
    try:
        with os.fdopen(handle, "wb") as out:
            out.write(hashlib.sha256(block).digest())
            out.write(block)
        Path(new).replace(file)
    except BaseException:
        Path(new).unlink(missing_ok=True)
        raise


def _prune(home: Path, name: str) -> None:
    """Remove the older files of a name, and what a writer that was killed left."""
    files = [entry for entry in home.glob(f"{name}-*") if entry.suffix != ".new"]
    old = sorted(files, key=lambda entry: entry.stat().st_mtime)[:-_KEPT]
    for entry in home.glob("*.new"):
        if entry.stat().st_mtime < time.time() - _ABANDONED:
            old.append(entry)
    for entry in old:
        entry.unlink(missing_ok=True)
