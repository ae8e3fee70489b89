"""The compact transformer: a BERT whose numbers are kept in 4 and 8 bits, opened without torch.

A folder of it, which `tandem train export` writes, holds

    config.json        shape, name, max_tokens, pooling, prompts, fingerprint; size and sha256 of the others
    tokenizer.json.zst of the tokenizers library, packed (`tokenizer_files`), or plain tokenizer.json; config.json's
                       `around` has the tokens that stand around each text
    model.safetensors  `table.rows` (tokens, width) and `table.scale` (tokens, blocks): the input embeddings; in
                       4 bits two numbers a byte, with a scale for each 32 of a row; the matrices of
                       `transformer_engine.Layers`, in 8 bits or float16; the rest float32, among it, where the
                       space was whitened at export, `head` (dim, dim), and `neutral.means` (2, dim) and
                       `neutral.directions` (n, dim), the language-neutral space (`neutral_space`)
    body.onnx          the layers as a graph without numbers, for onnxruntime

A vector depends on its own text only.
"""

from __future__ import annotations

import hashlib
import importlib.util
import itertools
import json
import re
import shutil
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tokenizers import Encoding, Tokenizer

from configs.errors import ConfigError
from indexer.encoders import tokenizer_files
from indexer.encoders.neutral_space import NeutralSpace
from indexer.encoders.static_encoder import open_unigram, refuse_cut, unpacked
from indexer.encoders.transformer_engine import Engine, Layers, onnx_engine, torch_engine
from indexer.encoders.unigram_tokenizer import XLMR
from indexer.schema import Kind, Matrix
from indexer.vectors import unit_rows

__all__ = ["FORMAT", "CompactEncoder", "Stored", "is_compact", "mark", "read"]

FORMAT = "tandem-transformer-2"
REMEMBERED = 200_000  # words whose tokens are kept


@dataclass(frozen=True, slots=True)
class Stored:
    """What model.safetensors holds, as it is used."""

    rows: NDArray[Any]
    """The input embeddings as stored: (tokens, width), or (tokens, width / 2) bytes of two 4-bit numbers."""
    scale: NDArray[np.floating]
    """(tokens, blocks): of each `width / blocks` numbers of a row."""
    positions: NDArray[np.float32]
    """(max_tokens, width of the embeddings)"""
    layers: Layers
    head: NDArray[np.float32] | None = None
    """(dim, dim): each text's vector is turned by it; None: it is not."""
    neutral: NeutralSpace | None = None
    """Applied last; None: languages are left in."""

    def embeddings(self, ids: NDArray[np.integer]) -> NDArray[np.float32]:
        """(len(ids), width)"""
        rows = self.rows[ids]
        if rows.dtype == np.uint8:
            rows = unpacked(rows)
        scale = self.scale[ids].astype(np.float32)
        blocks = rows.reshape(len(ids), scale.shape[1], -1) * scale[:, :, None]
        return np.asarray(blocks.reshape(len(ids), -1), np.float32)


