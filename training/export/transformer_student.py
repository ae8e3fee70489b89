"""Transformer students into folders: the compact one that Tandem opens, and a sentence-transformers one.

Matrices are kept in 8 bits, one scale for each output; the input embeddings, which are most of a
multilingual student, in 4 or 8 bits, one scale for each token, as a static student's table is.
"""

from __future__ import annotations

import contextlib
import copy
import hashlib
import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from configs.errors import ConfigError, TandemError
from indexer.encoders import tokenizer_files
from indexer.encoders.neutral_space import NeutralSpace, estimate
from indexer.encoders.transformer_encoder import FORMAT, CompactEncoder, mark, read
from training.export.onnx_graph import body_graph
from training.export.static_student import Bits, quantised
from training.export.whitening import whitened
from training.models.model_parts import Parts, parts_of
from training.models.opening import open_model

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

__all__ = [
    "SAMPLE",
    "agreement",
    "export_compact",
    "export_float",
    "student_of",
]

ROW_BLOCK = 32  # numbers of a token's vector that share a scale, in 4 bits

SAMPLE = (
    "The hospital is open.",
    "Vláda prohrála volby a premiér podal demisi.",
    "A glass of water, please!",
    "প্রাগ একটি শহর।",
    "北京是中国的首都。",
    "Der Fluss fließt durch die Stadt, und die Burg steht seit dem Mittelalter über ihm. " * 6,
)
"""What an export is tried on: short, long, several scripts."""


def student_of(run: Path) -> SentenceTransformer:
    """The student in `run`: a training folder with model/, or a sentence-transformers folder.

    Raises ConfigError where there is none.
    """
    folder = run / "model" if (run / "model" / "modules.json").is_file() else run
    if (run / "checkpoints").is_dir() and folder == run:
        raise ConfigError(
            f"{run}: holds no finished student (model/); run the same tandem train command again "
            "with the same --out to finish it"
        )
    return open_model(str(folder), device="cpu")


def export_compact(
    model: SentenceTransformer,
    folder: Path,
    *,
    name: str,
    bits: Bits = 8,
    card: str = "",
    facts: Mapping[str, Any] | None = None,
    whiten: float = 0.0,
    texts: Sequence[str] = (),
    neutral: bool | NeutralSpace = False,
) -> float:
    """Write a folder that `CompactEncoder.load` opens; the mean cosine of its vectors with the model's,
    before the space is evened out.

    16 `bits` keep everything in float16. `facts` (seed, recipe) are kept in config.json. With `whiten`
    vectors are turned by that power of the spread of the vectors of `texts` (`training.export.whitening`).
    `neutral`: whether the language-neutral space is estimated, or that space. Raises ConfigError for a model of another shape, TandemError when the folder cannot be written.
    """
    refuse_other(folder)
    parts = parts_of(model, name)
    with _replacing(folder) as scratch:
        scratch.mkdir(parents=True)
        packed = tokenizer_files.pack(parts.tokenizer, scratch)
        tensors = _tensors(parts, bits)
        _save(tensors, scratch / "model.safetensors")
        _write_config(scratch, parts, packed, bits, name, facts)
        (scratch / "body.onnx").write_bytes(body_graph(read(scratch).layers))
        _write_config(scratch, parts, packed, bits, name, facts)
        if card:
            (scratch / "MODEL_CARD.md").write_text(card, "utf-8")
        encoder = CompactEncoder.load(scratch, device="cpu")
        found = agreement(model, encoder)
        if whiten:
            tensors["head"] = whitened(
                np.eye(encoder.dim, dtype=np.float32), encoder.encode(texts), whiten
            )
            _save(tensors, scratch / "model.safetensors")
            _write_config(scratch, parts, packed, bits, name, facts)
            encoder = CompactEncoder.load(scratch, device="cpu")
        space = neutral if isinstance(neutral, NeutralSpace) else None
        if neutral is True:
            space = estimate(encoder)
        if space is not None:
            tensors |= {"neutral.means": space.means, "neutral.directions": space.directions}
            _save(tensors, scratch / "model.safetensors")
            _write_config(scratch, parts, packed, bits, name, facts)
    return found


@contextlib.contextmanager
def _replacing(folder: Path) -> Iterator[Path]:
    """A place to write to that becomes `folder` when all went well; a card that was there is kept.

    Raises TandemError where it cannot be written; `folder` is then as it was.
    """
    from safetensors import SafetensorError

    scratch = folder.with_name(folder.name + ".part")
    shutil.rmtree(scratch, ignore_errors=True)
    card = "MODEL_CARD.md"
    try:
        yield scratch
        if (folder / card).is_file() and not (scratch / card).is_file():
            shutil.copyfile(folder / card, scratch / card)
        shutil.rmtree(folder, ignore_errors=True)
        scratch.rename(folder)
    except (OSError, SafetensorError) as error:
        raise TandemError(
            f"{folder}: the student cannot be written ({error}); make room or name another place"
        ) from error
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def agreement(model: SentenceTransformer, encoder: CompactEncoder) -> float:
    """Mean cosine of the two vectors of each text of SAMPLE."""
    texts = list(SAMPLE)
    prompt = (model.prompts or {}).get("document") or None
    theirs = model.encode(texts, prompt=prompt, normalize_embeddings=True, show_progress_bar=False)
    return float(np.einsum("ij,ij->i", encoder.encode(texts), np.asarray(theirs)).mean())


