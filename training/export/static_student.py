"""Trained static tables into folders: the one Tandem ships, and a sentence-transformers one.

Rows may be kept in 4 or 8 bits with one scale a row, or in float16. Sums of many rows are little
disturbed by rounding: with 4 bits a row of normal numbers is off by some 9% of its length, in a
direction of its own, so the errors of the words of a text mostly cancel; figures are in the card.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from configs.errors import ConfigError, MissingExtra, TandemError
from indexer.encoders import tokenizer_files
from indexer.encoders.static_encoder import FORMAT, StaticEncoder
from indexer.schema import Matrix

__all__ = [
    "Bits",
    "dequantised",
    "export_run",
    "export_sentence_transformers",
    "export_static",
    "quantised",
    "with_lengths",
]

Bits = Literal[4, 8, 16]
Talk = Callable[[str], None]


def quantised(table: NDArray[np.float32], bits: Bits) -> tuple[NDArray[Any], NDArray[np.float32]]:
    """(rows, scale): `rows * scale` is near `table` (tokens, dim).

    8: int8, the largest number of a row becomes 127. 4: uint8 pairs of -7 to 7, the scale of each row
    being the best of nine, as clipping a few large numbers often costs less than coarse steps for all.
    16: float16, scale 1.
    """
    if bits == 16:
        return table.astype(np.float16), np.ones(len(table), np.float32)
    top = np.abs(table).max(axis=1).astype(np.float32)  # (tokens,)
    top[top == 0] = 1.0
    if bits == 8:
        scale = top / np.float32(127)
        return np.rint(table / scale[:, None]).astype(np.int8), scale
    if table.shape[1] % 2:
        raise ConfigError(f"4 bits need an even number of dimensions, not {table.shape[1]}")
    best = np.full(len(table), np.inf, np.float32)
    scale = top / np.float32(7)
    for share in np.linspace(0.6, 1.0, 9, dtype=np.float32):
        tried = top * share / np.float32(7)
        error = _error(table, tried)
        better = error < best
        best[better], scale[better] = error[better], tried[better]
    rows = (np.clip(np.rint(table / scale[:, None]), -7, 7) + 8).astype(np.uint8)
    return rows[:, 0::2] | (rows[:, 1::2] << 4), scale


def with_lengths(table: NDArray[np.float32], power: float) -> NDArray[np.float32]:
    """Each row in its direction, with its length to the power: 1 as it is, 0 all alike.

    A row's length is how much its token counts. Long training makes rare tokens count too much: on the
    development sets 0.85 beat 1 (Tatoeba 73.9 to 72.4, newstest 84.2 to 83.5, STS 74.2 to 73.6), and
    after whitening by 0.4, 0.75 beat 0.85 (75.1 to 74.3, 85.8 to 85.4, 74.9 to 74.6).
    """
    lengths = np.linalg.norm(table, axis=1, keepdims=True)
    factors = np.where(lengths > 0, lengths, 1.0) ** (power - 1.0)  # (tokens, 1)
    return np.asarray(table * factors, dtype=np.float32)


def _error(table: NDArray[np.float32], scale: NDArray[np.float32]) -> NDArray[np.float32]:
    """Squared error of each row at this scale, in 4 bits."""
    wide = scale[:, None]
    off: NDArray[np.float32] = np.clip(np.rint(table / wide), -7, 7) * wide - table
    return np.asarray(np.einsum("ij,ij->i", off, off), dtype=np.float32)


def export_static(
    table: NDArray[np.float32],
    tokenizer: Path,
    folder: Path,
    *,
    name: str,
    bits: Bits = 8,
    card: str = "",
    facts: Mapping[str, Any] | None = None,
    normalised: bool = False,
) -> None:
    """Write a folder that `StaticEncoder.load` opens; it replaces one that was there.

    `facts` (seed, recipe) are kept in config.json, and whether the texts it was trained with were `normalised`. Raises TandemError when it cannot be written.
    """
    from safetensors.numpy import save_file

    _refuse_other(folder)
    rows, scale = quantised(np.ascontiguousarray(table, dtype=np.float32), bits)
    scratch = folder.with_name(folder.name + ".part")
    shutil.rmtree(scratch, ignore_errors=True)
    try:
        scratch.mkdir(parents=True)
        save_file({"rows": rows, "scale": scale}, scratch / "model.safetensors")
        (scratch / "model.safetensors").chmod(0o644)  # safetensors keeps it from other readers
        data = (scratch / "model.safetensors").read_bytes()
        files = {
            tokenizer_files.PACKED: tokenizer_files.pack(
                tokenizer_files.read_text(tokenizer), scratch
            ),
            "model.safetensors": {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()},
        }
        digests = (files["model.safetensors"]["sha256"], tokenizer_files.digest(files))
        mark = hashlib.sha256("".join(digests).encode())
        config = {
            "format": FORMAT,
            "name": name,
            "dim": int(table.shape[1]),
            "bits": bits,
            "fingerprint": mark.hexdigest()[:32],
            "files": files,
            **({"normalised": True} if normalised else {}),
            **({"facts": dict(facts)} if facts else {}),
        }
        (scratch / "config.json").write_text(json.dumps(config, indent=1) + "\n", "utf-8")
        if card:
            (scratch / "MODEL_CARD.md").write_text(card, "utf-8")
        elif (folder / "MODEL_CARD.md").is_file():
            shutil.copyfile(folder / "MODEL_CARD.md", scratch / "MODEL_CARD.md")
        shutil.rmtree(folder, ignore_errors=True)
        scratch.rename(folder)
    except OSError as error:
        shutil.rmtree(scratch, ignore_errors=True)
        raise TandemError(
            f"{folder}: the student cannot be written ({error.strerror or error}); make room or name another place"
        ) from error


def _refuse_other(folder: Path) -> None:
    """An export replaces a static student and nothing else."""
    if folder.is_dir() and any(folder.iterdir()) and not (folder / "model.safetensors").is_file():
        raise ConfigError(
            f"{folder}: holds something that is no student; name an empty or a new folder"
        )
    if folder.is_file():
        raise ConfigError(f"{folder}: is a file; name a folder")


def dequantised(folder: Path) -> NDArray[np.float32]:
    """The table of a static folder, (tokens, dim) float32, as its encoder sums it."""
    return StaticEncoder.load(folder).table()


def export_sentence_transformers(student: Path, folder: Path) -> None:
    """A folder that `SentenceTransformer(folder)` opens and that gives the student's vectors.

    It holds a StaticEmbedding (mean of token vectors) and a Normalize module, both of
    sentence-transformers; the mean and the sum of a text's rows have one direction.
    """
    try:
        from sentence_transformers import SentenceTransformer
        from sentence_transformers.sentence_transformer import modules
    except ImportError as error:
        raise MissingExtra("sentence-transformers", "train", "this export") from error

    tokenizer = tokenizer_files.open_tokenizer(tokenizer_files.find(student))
    table = dequantised(student)
    embedding = modules.StaticEmbedding(
        tokenizer, embedding_weights=table[: tokenizer.get_vocab_size()]
    )
    model = SentenceTransformer(modules=[embedding, modules.Normalize()], device="cpu")
    model.save_pretrained(str(folder), create_model_card=False)
    card = student / "MODEL_CARD.md"
    if card.is_file():
        shutil.copyfile(card, folder / "MODEL_CARD.md")


def export_run(
    run: Path,
    folder: Path,
    *,
    bits: Bits,
    name: str,
    length_power: float = 1.0,
    whiten: float = 0.0,
    licences: Path | None = None,
    figures: Path | None = None,
    talk: Talk | None = None,
) -> None:
    """The static folder of what `train static` wrote in `run`, with its model card.

    Rows are brought to (their length) ** `length_power` (`with_lengths`), then turned by the power
    `whiten` of the spread of the run's own sentences (`training.export.whitening`). `licences` is a Markdown
    file with a table of the corpora (source, from, licence as found...), and `figures` one that goes to
    the end of the card. Raises ConfigError for a folder without a finished student.
    """
    from safetensors.numpy import load_file

    from training.export.static_card import card, source_facts
    from training.export.whitening import sampled_texts, whitened

    if not (run / "student.safetensors").is_file() or not (run / "run.json").is_file():
        raise ConfigError(
            f"{run}: holds no finished student (student.safetensors, run.json); "
            "run tandem train static again with the same --out to finish it"
        )
    facts = json.loads((run / "run.json").read_text("utf-8"))
    facts["settings"]["length_power (at export)"] = length_power
    facts["settings"]["whiten (at export)"] = whiten
    normalised = bool(facts.get("normalised", False))
    table = with_lengths(load_file(run / "student.safetensors")["table"], length_power)
    if whiten:
        texts = sampled_texts(facts, talk=talk)
        facts["settings"]["whitened on"] = f"{len(texts)} training sentences, drawn by the seed"
        table = whitened(table, _encoded(table, run / "tokenizer.json", texts, normalised), whiten)
    export_static(
        table,
        run / "tokenizer.json",
        folder,
        name=name,
        bits=bits,
        card=card(
            name,
            bits,
            facts,
            source_facts(licences.read_text("utf-8")) if licences else None,
            figures.read_text("utf-8") if figures else "",
        ),
        facts={"seed": facts["settings"]["seed"], "teacher": facts["settings"]["teacher"]},
        normalised=normalised,
    )


def _encoded(
    table: NDArray[np.float32], tokenizer: Path, texts: Sequence[str], normalised: bool
) -> Matrix:
    """The vectors of `texts` by this table, (n, dim)."""
    rows, scale = quantised(table, 16)
    opened = tokenizer_files.open_tokenizer(tokenizer)
    return StaticEncoder(opened, rows, scale, "", "", normalised=normalised).encode(texts)