class CompactEncoder:
    """Texts to vectors by a compact transformer. Build it with `load`."""

    def __init__(
        self,
        tokens: WordTokenizer,
        stored: Stored,
        engine: Engine,
        *,
        name: str,
        fingerprint: str,
        model: str,
        prompts: Mapping[str, str],
    ) -> None:
        self.name = name
        self.model = model  # what `open_encoder` opens it by
        self.fingerprint = fingerprint
        self.max_tokens: int | None = len(stored.positions)
        self.dim = stored.layers.dim
        self._tokens = tokens
        self._stored = stored
        self._engine = engine
        self._prompts = dict(prompts)

    @classmethod
    def load(
        cls,
        folder: Path | str,
        model: str = "",
        *,
        device: str = "auto",
        prompts: Mapping[str, str] | None = None,
    ) -> CompactEncoder:
        """Open a folder, known by `model` to those who open it again.

        `prompts` stand in for the folder's own, by kind. Raises ConfigError naming the file that is
        missing, damaged or of another kind, and BackendError for a device that is not there.
        """
        folder = Path(folder)
        config = _config(folder)
        stored = read(folder)
        given = {"query": "", "passage": "", **config["prompts"], **(prompts or {})}
        place = _device(device)
        if place == "cpu":
            engine = onnx_engine(stored.layers, folder / "body.onnx")
        else:
            engine = torch_engine(stored.layers, place)
        return cls(
            WordTokenizer(tokenizer_files.find(folder), config["around"], len(stored.rows)),
            stored,
            engine,
            name=str(config["name"]),
            fingerprint=mark({**config, "prompts": given}),
            model=model or str(folder.absolute()),
            prompts=given,
        )

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text as a passage, with those around it; the true length of one that is cut."""
        more = len(self._tokens.before) + len(self._tokens.after)
        prompted = [self._prompts["passage"] + text for text in texts]
        return [len(ids) + more for ids in self._tokens(prompted)]

    def encode(self, texts: Sequence[str], kind: Kind = "passage") -> Matrix:
        vectors = np.zeros((len(texts), self.dim), np.float32)
        filled = [
            row for row, text in enumerate(texts) if text.strip()
        ]  # an empty text is all zero
        if not filled:
            return vectors
        before, after = self._tokens.before, self._tokens.after
        room = len(self._stored.positions) - len(before) - len(after)
        inputs = []
        for ids in self._tokens([self._prompts[kind] + texts[row] for row in filled]):
            whole = np.array([*before, *ids[:room], *after], np.int64)
            inputs.append(self._stored.embeddings(whole) + self._stored.positions[: len(whole)])
        vectors[filled] = unit_rows(self._engine(inputs))
        if self._stored.head is not None:
            vectors = unit_rows(vectors @ self._stored.head)
        if self._stored.neutral is not None:
            vectors = self._stored.neutral.project(vectors, kind)
        return vectors


# What XLM-R's tokenizer (SentencePiece's nmt_nfkc) drops, and what it reads as a space.
_DROPPED = re.compile("[\x01-\x08\x0b\x0e-\x1f\x7f\x8f\x9f]")
_SPACES = re.compile("[\t\n\x0c\r\u1680\u200b-\u200f\u2028\u2029\u2581\ufeff\ufffd]")


class WordTokenizer:
    """Token numbers of texts, by a tokenizer's file, without those that stand around a text.

    XLM-R's tokenizer (Conneau et al. 2020) splits at spaces before all else, so each word is looked up once, by
    `Unigram`, which is mapped from a cache; the tokenizers library, which needs a second to read 250,000 pieces,
    is opened only for a word that Unigram is not sure of, and for tokenizers of another kind.
    """

    def __init__(self, file: Path, around: Sequence[Sequence[int]], rows: int) -> None:
        """`around`: the tokens before and after each text. `rows`: of the table, which no token may exceed.

        Raises ConfigError for a file that cannot be read or has more tokens than the table.
        """
        self.before, self.after = ([int(token) for token in side] for side in around)
        self._file = file
        self._library: Tokenizer | None = None
        self._known: dict[str, list[int]] = {}
        try:
            self._unigram = open_unigram(file, XLMR)
            unigram = self._unigram
            count = len(unigram) if unigram else self._opened().get_vocab_size()
        except Exception as error:  # the library raises plain Exception
            raise ConfigError(
                f"encoder {file.parent}: {file.name} cannot be read ({error}); export it again"
            ) from error
        if count > rows:
            raise ConfigError(
                f"encoder {file.parent}: {rows} embeddings do not fit {count} tokens; export it again"
            )

    def __call__(self, texts: Sequence[str]) -> list[list[int]]:
        if self._unigram is None:
            return [encoding.ids for encoding in _tokenized(self._opened(), texts)]
        split = [_words(text) for text in texts]
        if len(self._known) > REMEMBERED:
            self._known = {}
        known = self._known
        new = [word for word in dict.fromkeys(itertools.chain(*split)) if word not in known]
        found = self._unigram.ids(new)
        known.update(
            (word, np.frombuffer(ids, np.int32).tolist())
            for word, ids in zip(new, found, strict=True)
            if ids is not None
        )
        unsure = [word for word, ids in zip(new, found, strict=True) if ids is None]
        if unsure:
            read = _tokenized(self._opened(), unsure)
            known.update((word, one.ids) for word, one in zip(unsure, read, strict=True))
        return [[token for word in words for token in known[word]] for words in split]

    def _opened(self) -> Tokenizer:
        if self._library is None:
            self._library = tokenizer_files.open_tokenizer(self._file)
        return self._library


def _words(text: str) -> list[str]:
    """The words of a text as XLM-R's tokenizer splits it. Several spaces are one."""
    text = _SPACES.sub(" ", _DROPPED.sub("", text))
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text.encode("utf-8", "replace").decode("utf-8"))
    return [word for word in text.split(" ") if word]


def read(folder: Path) -> Stored:
    """What a folder holds. Raises ConfigError naming what is missing, damaged or of another kind."""
    config = _config(folder)
    try:
        stored = _stored(_tensors(folder / "model.safetensors"), config)
    except Exception as error:  # safetensors raises its own
        raise ConfigError(f"encoder {folder}: cannot be read ({error}); export it again") from error
    width = stored.rows.shape[1] * (2 if stored.rows.dtype == np.uint8 else 1)
    shape, dim = (int(config["max_tokens"]), width), int(config["dim"])
    if stored.positions.shape != shape or stored.layers.dim != dim:
        raise ConfigError(
            f"encoder {folder}: positions of {stored.positions.shape} and layers of {stored.layers.dim} do not "
            f"fit positions of {shape} and layers of {dim}; export it again"
        )
    return stored


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
            "around",
        )
    }
    files = {
        tokenizer_files.PLAIN: tokenizer_files.digest(config["files"]),
        "model.safetensors": config["files"]["model.safetensors"]["sha256"],
    }
    text = json.dumps({**facts, "files": files}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _device(wanted: str) -> str:
    """`auto`: cuda where there is one that torch can use. torch takes seconds to import, so it is asked
    only where a driver is."""
    if wanted != "auto":
        return wanted
    if shutil.which("nvidia-smi") is None or importlib.util.find_spec("torch") is None:
        return "cpu"
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


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
    found: dict[str, NDArray[Any]] = {}
    for name, tensor in tensors.items():
        if name.endswith(".rows") and not name.startswith("table."):  # float16 (out, in)
            found[f"{name[:-5]}.weight"] = np.ascontiguousarray(tensor.astype(np.float32).T)
        elif name.endswith(".blocks"):
            found[name] = tensor
        elif not name.startswith("table."):
            found[name] = np.array(tensor, np.float32)
    positions, head = found.pop("positions"), found.pop("head", None)
    means, directions = found.pop("neutral.means", None), found.pop("neutral.directions", None)
    neutral = None if means is None or directions is None else NeutralSpace(means, directions)
    count = int(config["layers"])
    if f"{count - 1}.norm2.bias" not in found or f"{count}.norm2.bias" in found:
        raise ValueError(f"its layers are not {count}")
    layers = Layers(
        found,
        count,
        int(config["heads"]),
        float(config["epsilon"]),
        str(config["pooling"]),
    )
    return Stored(tensors["table.rows"], tensors["table.scale"], positions, layers, head, neutral)
