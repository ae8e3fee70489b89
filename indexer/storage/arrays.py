"""Arrays of an index folder, opened with suspicion: the file may come from anywhere."""

from __future__ import annotations

import threading
from pathlib import Path
from tokenize import TokenError
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["NO_ARRAY", "load_array"]

# What numpy raises on a header that is none: it reads it as a Python literal.
NO_ARRAY = (ValueError, TypeError, SyntaxError, TokenError, OverflowError, MemoryError)
# numpy parses the header as Python, which two threads at a time break (CPython 3.11: "AST constructor recursion depth
# mismatch", python/cpython#106905).
_reading = threading.Lock()


def load_array(path: Path, dtype: np.dtype[Any], rows: int) -> NDArray[Any]:
    """An .npy file, memory-mapped: no pickle, no other shape or type, no size that the file has not.

    Raises ValueError naming the file and the difference.
    """
    name = f"{path.parent.name}/{path.name}"
    try:
        with _reading:
            found = np.lib.format.open_memmap(path, mode="r")
    except NO_ARRAY as error:
        raise ValueError(f"{name}: {error}") from error
    if found.dtype != dtype or found.shape != (rows,):
        raise ValueError(
            f"{name}: an array {found.shape} of {found.dtype}; ({rows},) of {dtype} is expected"
        )
    return np.asarray(found)  # a memmap takes several times as long to be indexed
