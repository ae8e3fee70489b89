"""The FAISS index on graphics cards: which cards a setting names, and a copy that several threads may search.

Filters and deleted passages are not known to an index on a card; such a search is answered by the index in the
folder, from which the copy was made. Everything opens, and finds the same, without a card.
"""

from __future__ import annotations

import re
import threading
from typing import Any

import numpy as np
from numpy.typing import NDArray

from configs.errors import ConfigError
from indexer.schema import Matrix
from indexer.threads import faiss

__all__ = ["MOST", "GpuCopy", "cards", "gpus", "holds", "on_cpu", "on_gpu", "to_gpu"]

MOST = 2048
"""Neighbours that an index on a card can give for one query."""


def gpus() -> int:
    """GPUs that FAISS can use here; none with faiss-cpu."""
    return int(faiss().get_num_gpus()) if hasattr(faiss(), "get_num_gpus") else 0


def holds(factory: str) -> bool:
    """Whether FAISS has this kind of index on a GPU: it has no graphs and no 4-bit fast-scan codes."""
    return "HNSW" not in factory and "x4fs" not in factory


def cards(device: str, present: int) -> list[int]:
    """The numbers of the cards that `device` names, of those `present`; none for cpu.

    `auto` and `cuda` are the first card, `cuda:N` is that one, `all` every one. Where FAISS has no card, `cuda` and
    `all` are none too: an encoder may still use a card through torch. Raises ConfigError for another word, or a
    card that is not there.
    """
    if device in ("cpu", "mps"):  # mps: Apple's, which torch knows and FAISS does not
        return []
    if device == "all":
        return list(range(present))
    if device in ("auto", "cuda"):
        return [0] if present else []
    found = re.fullmatch(r"cuda:(\d{1,3})", device)
    if found is None:
        raise ConfigError(
            f"encoder.device {device}: write auto, cpu, cuda, cuda:N or all, for example cuda:1"
        )
    number = int(found[1])
    if present and number >= present:
        raise ConfigError(
            f"encoder.device {device}: FAISS sees {present} GPUs here, the last is cuda:{present - 1}"
        )
    return [number] if present else []


def to_gpu(index: Any, device: str, factory: str) -> Any | None:
    """A copy of a FAISS index on the cards that `device` names; None where there are none or none holds this kind."""
    chosen = cards(device, gpus())
    if not chosen or not holds(factory):
        return None
    if len(chosen) == 1:
        # the resources must live as long as the copy: FAISS's wrapper keeps them by this reference
        resources = faiss().StandardGpuResources()
        copy = faiss().index_cpu_to_gpu(resources, chosen[0], index)
        copy.referenced_objects = [resources]
        return copy
    return faiss().index_cpu_to_gpus_list(index, gpus=chosen)


def on_cpu(copy: Any) -> Any:
    """The index of a copy on cards, back in memory, as every machine can open it."""
    return faiss().index_gpu_to_cpu(copy)


class GpuCopy:
    """A copy on cards for searching. FAISS's GPU resources serve one thread at a time, so a lock stands before them."""

    def __init__(self, copy: Any) -> None:
        self._copy = copy
        self._lock = threading.Lock()

    def search(self, vectors: Matrix, wanted: int) -> NDArray[np.int64]:
        """Rows of the `wanted` nearest, (n, wanted); -1 where there are no more. `wanted` is at most MOST."""
        with self._lock:
            _, rows = self._copy.search(np.ascontiguousarray(vectors), wanted)
        return np.asarray(rows, np.int64)


def on_gpu(index: Any, factory: str, probes: int, lists: int, device: str) -> GpuCopy | None:
    """A searchable copy of `index`, which reads `probes` of its `lists`; None where it stays in memory alone."""
    copy = None if index is None else to_gpu(index, device, factory)
    if copy is None:
        return None
    if lists:
        faiss().GpuParameterSpace().set_index_parameter(copy, "nprobe", probes)
    return GpuCopy(copy)
