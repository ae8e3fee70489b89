"""FAISS on a GPU beside FAISS on the CPU, and encoding on a GPU; says so where there is none.

It needs faiss-gpu (the extra `gpu`) for the index and a torch with CUDA for the encoder.
"""

from __future__ import annotations

import statistics
import time
from pathlib import Path
from typing import Any

from benchmarks.inputs import queries, texts

__all__ = ["compare"]

K, ROUNDS = 100, 5
_MODEL = "all-MiniLM-L6-v2"


def compare(file: str, folder: str, query_file: str, count: int) -> dict[str, Any]:
    """Milliseconds of a batch of queries and seconds to train and add, on both; {"gpus": 0} without one."""
    from indexer.threads import faiss

    found: dict[str, Any] = {"gpus": 0, "torch_gpus": _torch_gpus()}
    if hasattr(faiss(), "get_num_gpus"):
        found["gpus"] = int(faiss().get_num_gpus())
    if found["gpus"]:
        found["faiss"] = _faiss(folder, query_file, count)
    if found["torch_gpus"]:
        found["encoding"] = {device: _encoding(file, device) for device in ("cpu", "cuda")}
    return found


def _torch_gpus() -> int:
    try:
        import torch
    except ImportError:
        return 0
    return int(torch.cuda.device_count()) if torch.cuda.is_available() else 0


def _faiss(folder: str, query_file: str, count: int) -> dict[str, Any]:
    """The same vectors in the same kinds of index on the CPU and on every GPU."""
    import numpy as np

    from indexer.folder import IndexFolder
    from indexer.search.dense import choose_factory
    from indexer.threads import faiss

    module = faiss()
    index = IndexFolder.open(Path(folder))
    vectors = index.store.take(np.arange(len(index.store)))
    asked = index.encoder.encode(queries(query_file, count), kind="query")
    results: dict[str, Any] = {"passages": len(vectors)}
    for factory in dict.fromkeys(
        ("Flat", choose_factory(len(vectors), gpu=True), "IVF2048,PQ32x8")
    ):
        made: dict[str, dict[str, Any]] = {}
        for device in ("cpu", "gpu"):
            empty = module.index_factory(index.store.dim, factory, module.METRIC_INNER_PRODUCT)
            try:
                ready = module.index_cpu_to_all_gpus(empty) if device == "gpu" else empty
            except RuntimeError as error:  # not every kind of index exists on a GPU
                made[device] = {"error": str(error).splitlines()[0]}
                continue
            begun = time.perf_counter()
            ready.train(vectors)
            ready.add(vectors)
            built = time.perf_counter() - begun
            ready.search(asked, K)
            rounds = []
            for _ in range(ROUNDS):
                begun = time.perf_counter()
                ready.search(asked, K)
                rounds.append(1000 * (time.perf_counter() - begun))
            made[device] = {
                "build_seconds": round(built, 3),
                "batch_ms": round(statistics.median(rounds), 2),
                "queries": len(asked),
            }
        results[factory] = made
    return results


def _encoding(file: str, device: str) -> dict[str, float]:
    from indexer.encoders.opening import open_encoder

    encoder = open_encoder(_MODEL, device=device)
    taken = texts(file)[: 20_000 if device == "cuda" else 500]
    encoder.encode(taken[:64])
    begun = time.perf_counter()
    encoder.encode(taken)
    return {"passages_per_second": round(len(taken) / (time.perf_counter() - begun), 1)}
