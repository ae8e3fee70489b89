"""Encoders by size: the static student beside transformers of 12 layers, 256 and 768 wide.

    small    12 x 256, the student of the acceptance plan      base    12 x 768, the size of its teachers

The transformers have random weights: speed and size do not depend on what was learned. All three read the
same texts with the static student's tokenizer, whose vocabulary counts in their size as in its own.
"""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import Any

from benchmarks.inputs import queries, texts
from benchmarks.measure import percentiles, timed

__all__ = ["WIDTHS", "static", "transformer"]

WIDTHS = {"small": 256, "base": 768}


def static(file: str, query_file: str, encoder: str, count: int) -> dict[str, Any]:
    """The static student: parameters, file size, passages a second, milliseconds of a query."""
    from pathlib import Path

    from indexer.encoders import STUDENT
    from indexer.static import StaticEncoder

    folder = STUDENT if encoder == "default" else Path(encoder)
    opened = StaticEncoder.load(folder)
    taken = texts(file)
    opened.encode(taken[:1000])
    begun = time.perf_counter()
    opened.encode(taken)
    seconds = time.perf_counter() - begun
    single = timed(lambda query: opened.encode([query], kind="query"), queries(query_file, count))
    table = opened.table()
    return {
        "parameters_million": round(table.size / 1e6, 1),
        "mb": round((folder / "model.safetensors").stat().st_size / 2**20, 1),
        "passages_per_second": round(len(taken) / seconds, 1),
        "query": asdict(percentiles(single)),
    }


def transformer(
    file: str, query_file: str, encoder: str, count: int, width: int, passages: int
) -> dict[str, Any]:
    """A BERT of 12 layers: the same figures. Fewer passages, or it would take hours."""
    import tempfile
    from pathlib import Path

    from configs.training import StudentSettings
    from indexer.encoders import STUDENT
    from training.students import new_body

    folder = STUDENT if encoder == "default" else Path(encoder)
    settings = StudentSettings(
        tokenizer=str(folder), layers=12, width=width, heads=width // 64, max_tokens=256
    )
    model = new_body(settings, "cpu", 0)
    model.eval()
    taken = texts(file)[:passages]
    model.encode(taken[:32], batch_size=32, show_progress_bar=False)
    begun = time.perf_counter()
    model.encode(taken, batch_size=32, show_progress_bar=False)
    seconds = time.perf_counter() - begun
    single = timed(
        lambda query: model.encode([query], show_progress_bar=False),
        queries(query_file, count),
        warm=5,
    )
    with tempfile.TemporaryDirectory() as saved:
        model.save(saved, create_model_card=False)
        size = sum(f.stat().st_size for f in Path(saved).rglob("*.safetensors"))
    body = sum(weights.numel() for weights in model.parameters())
    return {
        "parameters_million": round(body / 1e6, 1),
        "mb": round(size / 2**20, 1),
        "passages_per_second": round(len(taken) / seconds, 1),
        "query": asdict(percentiles(single)),
    }
