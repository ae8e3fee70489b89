"""The compact transformer: a BERT whose numbers are kept in 4 and 8 bits, opened without torch.

A folder of it, which `tandem train export` writes, holds

    config.json        shape, name, max_tokens, pooling, prompts, fingerprint; size and sha256 of the others
    tokenizer.json     of the tokenizers library, with the tokens that stand around each text
    model.safetensors  `table.rows` (tokens, dim) and `table.scale` (tokens,): the input embeddings, in the
                       form of a static student's table; the matrices of `indexer.encoders.transformer_engine.Layers`, each
                       as int8 `.rows` (out, in) and `.scale` (out,), or float16 `.rows`; the rest float32,
                       among it, where the space was evened out at export, `head` (dim, dim), and, of
                       a student that was trained beside a static one, `beside` (static dim, dim)
    body.onnx          the layers as a graph without numbers, for onnxruntime

A student that stands beside a static one, which config.json names by `beside`, adds that one's vector s to
its own t: unit(t + s beside). The static student is opened from where it is and not kept twice.

A vector depends on its own text only: texts are sorted by length and padded to the longest of their
batch, and padding changes the last bits only (measured: below 1e-6 of a unit vector).
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tokenizers import Encoding, Tokenizer

from configs.errors import ConfigError
from indexer.encoders.static_encoder import StaticEncoder, refuse_cut, unpacked
from indexer.encoders.transformer_engine import (
    Engine,
    Layers,
    numpy_engine,
    onnx_engine,
    torch_engine,
)
from indexer.schema import Encoder, Kind, Matrix
from indexer.vectors import unit_rows

__all__ = ["FORMAT", "CompactEncoder", "Stored", "batches", "is_compact", "mark", "read"]

FORMAT = "tandem-transformer-1"

# Tokens of a batch, padding included. On a CPU what one layer makes of it should stay in the cache:
# 512 were 1.1 to 1.4 times as fast as 2,048 for sentences, and no slower for passages.
TOKENS_CPU, TOKENS_GPU = 512, 32_768


@dataclass(frozen=True, slots=True)
class Stored:
    """What model.safetensors holds, as it is used."""

    rows: NDArray[Any]
    """The input embeddings as stored: (tokens, width), or (tokens, width / 2) bytes of two 4-bit numbers."""
    scale: NDArray[np.float32]
    """(tokens,)"""
    positions: NDArray[np.float32]
    """(max_tokens, width of the embeddings)"""
    layers: Layers
    head: NDArray[np.float32] | None = None
    """(dim, dim): each text's vector is turned by it; None: it is not."""
    beside: NDArray[np.float32] | None = None
    """(static dim, dim): turns the static student's vector, which is added; None: there is none."""

    def embeddings(self, ids: NDArray[np.integer]) -> NDArray[np.float32]:
        """(len(ids), width)"""
        rows = self.rows[ids]
        if rows.dtype == np.uint8:
            rows = unpacked(rows)
        return np.asarray(rows * self.scale[ids, None], np.float32)


