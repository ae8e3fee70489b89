"""`python -m benchmarks.gpu`: searching, mining and encoding on a graphics card, each beside what the card can do at most.

The floors are measured in the same run: one query must read every vector once (bytes over the rate of a copy on the card),
a batch must do 2 x n x dim operations a query (over the rate of a large matrix product). `share` is floor over time.
Vectors are random, unit length, float16 on the card; those of the inverted lists are drawn around 4,096 centres, since
lists find nothing in random ones. Without a card it says so and measures nothing; `--device cpu` tries it at small sizes.
"""

from __future__ import annotations

import importlib
import json
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import numpy as np
from numpy.typing import NDArray

from benchmarks.papers_sizes import PIECES, SHAPES
from configs.tables import markdown_table
from indexer.search.gpu import gpus
from indexer.threads import faiss

if TYPE_CHECKING:
    import torch

__all__ = ["main", "measured", "report"]

RESULTS = Path(__file__).parent / "results"
DIM, K, BATCH, BLOCK = 256, 100, 1_000, 500_000
LISTS, SPREAD = (
    4_096,
    0.6,
)  # of the clustered vectors: centres, and the length of the noise around one
TEXTS, TOKENS = 512, 32  # of a batch that a body reads
Figures = dict[str, Any]


class _Card:
    """A torch device, and a clock that waits for it."""

    def __init__(self, device: str) -> None:
        import torch

        self.torch = torch
        self.device = torch.device(device)
        self.on_gpu = self.device.type == "cuda"
        self.name = torch.cuda.get_device_name(self.device) if self.on_gpu else "CPU"

    def seconds(self, work: Callable[[], object], rounds: int = 7) -> float:
        """The median of some rounds, after two that warm up."""
        taken = []
        for turn in range(rounds + 2):
            self._wait()
            start = time.perf_counter()
            work()
            self._wait()
            if turn >= 2:
                taken.append(time.perf_counter() - start)
        return statistics.median(taken)

    def _wait(self) -> None:
        if self.on_gpu:
            self.torch.cuda.synchronize(self.device)

    def random(self, count: int, seed: int) -> torch.Tensor:
        """(count, DIM) float16 unit rows."""
        made = self.torch.empty(count, DIM, dtype=self.torch.float16, device=self.device)
        for start, block in self.blocks(count, seed):
            made[start : start + len(block)] = block
        return made

    def blocks(self, count: int, seed: int) -> Iterator[tuple[int, torch.Tensor]]:
        """The rows of `random` in float32, block by block with the place of each."""
        generator = self.torch.Generator(self.device).manual_seed(seed)
        for start in range(0, count, BLOCK):
            shape = (min(BLOCK, count - start), DIM)
            drawn = self.torch.randn(shape, generator=generator, device=self.device)
            yield start, self.torch.nn.functional.normalize(drawn)

    def clustered(self, count: int, seed: int) -> torch.Tensor:
        """(count, DIM) float32 unit rows around the same LISTS centres for every seed."""
        generator = self.torch.Generator(self.device).manual_seed(seed)
        centres = self.random(LISTS, 0).float()
        own = self.torch.randint(LISTS, (count,), generator=generator, device=self.device)
        noise = self.torch.randn(count, DIM, generator=generator, device=self.device)
        return self.torch.nn.functional.normalize(centres[own] + SPREAD * noise / DIM**0.5)

    def put(self, index: Any) -> Any:
        """A FAISS index where the vectors are; float16 on the card."""
        if not self.on_gpu:
            return index
        options = faiss().GpuClonerOptions()
        options.useFloat16 = True
        resources = faiss().StandardGpuResources()
        copy = faiss().index_cpu_to_gpu(resources, self.device.index or 0, index, options)
        copy.referenced_objects = [resources]  # must live as long as the copy
        return copy


def measured(device: str, sizes: tuple[int, ...], mined: int, square: int = 8192) -> Figures:
    """All measurements, each by its name."""
    importlib.import_module(
        "faiss.contrib.torch_utils"
    )  # FAISS takes torch's tensors where they are
    card = _Card(device)
    floors = _floors(card, square)
    found: Figures = {"card": card.name, "faiss": faiss().__version__, **floors}
    found["exact"] = {str(size): _exact(card, size, floors) for size in sizes}
    found["lists"] = _lists(card, min(sizes[-1], 10_000_000))
    found["mining"] = _mining(card, mined)
    found["bodies"] = {name: _body(card, shape, floors) for name, shape in SHAPES.items()}
    return found


