"""Training-size curves: how much parallel text is enough? (Reimers and Gurevych 2020, Table 6.)

For each size a student is trained by `tandem train` in a process of its own, on the first so many pairs of
one shuffled file, so that every smaller set is part of the larger. What was trained stays and is not
trained again.
"""

from __future__ import annotations

import hashlib
import json
import random
import shlex
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from configs.errors import BackendError, ConfigError
from eval.sentences.tables import lines

__all__ = ["Point", "command", "parse_sizes", "sample", "train"]

PLACES = ("{pairs}", "{student}")


@dataclass(frozen=True, slots=True)
class Point:
    """One student: pairs it was trained on, and its figures."""

    size: int
    student: str
    tatoeba: float | None
    """Mean accuracy over sets and directions."""
    sts: float | None
    """Mean Spearman over sets."""
    seconds: float
    """What training took; 0 when the student was there already."""


def parse_sizes(text: str) -> list[int]:
    """`1000,5000,25000` -> ascending sizes. Raises ConfigError for what is no such list."""
    try:
        sizes = sorted({int(part.replace("_", "")) for part in text.split(",")})
    except ValueError as error:
        raise ConfigError(
            f"--sizes {text}: whole numbers divided by commas are expected"
        ) from error
    if sizes[0] < 1:
        raise ConfigError(f"--sizes {text}: a size must be 1 or more")
    return sizes


def sample(pairs: str, sizes: Sequence[int], folder: Path, seed: int) -> dict[int, Path]:
    """A file of each size: the first lines of one order shuffled by `seed`. Returns size -> file.

    Raises ConfigError when the file has fewer lines than the largest size.
    """
    found = [line for _, line in lines(pairs) if line.strip()]
    if len(found) < max(sizes):
        raise ConfigError(
            f"{pairs}: {len(found)} pairs, fewer than the size {max(sizes)} asked for"
        )
    random.Random(seed).shuffle(found)
    folder.mkdir(parents=True, exist_ok=True)
    # the name's beginning stays: `en-cs.tsv` tells the trainer its languages
    stem = Path(pairs).name.partition(".")[0]
    files = {}
    for size in sizes:
        files[size] = folder / f"{stem}.{size}.tsv"
        files[size].write_text("".join(f"{line}\n" for line in found[:size]), "utf-8")
    return files


def command(template: str, pairs: Path, student: Path) -> list[str]:
    """`distill --set ... {pairs} -o {student}` as the command that runs it.

    Raises ConfigError when a place is missing.
    """
    missing = [place for place in PLACES if place not in template]
    if missing:
        raise ConfigError(
            f"--train {template!r}: {' and '.join(missing)} must stand in it; each size puts its file of "
            "pairs and its student's folder there"
        )
    try:
        parts = shlex.split(template)
    except ValueError as error:  # a quotation mark is not closed
        raise ConfigError(f"--train {template!r}: {error}") from error
    words = [
        word.replace("{pairs}", str(pairs)).replace("{student}", str(student)) for word in parts
    ]
    return [sys.executable, "-m", "tandem", "train", *words]


def train(words: Sequence[str], pairs: Path, student: Path) -> bool:
    """Run a training command; False when the same command on the same pairs has run to its end before.

    Its talk goes to `<student>.log`. Raises BackendError with the last line of it when it failed.
    """
    digest = hashlib.sha256(pairs.read_bytes()).hexdigest()
    mark = student.with_name(f"{student.name}.trained.json")
    done = {"command": [*words[1:]], "pairs": digest}
    if mark.is_file() and student.exists() and json.loads(mark.read_text("utf-8")) == done:
        return False
    log = student.with_name(f"{student.name}.log")
    with log.open("w", encoding="utf-8") as file:
        code = subprocess.run(words, stdout=file, stderr=subprocess.STDOUT, check=False).returncode
        if not code and (student / "student.safetensors").is_file():  # a static run: to be exported
            export = [*words[:3], "train", "export", str(student), "-o", str(student / "model")]
            code = subprocess.run(export, stdout=file, stderr=file, check=False).returncode
    if code:
        said = log.read_text("utf-8", errors="replace").strip().splitlines()
        raise BackendError(
            f"training on {pairs.name} ended with code {code}: {said[-1] if said else 'no word'} "
            f"(all of it: {log})"
        )
    mark.write_text(json.dumps(done), "utf-8")
    return True