class CompactEncoder:
    """Texts to vectors by a compact transformer. Build it with `load`."""

    def __init__(
        self,
        tokenizer: Tokenizer,
        stored: Stored,
        engine: Engine,
        *,
        name: str,
        fingerprint: str,
        model: str,
        prompts: Mapping[str, str],
        budget: int = TOKENS_CPU,
        static: StaticEncoder | None = None,
    ) -> None:
        """`static`: the student that stands beside."""
        self.name = name
        self.model = model  # what `open_encoder` opens it by
        self.fingerprint = fingerprint
        # With a static student beside, a longer text is read to its end by that: to split Cranfield at the
        # transformer's limit cost words more (nDCG@10 .521 to .503) than it gave meaning.
        self.max_tokens: int | None = len(stored.positions) if static is None else None
        self.dim = stored.layers.dim
        self._tokenizer = tokenizer
        self._stored = stored
        self._engine = engine
        self._prompts = dict(prompts)
        self._budget = budget
        self._around = _around(tokenizer)
        self._static = static

    @classmethod
    def load(
        cls,
        folder: Path | str,
        model: str = "",
        *,
        device: str = "auto",
        prompts: Mapping[str, str] | None = None,
        static: Callable[[str], Encoder] | None = None,
    ) -> CompactEncoder:
        """Open a folder, known by `model` to those who open it again; `static` opens the student beside.

        `prompts` stand in for the folder's own, by kind. Raises ConfigError naming the file that is
        missing, damaged or of another kind, and BackendError for a device that is not there.
        """
        folder = Path(folder)
        config = _config(folder)
        tokenizer, stored = read(folder)
        given = {"query": "", "passage": "", **config["prompts"], **(prompts or {})}
        place = _device(device)
        if place != "cpu":
            engine = torch_engine(stored.layers, place)
        elif importlib.util.find_spec("onnxruntime") is not None:
            engine = onnx_engine(stored.layers, folder / "body.onnx")
        else:
            engine = numpy_engine(stored.layers)
        return cls(
            tokenizer,
            stored,
            engine,
            name=str(config["name"]),
            fingerprint=mark({**config, "prompts": given}),
            model=model or str(folder.absolute()),
            prompts=given,
            budget=TOKENS_CPU if place == "cpu" else TOKENS_GPU,
            static=_static_part(folder, config, stored, static),
        )

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text as a passage, with those around it; the true length of one that is cut."""
        more = len(self._around[0]) + len(self._around[1])
        prompted = [self._prompts["passage"] + text for text in texts]
        return [len(encoding) + more for encoding in _tokenized(self._tokenizer, prompted)]

    def encode(self, texts: Sequence[str], kind: Kind = "passage") -> Matrix:
        vectors = np.zeros((len(texts), self.dim), np.float32)
        filled = [
            row for row, text in enumerate(texts) if text.strip()
        ]  # an empty text is all zero
        ids = self._ids([self._prompts[kind] + texts[row] for row in filled])
        for chosen in batches([len(one) for one in ids], self._budget):
            inputs, mask = self._inputs([ids[number] for number in chosen])
            vectors[[filled[number] for number in chosen]] = self._engine(inputs, mask)
        if self._static is not None and self._stored.beside is not None:
            own = self._static.encode([self._prompts[kind] + texts[row] for row in filled])
            vectors = unit_rows(vectors)
            vectors[filled] += own @ self._stored.beside
        return unit_rows(vectors if self._stored.head is None else vectors @ self._stored.head)

    def _ids(self, texts: Sequence[str]) -> list[list[int]]:
        """The tokens of each text, cut to `max_tokens`, with those around it."""
        before, after = self._around
        room = len(self._stored.positions) - len(before) - len(after)
        return [
            [*before, *encoding.ids[:room], *after]
            for encoding in _tokenized(self._tokenizer, texts)
        ]

    def _inputs(
        self, ids: Sequence[Sequence[int]]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """(embeddings with positions (b, l, width), mask (b, l)); padding is zero in both."""
        length = max(map(len, ids))
        mask = np.zeros((len(ids), length), np.float32)
        for row, one in enumerate(ids):
            mask[row, : len(one)] = 1
        flat = np.concatenate([np.asarray(one, np.int64) for one in ids])
        width = self._stored.positions.shape[1]
        inputs = np.zeros((len(ids), length, width), np.float32)
        inputs[mask > 0] = self._stored.embeddings(flat)
        inputs += self._stored.positions[:length]
        return inputs, mask


def read(folder: Path) -> tuple[Tokenizer, Stored]:
    """What a folder holds. Raises ConfigError naming what is missing, damaged or of another kind."""
    config = _config(folder)
    try:
        tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        stored = _stored(_tensors(folder / "model.safetensors"), config)
    except Exception as error:  # both libraries raise plain Exception
        raise ConfigError(f"encoder {folder}: cannot be read ({error}); export it again") from error
    width = stored.rows.shape[1] * (2 if stored.rows.dtype == np.uint8 else 1)
    shape, dim = (int(config["max_tokens"]), width), int(config["dim"])
    fits = stored.positions.shape == shape and stored.layers.dim == dim
    if len(stored.rows) < tokenizer.get_vocab_size() or not fits:
        raise ConfigError(
            f"encoder {folder}: {len(stored.rows)} embeddings, positions of {stored.positions.shape} and "
            f"layers of {stored.layers.dim} do not fit {tokenizer.get_vocab_size()} tokens, positions of "
            f"{shape} and layers of {dim}; export it again"
        )
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer, stored


def is_compact(folder: Path) -> bool:
    """Whether the folder's config.json says so."""
    try:
        found = str(json.loads((folder / "config.json").read_text("utf-8"))["format"])
        return found.startswith("tandem-transformer-")
    except (OSError, ValueError, KeyError, TypeError):
        return False


