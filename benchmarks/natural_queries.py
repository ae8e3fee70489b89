"""`python -m benchmarks.natural_queries fast accurate`: natural queries on the demo, by encoder and mode.

For each set and mode: for how many of 120 queries the right document is among the first three, and MRR@10, of all, of the
queries whose answer is in another language, and of the others.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any, get_args

import click
import numpy as np

from benchmarks import judged
from benchmarks.fusion import build
from indexer.encoders.opening import open_encoder
from indexer.schema import Mode
from retriever.retriever import Retriever

SETS = Path(__file__).parent / "natural"


def reciprocal_ranks(retriever: Retriever, asked: list[dict[str, Any]], mode: Mode) -> list[float]:
    """Of the first right document of each query; 0 beyond the tenth."""
    found = retriever.rank([one["query"] for one in asked], 10, mode)
    return [
        max(
            (1 / rank for rank, (id_, _) in enumerate(hits, 1) if id_ in one["expected"]),
            default=0.0,
        )
        for one, hits in zip(asked, found, strict=True)
    ]


@click.command()
@click.argument("encoders", nargs=-1, required=True)
def main(encoders: tuple[str, ...]) -> None:
    """Measure each ENCODER."""
    for name in encoders:
        with tempfile.TemporaryDirectory() as room:
            retriever = build(judged.demo(), open_encoder(name), Path(room))
            for file in sorted(SETS.glob("*.jsonl")):
                asked = [json.loads(line) for line in file.read_text("utf-8").splitlines()]
                cross = np.array([one["cross"] for one in asked])
                for mode in get_args(Mode):
                    ranks = np.array(reciprocal_ranks(retriever, asked, mode))
                    click.echo(
                        f"{name} {file.stem} {mode}: top 3 {int((ranks >= 1 / 3).sum())} of {len(asked)}, "
                        f"MRR {ranks.mean():.3f}, crossing {ranks[cross].mean():.3f}, "
                        f"not {ranks[~cross].mean():.3f}"
                    )


if __name__ == "__main__":
    main()
