"""What the tables of the papers share: the scale of a row, and the commands that make and measure it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["SCALES", "Scale", "set_options", "tandem", "tandem_json"]


@dataclass(frozen=True, slots=True)
class Scale:
    """How much each row reads: sentences of pre-training, sentences or pairs of each method, pieces of the vocabulary."""

    pretraining: int
    sentences: int
    pieces: int
    batch: int
    longest: int  # characters of a sentence


SCALES = {
    "small": Scale(24_000, 12_000, 8_000, 64, 120),
    "full": Scale(0, 0, 30_522, 128, 300),  # all there is
}


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


def tandem_json(*call: str) -> Any:
    return json.loads(tandem(*call, "--json"))
