"""What a sentence-transformers model is made of, in the names of the compact format, and back.

BERT, RoBERTa and XLM-R, ELECTRA and DistilBERT have one shape under different names (`indexer.encoders.transformer_engine`).
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from configs.errors import ConfigError
from indexer.encoders import tokenizer_files
from indexer.encoders.transformer_encoder import Stored, read

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

__all__ = ["Parts", "parts_of", "restored"]

Array = NDArray[np.float32]

BERT = {
    "out": "attention.output.dense",
    "norm1": "attention.output.LayerNorm",
    "up": "intermediate.dense",
    "down": "output.dense",
    "norm2": "output.LayerNorm",
}
DISTILBERT = {
    "out": "attention.out_lin",
    "norm1": "sa_layer_norm",
    "up": "ffn.lin1",
    "down": "ffn.lin2",
    "norm2": "output_layer_norm",
}
QKV = {
    "bert": ("attention.self.query", "attention.self.key", "attention.self.value"),
    "distilbert": ("attention.q_lin", "attention.k_lin", "attention.v_lin"),
}
# The first rows of these bodies' positions are never used: they count from the padding's number + 1.
LATE = ("roberta", "xlm-roberta", "camembert")


@dataclass(frozen=True, slots=True)
class Parts:
    """A model in parts. `matrices` and `others` are by the names of `indexer.encoders.transformer_engine.Layers`."""

    table: Array
    """Input embeddings (tokens, width)."""
    positions: Array
    """(max_tokens, width): of the places, with what every token of a single text adds."""
    matrices: Mapping[str, Array]
    """(out, in) each, `0.qkv` to `N.down`, and `widen` where token vectors are narrower than the layers."""
    others: Mapping[str, Array]
    """Biases and norms."""
    layers: int
    heads: int
    epsilon: float
    pooling: str
    tokenizer: str
    """tokenizer.json, in one line."""
    prompts: Mapping[str, str]


def parts_of(model: SentenceTransformer, name: str) -> Parts:
    """Take `model` apart. Raises ConfigError, naming what it is, for one of another kind."""
    from tokenizers import Tokenizer

    pooling = _pooling(model, name)
    body: Any = model[0]
    body = body.auto_model
    kind = str(body.config.model_type)
    if kind not in ("bert", "distilbert", "electra", *LATE):
        raise _refused(name, f"its body is {kind}, not BERT, RoBERTa, XLM-R, ELECTRA or DistilBERT")
    activation = getattr(body.config, "hidden_act", None) or getattr(body.config, "activation", "")
    if activation != "gelu":
        raise _refused(name, f"its activation is {activation}, not gelu")
    state = {key: value.detach().float().cpu().numpy() for key, value in body.state_dict().items()}
    distil = kind == "distilbert"
    count = int(body.config.num_hidden_layers)
    matrices, others = {}, {}
    for i in range(count):
        layer = f"transformer.layer.{i}." if distil else f"encoder.layer.{i}."
        joint = QKV["distilbert" if distil else "bert"]
        matrices[f"{i}.qkv"] = np.concatenate([state[f"{layer}{part}.weight"] for part in joint])
        others[f"{i}.qkv.bias"] = np.concatenate([state[f"{layer}{part}.bias"] for part in joint])
        for part, theirs in (DISTILBERT if distil else BERT).items():
            others[f"{i}.{part}.bias"] = state[f"{layer}{theirs}.bias"]
            if part.startswith("norm"):
                others[f"{i}.{part}.weight"] = state[f"{layer}{theirs}.weight"]
            else:
                matrices[f"{i}.{part}"] = state[f"{layer}{theirs}.weight"]
    for part in ("weight", "bias"):
        others[f"norm.{part}"] = state[f"embeddings.LayerNorm.{part}"]
    if "embeddings_project.weight" in state:
        matrices["widen"] = state["embeddings_project.weight"]
        others["widen.bias"] = state["embeddings_project.bias"]
    tokenizer = Tokenizer.from_str(_backend(model).to_str())
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return Parts(
        state["embeddings.word_embeddings.weight"],
        _positions(model, state, kind),
        matrices,
        others,
        count,
        int(body.config.num_attention_heads),
        float(getattr(body.config, "layer_norm_eps", 1e-12)),
        pooling,
        tokenizer.to_str(),
        _prompts(model),
    )


def restored(folder: Path) -> SentenceTransformer:
    """The compact folder as a sentence-transformers model of the same vectors, in float32: a BertModel,
    or an ElectraModel where token vectors are narrower than the layers."""
    import torch
    from sentence_transformers.sentence_transformer.modules import Dense, Normalize
    from transformers import BertConfig, BertModel, ElectraConfig, ElectraModel

    from training.models.pooling import with_pooling
    from training.models.tokenizers import wrap_tokenizer

    stored = read(folder)
    config = json.loads((folder / "config.json").read_text("utf-8"))
    layers, limit = stored.layers, len(stored.positions)
    tokenizer = wrap_tokenizer(tokenizer_files.find(folder), limit)
    shape: dict[str, Any] = {
        "vocab_size": len(stored.rows),
        "hidden_size": layers.dim,
        "num_hidden_layers": layers.layers,
        "num_attention_heads": layers.heads,
        "intermediate_size": layers.tensors["0.up.bias"].shape[0],
        "max_position_embeddings": limit,
        "type_vocab_size": 1,
        "layer_norm_eps": layers.epsilon,
        "pad_token_id": tokenizer.pad_token_id,
    }
    body: BertModel | ElectraModel
    if layers.widens:
        width = stored.positions.shape[1]
        body = ElectraModel(ElectraConfig(**shape, embedding_size=width))
    else:
        body = BertModel(BertConfig(**shape))
    state = {key: torch.from_numpy(value) for key, value in _bert_state(stored).items()}
    missing = set(body.state_dict()) - state.keys()
    assert all(key.startswith("pooler.") for key in missing), missing
    body.load_state_dict(state, strict=False)
    with tempfile.TemporaryDirectory() as place:  # Transformer reads a folder, and nothing else
        body.save_pretrained(place)
        tokenizer.save_pretrained(place)
        model = with_pooling(place, layers.pooling, limit, "cpu")
    if stored.head is not None:
        wide = stored.head.shape[0]
        head = Dense(wide, wide, bias=False, activation_function=torch.nn.Identity())
        head.linear.weight.data.copy_(torch.from_numpy(stored.head.T))
        model.append(head)
    if stored.neutral is not None:
        # One mean for queries and passages, which a layer cannot tell apart: their own differ little.
        wide = stored.neutral.means.shape[1]
        kept = (
            np.eye(wide, dtype=np.float32) - stored.neutral.directions.T @ stored.neutral.directions
        )
        neutral = Dense(wide, wide, bias=True, activation_function=torch.nn.Identity())
        neutral.linear.weight.data.copy_(torch.from_numpy(kept))
        neutral.linear.bias.data.copy_(torch.from_numpy(-stored.neutral.means.mean(axis=0) @ kept))
        model.append(Normalize())
        model.append(neutral)
    model.prompts = {"query": config["prompts"]["query"], "document": config["prompts"]["passage"]}
    return model


def _bert_state(stored: Stored) -> dict[str, Array]:
    """A compact body's numbers by BERT's names."""
    tensors, dim = stored.layers.tensors, stored.layers.dim
    state = {
        "embeddings.word_embeddings.weight": stored.embeddings(np.arange(len(stored.rows))),
        "embeddings.position_embeddings.weight": stored.positions,
        "embeddings.token_type_embeddings.weight": np.zeros(
            (1, stored.positions.shape[1]), np.float32
        ),
        "embeddings.LayerNorm.weight": tensors["norm.weight"],
        "embeddings.LayerNorm.bias": tensors["norm.bias"],
    }

    def values(name: str, part: str) -> Array:
        return stored.layers.weight(name) if part == "weight" else tensors[f"{name}.{part}"]

    if stored.layers.widens:
        state["embeddings_project.weight"] = np.ascontiguousarray(stored.layers.weight("widen").T)
        state["embeddings_project.bias"] = tensors["widen.bias"]
    for i in range(stored.layers.layers):
        layer = f"encoder.layer.{i}."
        for part in ("weight", "bias"):
            for number, theirs in enumerate(QKV["bert"]):
                joint = values(f"{i}.qkv", part)
                third = joint[..., number * dim : (number + 1) * dim]
                state[f"{layer}{theirs}.{part}"] = np.ascontiguousarray(third.T)
            for ours, theirs in BERT.items():
                value = values(f"{i}.{ours}", part)
                state[f"{layer}{theirs}.{part}"] = np.ascontiguousarray(value.T)
    return state


def _positions(model: SentenceTransformer, state: Mapping[str, Array], kind: str) -> Array:
    positions = state["embeddings.position_embeddings.weight"]
    if kind in LATE:
        body: Any = model[0]
        positions = positions[int(body.auto_model.config.pad_token_id) + 1 :]
    if model.max_seq_length is not None:
        positions = positions[: model.max_seq_length]
    types = state.get("embeddings.token_type_embeddings.weight")
    return positions if types is None else np.asarray(positions + types[0], np.float32)


def _prompts(model: SentenceTransformer) -> dict[str, str]:
    own = model.prompts or {}
    passage = own.get("passage") or own.get("document") or ""
    return {"query": own.get("query") or "", "passage": passage}


def _backend(model: SentenceTransformer) -> Any:
    tokenizer: Any = model.tokenizer
    return tokenizer.backend_tokenizer


def _pooling(model: SentenceTransformer, name: str) -> str:
    """How token vectors become one; whether unit length follows does not matter here."""
    kinds = [type(module).__name__ for module in model]
    if kinds not in (["Transformer", "Pooling"], ["Transformer", "Pooling", "Normalize"]):
        raise _refused(name, f"it is made of {', '.join(kinds)}, not Transformer and Pooling")
    pooling: Any = model[1]
    found = pooling.get_config_dict()
    mode = found.get("pooling_mode")
    if mode not in ("mean", "cls"):
        raise _refused(name, f"its pooling is {mode}, not mean or cls")
    if not found.get("include_prompt", True):
        raise _refused(name, "its pooling leaves the prompt out")
    return str(mode)


def _refused(name: str, reason: str) -> ConfigError:
    return ConfigError(
        f"{name}: cannot be made compact: {reason}; "
        "export it with --format onnx or --format sentence-transformers"
    )
