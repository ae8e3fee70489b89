"""What the tables of the papers share: the scale of a row, and the commands that make and measure it."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

__all__ = ["SCALES", "Scale", "set_options", "tandem", "tandem_json", "train"]


@dataclass(frozen=True, slots=True)
class Scale:
    """How much each row reads: sentences of pre-training, sentences or pairs of each method, pieces of the vocabulary,
    texts of a step, characters of a sentence, pairs of the recipe in many languages and of the Bengali one; 0: all there is.
    """

    pretraining: int
    sentences: int
    pieces: int
    batch: int
    longest: int
    multilingual: int
    bangla: int
    settings: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    """Of a recipe, what differs from its configuration."""


SCALES = {
    "small": Scale(24_000, 12_000, 8_000, 64, 120, 12_000, 4_000),
    # some minutes of a large graphics card for each row
    "card": Scale(
        0, 0, 16_000, 256, 200, 230_000, 0,
        {
            "retromae": {"run.epochs": 10, "run.learning_rate": 5e-4},
            "distill": {"run.epochs": 8, "run.learning_rate": 3e-4},
            "multilingual": {"run.learning_rate": 2e-4, "run.embedding_rate": 1e-3, "run.warmup": 0.05},
        },
    ),
    "full": Scale(0, 0, 30_522, 128, 300, 0, 0),
}  # fmt: skip


def set_options(settings: Mapping[str, object]) -> list[str]:
    return [
        part
        for key, value in settings.items()
        for part in ("--set", f"{key}={json.dumps(value, ensure_ascii=False)}")
    ]


def tandem(*call: str) -> str:
    """What a command printed; its progress goes to the terminal. Raises what ends the benchmark."""
    command = [sys.executable, "-m", "tandem", *call]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def train(recipe: str, config: str, out: Path, settings: Mapping[str, object]) -> None:
    """`tandem train` into `out`; out/minutes says how long it took, with the earlier runs of one that was killed."""
    log = out / "log.jsonl"
    lines = log.read_text("utf-8").splitlines() if log.is_file() else []
    earlier, last = 0.0, 0.0
    for at in (float(one["seconds"]) for one in map(json.loads, lines) if "seconds" in one):
        if at < last:  # each run counts from 0
            earlier += last
        last = at
    start = time.monotonic()
    tandem("train", recipe, "--config", config, "-o", str(out), *set_options(settings))
    seconds = earlier + last + time.monotonic() - start
    (out / "minutes").write_text(str(seconds / 60), "utf-8")


def tandem_json(*call: str) -> Any:
    return json.loads(tandem(*call, "--json"))