def _floors(card: _Card, square: int) -> Figures:
    """Bytes that a copy reads and writes a second, and operations of a matrix product a second, in half precision."""
    one = card.random(max(2_000_000 * square // 8192, 1), 1)
    other = card.torch.empty_like(one)
    seconds = card.seconds(lambda: other.copy_(one))
    kind = card.torch.float16 if card.on_gpu else card.torch.float32
    matrix = card.torch.randn(square, square, device=card.device).to(kind)
    product = card.seconds(lambda: matrix @ matrix)
    return {
        "bytes_per_second": 2 * one.nbytes / seconds,
        "operations_per_second": 2 * square**3 / product,
    }


def _exact(card: _Card, size: int, floors: Figures) -> Figures:
    """One query and a batch of them, by a matrix product and topk of torch and by FAISS's flat index."""
    queries = card.random(BATCH, 3)
    figures: Figures = {}
    figures["torch"], first = _by_torch(card, size, floors, queries)
    if card.on_gpu:
        card.torch.cuda.empty_cache()  # a card of 80 GB holds 50 million once
    index = card.put(faiss().IndexFlatIP(DIM))
    for _, block in card.blocks(size, 2):
        index.add(block)
    asked = queries.float()
    figures["faiss"], second = _searched(
        card, size, floors, lambda count: index.search(asked[:count], K)[1]
    )
    figures["same_first_ten"] = _shared(first, second)
    return figures


def _by_torch(
    card: _Card, size: int, floors: Figures, queries: torch.Tensor
) -> tuple[Figures, NDArray[np.int64]]:
    vectors = card.random(size, 2)
    return _searched(card, size, floors, lambda count: _topk(card, vectors, queries[:count]))


def _searched(
    card: _Card, size: int, floors: Figures, search: Callable[[int], torch.Tensor]
) -> tuple[Figures, NDArray[np.int64]]:
    """Times of a search for one and for BATCH queries, and the places of the first ten, (BATCH, 10)."""
    one, many = card.seconds(lambda: search(1)), card.seconds(lambda: search(BATCH), 3)
    return {
        "one_ms": round(1000 * one, 3),
        "one_share": round(2 * size * DIM / floors["bytes_per_second"] / one, 3),
        "queries_per_second": round(BATCH / many),
        "batch_share": round(2 * size * DIM * BATCH / floors["operations_per_second"] / many, 3),
    }, search(BATCH)[:, :10].cpu().numpy()


def _topk(card: _Card, vectors: torch.Tensor, queries: torch.Tensor) -> torch.Tensor:
    """Places of the K nearest of each query, (n, K); block after block, since all products together do not fit."""
    block = max(BLOCK, len(vectors) // 4) if len(queries) == 1 else BLOCK
    scores, places = [], []
    for start in range(0, len(vectors), block):
        products = queries @ vectors[start : start + block].T
        best = products.topk(min(K, products.shape[1]), dim=1)
        scores.append(best.values)
        places.append(best.indices + start)
    order = card.torch.cat(scores, 1).topk(K, dim=1).indices
    found: torch.Tensor = card.torch.cat(places, 1).gather(1, order)
    return found


def _shared(one: NDArray[np.int64], other: NDArray[np.int64]) -> float:
    """The mean share of the numbers of a row of `other` that the same row of `one` holds."""
    same = [len(set(a) & set(b)) / len(b) for a, b in zip(one, other, strict=True)]
    return round(statistics.fmean(same), 4)


def _lists(card: _Card, size: int) -> Figures:
    """Inverted lists: how many of the ten nearest are found, and queries a second, for lists read."""
    queries = card.clustered(BATCH, 5)
    exact = card.put(faiss().IndexFlatIP(DIM))
    kinds = {
        kind: card.put(
            faiss().index_factory(DIM, f"IVF{LISTS},{factory}", faiss().METRIC_INNER_PRODUCT)
        )
        # np: no training of polysemous codes, which takes a CPU a minute and is not used
        for kind, factory in (("SQ8", "SQ8"), ("PQ32", "PQ32np"))
    }
    figures: Figures = {"vectors": size}
    for start in range(0, size, BLOCK):
        block = card.clustered(min(BLOCK, size - start), 100 + start)
        for kind, index in kinds.items():
            if not index.is_trained:
                begun = time.perf_counter()
                index.train(block)
                figures[f"{kind} training_seconds"] = round(time.perf_counter() - begun, 2)
            index.add(block)
        exact.add(block)
    wanted = exact.search(queries, 10)[1].cpu().numpy()
    for kind, index in kinds.items():
        for probes in (1, 4, 16, 64):
            index.nprobe = probes
            seconds = card.seconds(lambda i=index: i.search(queries, 10), 3)  # type: ignore[misc]
            found = index.search(queries, 10)[1].cpu().numpy()
            figures[f"{kind}, {probes} lists"] = {
                "recall": _shared(found, wanted),
                "queries_per_second": round(BATCH / seconds),
            }
    return figures


def _mining(card: _Card, size: int) -> Figures:
    """The four nearest of each of `size` vectors among as many others, in both directions, as mining asks."""
    sides = [card.random(size, seed).float() for seed in (7, 8)]
    begun = time.perf_counter()
    for one, other in (sides, sides[::-1]):
        index = card.put(faiss().IndexFlatIP(DIM))
        index.add(other)
        for start in range(0, size, 20_000):
            index.search(one[start : start + 20_000], 4)
    return {"sentences": size, "seconds": round(time.perf_counter() - begun, 2)}


def _body(card: _Card, shape: dict[str, Any], floors: Figures) -> Figures:
    """Sentences a second of a body with random weights, and its matrix products' share of the rate."""
    from transformers import BertConfig, BertModel, ElectraConfig, ElectraModel

    torch = card.torch
    made: Any
    if "embedding_size" in shape:
        made = ElectraModel(ElectraConfig(vocab_size=PIECES, **shape))
    else:
        made = BertModel(BertConfig(vocab_size=PIECES, **shape), add_pooling_layer=False)
    body = made.to(card.device, torch.bfloat16 if card.on_gpu else torch.float32).train(False)
    texts = TEXTS if card.on_gpu else 4
    ids = torch.randint(1000, PIECES, (texts, TOKENS), device=card.device)
    with torch.inference_mode():
        seconds = card.seconds(lambda: body(ids))
    inner = sum(p.numel() for p in body.encoder.parameters())
    return {
        "sentences_per_second": round(texts / seconds),
        "share": round(2 * inner * texts * TOKENS / floors["operations_per_second"] / seconds, 3),
    }


def report(found: Figures) -> str:
    """The measurements as Markdown."""
    parts = [
        "# On a graphics card",
        f"{found['card']}, FAISS {found['faiss']}, one run of `python -m benchmarks.gpu`. A copy on the card moves "
        f"{found['bytes_per_second'] / 1e12:.2f} TB/s, read and written; a matrix product in half precision makes "
        f"{found['operations_per_second'] / 1e12:.0f} Tflop/s. A share is that of the least time that these allow.",
        f"## Exact search, {DIM} dimensions, float16, the {K} nearest",
        markdown_table(
            ["vectors", "by", "one query, ms", "share", f"queries/s, {BATCH} at a time", "share", "same first ten"],
            [
                [f"{int(size):,}", name, f"{one['one_ms']:.2f}", f"{one['one_share']:.0%}", f"{one['queries_per_second']:,}",
                 f"{one['batch_share']:.0%}", f"{both['same_first_ten']:.1%}"]
                for size, both in found["exact"].items()
                for name, one in both.items()
                if isinstance(one, dict)
            ],
        ),
        f"## Inverted lists, {found['lists']['vectors']:,} vectors around {LISTS:,} centres",
        markdown_table(
            ["codes and lists read", "recall of ten", "queries/s"],
            [
                [name, f"{one['recall']:.3f}", f"{one['queries_per_second']:,}"]
                for name, one in found["lists"].items()
                if isinstance(one, dict)
            ],
        ),
        f"## Mining\n\n{found['mining']['sentences']:,} by as many, the four nearest in both directions, exactly: "
        f"{found['mining']['seconds']:.1f} s.",
        f"## Encoding, {TEXTS} sentences of {TOKENS} tokens at a time, bfloat16, random weights",
        markdown_table(
            ["body", "sentences/s", "share"],
            [
                [name, f"{one['sentences_per_second']:,}", f"{one['share']:.0%}"]
                for name, one in found["bodies"].items()
            ],
        ),
    ]  # fmt: skip
    return "\n\n".join(parts) + "\n"


@click.command(epilog="Example: python -m benchmarks.gpu --millions 1 --millions 10")
@click.option(
    "--millions", type=click.FloatRange(min=0, min_open=True), multiple=True, default=(1, 10, 50),
    show_default=True, help="Vectors of exact search.",
)  # fmt: skip
@click.option("--mined", default=1_000_000, show_default=True, help="Sentences of each side.")
@click.option("--device", default="cuda", show_default=True, help="cuda, cuda:N, or cpu to try it.")
@click.option(
    "-o", "--output", type=click.Path(path_type=Path, file_okay=False), default=RESULTS,
    help="Folder of gpu.json and gpu.md.",
)  # fmt: skip
def main(millions: tuple[float, ...], mined: int, device: str, output: Path) -> None:
    """FAISS and the encoders' bodies on a graphics card, beside what the card can do."""
    if device != "cpu" and not gpus():
        raise SystemExit("FAISS sees no GPU here: nothing was measured. It needs the extra `gpu`.")
    sizes = tuple(sorted(round(1e6 * each) for each in millions))
    found = measured(device, sizes, mined, 8192 if device != "cpu" else 256)
    (output / "gpu.json").write_text(json.dumps(found, indent=1) + "\n", "utf-8")
    (output / "gpu.md").write_text(report(found), "utf-8")
    click.echo(report(found))


if __name__ == "__main__":
    main()
