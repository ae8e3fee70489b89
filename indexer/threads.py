"""Cores and threads: the one place that imports FAISS and onnxruntime and says how many threads each library takes.

On macOS the wheels of FAISS and of torch each bring an OpenMP runtime. Two of them in one process end it
(OMP error 15), or crash FAISS's parallel loops even where they are let be. So there, and only there, the
second runtime is tolerated and FAISS keeps to one thread.
"""

from __future__ import annotations

import functools
import importlib
import os
import sys
from typing import Any

from configs.errors import MissingExtra

__all__ = ["cores", "faiss", "limit", "onnxruntime"]

_limit = 0


def cores() -> int:
    """Cores this process may use, or the limit that was set."""
    if _limit:
        return _limit
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def limit(count: int) -> None:
    """Let FAISS, torch, the tokenizer and tantivy use this many threads each; 0: one a core.

    Call it before any of them works; a library that has started keeps what it has.
    """
    global _limit
    _limit = count
    if count:
        for name in (
            "OMP_NUM_THREADS",
            "OPENBLAS_NUM_THREADS",
            "MKL_NUM_THREADS",
            "RAYON_NUM_THREADS",
        ):
            os.environ.setdefault(name, str(count))


@functools.cache
def faiss() -> Any:
    """The module faiss, ready to be used beside torch; MissingExtra where neither faiss-cpu nor faiss-gpu is installed."""
    if sys.platform == "darwin":
        os.environ.setdefault("KMP_DUPLICATE_LIB_OK", "TRUE")
    # A thread that waits for work sleeps. OpenMP's would go round and round, on a core that others need: on a
    # busy machine training a product quantizer took ten times the CPU time so.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        import faiss as module
    except ImportError as error:
        raise MissingExtra("faiss", "cpu", "an index") from error
    if sys.platform == "darwin":
        module.omp_set_num_threads(1)
    elif "OMP_NUM_THREADS" not in os.environ:  # who sets it means it
        module.omp_set_num_threads(cores())
    return module


@functools.cache
def onnxruntime() -> Any:
    """The module onnxruntime, which sends nothing home.

    Its wheels (1.31) write a device id into the user's cache folder when they are imported, and report to their maker; the
    variable must stand before that.
    """
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    return importlib.import_module("onnxruntime")  # it ships no types
