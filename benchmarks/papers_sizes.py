"""Bednář et al. 2023 call their small models 8 times smaller and 5 times faster than Base: both bodies of Small beside Base.

Weights are random, since neither size nor time depends on them. The bodies take turns, so that what else the machine does
falls on all alike.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.papers_running import Scale
from configs.tables import markdown_table

__all__ = ["Sizes"]

PIECES, TEXTS, TOKENS, ROUNDS = 30_522, 16, 32, 15
BASE = "Base (BERT, 12 layers of 768)"
SHAPES: Mapping[str, dict[str, Any]] = {
    BASE: {"hidden_size": 768, "num_attention_heads": 12, "intermediate_size": 3072},
    "Small (BERT, 12 layers of 256)": {
        "hidden_size": 256,
        "num_attention_heads": 4,
        "intermediate_size": 1024,
    },
    "Small (ELECTRA, 12 layers of 256, pieces of 128)": {
        "hidden_size": 256,
        "num_attention_heads": 4,
        "intermediate_size": 1024,
        "embedding_size": 128,
    },
}


class Sizes:
    """The rows of the comparison, by the name of the body."""

    rows = tuple(SHAPES)

    def __init__(self, scale: Scale, work: Path, data: Path) -> None:
        self._found: dict[str, dict[str, Any]] = {}

    def measured(self, name: str) -> dict[str, Any]:
        """Parameters, sentences a second, and the median over rounds of how much faster than Base it was in that round."""
        if not self._found:
            self._found = _measured()
        return self._found[name]

    @staticmethod
    def table(rows: Mapping[str, Mapping[str, Any]]) -> str:
        header = ["body", "parameters", "times smaller", "sentences/s", "times faster", "the paper"]
        lines = [
            [
                name,
                f"{found['parameters'] / 1e6:.1f} million",
                f"{found['smaller']:.1f}",
                f"{found['sentences_per_second']:.0f}",
                f"{found['faster']:.1f}",
                "" if name == BASE else "8 times smaller, 5 times faster",
            ]
            for name, found in rows.items()
        ]
        return markdown_table(header, lines)


def _measured() -> dict[str, dict[str, Any]]:
    import torch
    from transformers import BertConfig, BertModel, ElectraConfig, ElectraModel

    bodies: dict[str, Any] = {}
    for name, shape in SHAPES.items():
        body: Any
        if "embedding_size" in shape:
            body = ElectraModel(ElectraConfig(vocab_size=PIECES, **shape))
        else:
            body = BertModel(BertConfig(vocab_size=PIECES, **shape), add_pooling_layer=False)
        bodies[name] = body.train(False)
    ids = torch.randint(1000, PIECES, (TEXTS, TOKENS), generator=torch.Generator().manual_seed(1))
    seconds: dict[str, list[float]] = {name: [] for name in bodies}
    with torch.inference_mode():
        for turn in range(ROUNDS + 2):
            for name, body in bodies.items():
                start = time.perf_counter()
                body(ids)
                if turn >= 2:  # the first two warm up
                    seconds[name].append(time.perf_counter() - start)
    sizes = {name: sum(p.numel() for p in body.parameters()) for name, body in bodies.items()}
    return {
        name: {
            "parameters": sizes[name],
            "smaller": round(sizes[BASE] / sizes[name], 2),
            "sentences_per_second": round(TEXTS / statistics.median(seconds[name]), 1),
            "faster": round(
                statistics.median(
                    base / own for base, own in zip(seconds[BASE], seconds[name], strict=True)
                ),
                2,
            ),
        }
        for name in bodies
    }