def _tensors(parts: Parts, bits: Bits) -> dict[str, NDArray[Any]]:
    """model.safetensors: see `indexer.encoders.transformer_encoder`."""
    if bits == 4 and parts.table.shape[1] % ROW_BLOCK == 0:
        rows, scales = in_4_bits(parts.table)
        tensors: dict[str, NDArray[Any]] = {"table.rows": rows, "table.scale": scales}
    else:
        whole, scale = quantised(np.ascontiguousarray(parts.table), bits)
        tensors = {"table.rows": whole, "table.scale": scale[:, None]}
    tensors["positions"] = np.ascontiguousarray(parts.positions)
    for name, matrix in parts.matrices.items():
        if bits == 16 or matrix.shape[1] % 16:  # a block has at least 16 numbers
            tensors[f"{name}.rows"] = np.ascontiguousarray(matrix, np.float16)
        else:
            tensors[f"{name}.blocks"], tensors[f"{name}.scale"] = in_8_bits(matrix)
    return tensors | {name: np.ascontiguousarray(one) for name, one in parts.others.items()}


def in_4_bits(table: NDArray[np.float32]) -> tuple[NDArray[np.uint8], NDArray[np.float16]]:
    """(rows (n, dim / 2), scale (n, dim / 32)): the number of a block that is farthest from 0 becomes -8.

    That is llama.cpp's Q4_0, so a table that came from it is kept without loss.
    """
    blocks = table.reshape(len(table), -1, ROW_BLOCK)
    far = np.abs(blocks).argmax(axis=2)[:, :, None]
    scale = (np.take_along_axis(blocks, far, axis=2)[:, :, 0] / -8).astype(np.float16)
    step = scale.astype(np.float32)[:, :, None]
    numbers = np.divide(blocks, step, out=np.zeros_like(blocks), where=step != 0)
    whole = (np.clip(np.rint(numbers), -8, 7) + 8).astype(np.uint8).reshape(table.shape)
    return np.asarray(whole[:, 0::2] | (whole[:, 1::2] << 4), np.uint8), scale


def in_8_bits(matrix: NDArray[np.float32]) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """(blocks (out, in / b, b) around 128, scale (out, in / b)) of a matrix (out, in).

    b is 128 where the width allows it: on multilingual-e5-small the cosine to float32, after the mean is taken out, is
    .9988, and .9996 with 32, which is a fifth slower.
    """
    out, width = matrix.shape
    size = next(size for size in (128, 64, 32, 16) if width % size == 0)
    blocks = matrix.reshape(out, -1, size)
    scale = np.abs(blocks).max(axis=2) / np.float32(127)
    step = scale[:, :, None]
    whole = np.rint(np.divide(blocks, step, out=np.zeros_like(blocks), where=step != 0))
    return (whole + 128).astype(np.uint8), np.ascontiguousarray(scale, np.float32)


def _save(tensors: Mapping[str, NDArray[Any]], file: Path) -> None:
    from safetensors.numpy import save_file

    save_file(dict(tensors), file)
    file.chmod(0o644)  # safetensors keeps it from other readers


def _write_config(
    folder: Path,
    parts: Parts,
    packed: Mapping[str, Any],
    bits: Bits,
    name: str,
    facts: Mapping[str, Any] | None,
) -> None:
    """config.json, with the sizes and digests of what is in `folder`; `packed`: of its tokenizer."""
    files: dict[str, Mapping[str, Any]] = {
        path.name: {
            "bytes": path.stat().st_size,
            "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        }
        for path in sorted(folder.iterdir())
        if path.name in ("model.safetensors", "body.onnx")
    }
    files[tokenizer_files.PACKED] = packed
    config: dict[str, Any] = {
        "format": FORMAT,
        "name": name,
        "dim": len(parts.others["widen.bias" if "widen" in parts.matrices else "norm.bias"]),
        "max_tokens": len(parts.positions),
        "layers": parts.layers,
        "heads": parts.heads,
        "epsilon": parts.epsilon,
        "pooling": parts.pooling,
        "prompts": dict(parts.prompts),
        "bits": bits,
        "around": tokens_around(parts.tokenizer),
        "files": files,
    }
    config["fingerprint"] = mark(config)
    if facts:
        config["facts"] = dict(facts)
    (folder / "config.json").write_text(json.dumps(config, indent=1) + "\n", "utf-8")


def tokens_around(tokenizer: str) -> tuple[list[int], list[int]]:
    """The special tokens that stand before and after each text ([CLS] and [SEP], say), of a tokenizer.json's text."""
    from tokenizers import Tokenizer

    encoding = Tokenizer.from_str(tokenizer).encode("a")
    words = [place for place, special in enumerate(encoding.special_tokens_mask) if not special]
    if not words:  # a tokenizer that knows no "a"
        return [], []
    return encoding.ids[: words[0]], encoding.ids[words[-1] + 1 :]


def refuse_other(folder: Path) -> None:
    """An export replaces a student and nothing else."""
    if folder.is_file():
        raise ConfigError(f"{folder}: is a file; name a folder")
    known = ("config.json", "modules.json")
    if (
        folder.is_dir()
        and any(folder.iterdir())
        and not any((folder / one).is_file() for one in known)
    ):
        raise ConfigError(
            f"{folder}: holds something that is no student; name an empty or a new folder"
        )


def export_float(model: SentenceTransformer, folder: Path, *, half: bool = False) -> None:
    """A folder that `SentenceTransformer(folder)` opens: the same model, in float32, or stored in float16.

    What is stored in float16 is computed in float32 again.
    """
    refuse_other(folder)
    with _replacing(folder) as scratch:
        stored = copy.deepcopy(model).half() if half else model.float()
        stored.save_pretrained(str(scratch), create_model_card=False)
        for file in scratch.rglob("config.json"):
            config = json.loads(file.read_text("utf-8"))
            if "dtype" in config:
                config["dtype"] = "float32"
                file.write_text(json.dumps(config, indent=2) + "\n", "utf-8")