def mark(config: Mapping[str, Any]) -> str:
    """The fingerprint of a config.json: all that vectors depend on. The graph is not among them: it and
    numpy compute the same."""
    facts = {
        key: config[key]
        for key in (
            "format",
            "dim",
            "max_tokens",
            "layers",
            "heads",
            "epsilon",
            "pooling",
            "prompts",
        )
    }
    files = {
        name: config["files"][name]["sha256"] for name in ("tokenizer.json", "model.safetensors")
    }
    if "beside" in config:
        facts["beside"] = config["beside"]["fingerprint"]
    text = json.dumps({**facts, "files": files}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def batches(lengths: Sequence[int], budget: int) -> Iterator[list[int]]:
    """Places of `lengths`, longest first, in batches of at most `budget` tokens with their padding."""
    order = sorted(range(len(lengths)), key=lambda place: -lengths[place])
    start = 0
    while start < len(order):
        count = max(1, budget // max(1, lengths[order[start]]))
        yield order[start : start + count]
        start += count


def _device(wanted: str) -> str:
    """`auto`: cuda where there is one that torch can use. torch takes seconds to import, so it is asked
    only where a driver is."""
    if wanted != "auto":
        return wanted
    if shutil.which("nvidia-smi") is None or importlib.util.find_spec("torch") is None:
        return "cpu"
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def _static_part(
    folder: Path,
    config: Mapping[str, Any],
    stored: Stored,
    opened: Callable[[str], Encoder] | None,
) -> StaticEncoder | None:
    """The static student that a folder's vectors need. Raises ConfigError where it is not that one."""
    if stored.beside is None:
        return None
    name, fingerprint = config["beside"]["model"], config["beside"]["fingerprint"]
    static = opened(name) if opened is not None else StaticEncoder.load(name)
    if not isinstance(static, StaticEncoder) or static.fingerprint != fingerprint:
        raise ConfigError(
            f"encoder {folder}: stands beside the static student {name} of fingerprint {fingerprint}, and "
            f"that is {static.fingerprint} here; put that one back, or train and export again"
        )
    return static


def _around(tokenizer: Tokenizer) -> tuple[list[int], list[int]]:
    """The special tokens that stand before and after each text: [CLS] and [SEP], say."""
    encoding = tokenizer.encode("a")
    words = [place for place, special in enumerate(encoding.special_tokens_mask) if not special]
    if not words:  # a tokenizer that knows no "a"
        return [], []
    return encoding.ids[: words[0]], encoding.ids[words[-1] + 1 :]


def _tokenized(tokenizer: Tokenizer, texts: Sequence[str]) -> list[Encoding]:
    try:
        return tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)
    except (TypeError, UnicodeEncodeError):  # half of a surrogate pair, which is no text in UTF-8
        whole = [text.encode("utf-8", "replace").decode("utf-8") for text in texts]
        return tokenizer.encode_batch_fast(whole, add_special_tokens=False)


def _config(folder: Path) -> dict[str, Any]:
    """config.json, after a look at whether the other files have the sizes it tells."""
    try:
        config = json.loads((folder / "config.json").read_text("utf-8"))
        found, files = config["format"], dict(config["files"])
        mark(config)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(
            f"encoder {folder}: config.json is missing or no compact transformer's ({error}); "
            "give a folder that `tandem train export` wrote"
        ) from error
    if found != FORMAT:
        raise ConfigError(f"encoder {folder}: format is {found!r}, not {FORMAT!r}; export it again")
    refuse_cut(folder, files)
    return dict(config)


def _tensors(path: Path) -> dict[str, NDArray[Any]]:
    from safetensors.numpy import load_file

    return dict(load_file(path))


def _stored(tensors: Mapping[str, NDArray[Any]], config: Mapping[str, Any]) -> Stored:
    """The numbers as they are used; the table stays as it is, it is looked up and not multiplied."""
    found: dict[str, NDArray[np.float32]] = {}
    for name, tensor in tensors.items():
        if name.startswith("table.") or name.endswith(".scale"):
            continue
        if name.endswith(".rows"):
            whole = tensor.astype(np.float32) * tensors[name[:-4] + "scale"][:, None]  # (out, in)
            found[name[:-4] + "weight"] = np.ascontiguousarray(whole.T)
        else:
            found[name] = np.array(tensor, np.float32)
    positions, head = found.pop("positions"), found.pop("head", None)
    beside = found.pop("beside", None)
    dim, heads = int(config["dim"]), int(config["heads"])
    for i in range(int(config["layers"])):
        for part in ("weight", "bias"):
            found[f"{i}.qkv.{part}"][..., :dim] /= np.float32((dim / heads) ** 0.5)
    layers = Layers(
        found, int(config["layers"]), heads, float(config["epsilon"]), str(config["pooling"])
    )
    scale = tensors["table.scale"].astype(np.float32)
    return Stored(tensors["table.rows"], scale, positions, layers, head, beside)
