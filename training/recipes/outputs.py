"""What a recipe leaves behind.

OUT/model/        the student: a folder that SentenceTransformer(path) opens
OUT/result.json   recipe, settings, seed, how it went
OUT/log.jsonl     figures by step;  OUT/checkpoints/  to go on from
OUT/neutral.safetensors  the language-neutral space that the student was trained in, if any: means, directions
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors import SafetensorError

from configs.errors import TandemError
from training.run.loop import Outcome

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

__all__ = ["Result", "digest", "facts_of", "save_result", "write_student"]

FREE = ("cache", "run.device", "run.checkpoint_every", "run.alarm")
"""Settings that may change between a run and its resumption: no weight depends on them."""


@dataclasses.dataclass(frozen=True, slots=True)
class Result:
    """What a recipe came to."""

    recipe: str
    model: str
    """The student's folder."""
    examples: int
    """Training examples."""
    steps: int
    best_step: int
    metric: str
    """What the score is; empty where nothing was held out."""
    before: float | None
    """The score before the first step, of the weights at the start."""
    score: float | None
    """The score of the weights that were kept."""
    stopped_early: bool


def facts_of(settings: Any, texts: Iterable[str]) -> dict[str, Any]:
    """What a run must share with the one it goes on from: each setting by dotted name, and the data."""
    flat = _flat(dataclasses.asdict(settings))
    kept = {k: v for k, v in flat.items() if not any(k == f or k.startswith(f + ".") for f in FREE)}
    return kept | {"data": digest(texts)}


def digest(texts: Iterable[str]) -> str:
    """Of all texts in their order."""
    state = hashlib.blake2b(digest_size=16)
    for text in texts:
        state.update(text.encode("utf-8"))
        state.update(b"\n")
    return state.hexdigest()


def save_result(
    output: Path,
    recipe: str,
    model: SentenceTransformer,
    settings: Any,
    outcome: Outcome,
    metric: str,
    examples: int,
) -> Result:
    """Write the student and result.json, each whole or not at all. Raises TandemError when it cannot."""
    target = output / "model"
    result = Result(
        recipe,
        str(target),
        examples,
        outcome.steps,
        outcome.best_step,
        metric if outcome.best is not None else "",
        outcome.first,
        outcome.best,
        outcome.early,
    )
    passing = output / ".writing-model"
    try:
        shutil.rmtree(passing, ignore_errors=True)
        write_student(model, passing)
        shutil.rmtree(target, ignore_errors=True)
        passing.rename(target)
        account = dataclasses.asdict(result) | {"settings": dataclasses.asdict(settings)}
        text = json.dumps(account, indent=2, ensure_ascii=False)
        (output / "result.json.new").write_text(text + "\n", "utf-8")
        (output / "result.json.new").rename(output / "result.json")
    except (OSError, SafetensorError) as error:
        shutil.rmtree(passing, ignore_errors=True)
        raise TandemError(
            f"{target}: the student cannot be written ({error}); its checkpoint is kept: "
            "make room and run the same command again"
        ) from error
    return result


def write_student(model: SentenceTransformer, folder: Path) -> None:
    """A folder that `training.models.opening.open_model` opens, and SentenceTransformer(folder)."""
    model.save_pretrained(str(folder), create_model_card=False)


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat
