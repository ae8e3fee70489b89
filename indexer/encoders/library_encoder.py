"""Encoders of the library sentence-transformers: a folder, or a name that a hub knows.

torch is imported only here. Nothing looks for a hub when the model is local.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from configs.errors import BackendError, MissingExtra
from indexer.encoders.local_models import model_folder
from indexer.schema import Kind, Matrix
from indexer.vectors import unit_rows

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

__all__ = ["LibraryEncoder", "open_library_encoder"]


class LibraryEncoder:
    """A sentence-transformers model, with its pooling and its prompts."""

    def __init__(
        self,
        model: SentenceTransformer,
        name: str,
        fingerprint: str,
        batch_size: int,
        prompts: dict[str, str],
    ) -> None:
        dim = model.get_embedding_dimension()
        assert dim is not None
        self.name = name
        self.dim = int(dim)
        self.fingerprint = fingerprint
        self._model = model
        self._batch_size = batch_size
        self._prompts = prompts

    @property
    def max_tokens(self) -> int | None:
        length: int | None = self._model.max_seq_length
        return length

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        # truncation off: the true length is asked for
        tokenizer: Any = self._model.tokenizer
        encoded = tokenizer(
            [self._prompts["passage"] + text for text in texts], truncation=False, verbose=False
        )
        return [len(ids) for ids in encoded["input_ids"]]

    def encode(self, texts: Sequence[str], kind: Kind = "passage") -> Matrix:
        if not texts:
            return np.zeros((0, self.dim), dtype=np.float32)
        prompt = self._prompts[kind]
        vectors = self._model.encode(
            [prompt + text for text in texts],
            batch_size=self._batch_size,
            convert_to_numpy=True,
            show_progress_bar=False,
        )
        vectors = unit_rows(np.asarray(vectors))
        vectors[[not text.strip() for text in texts]] = 0.0
        return vectors


def open_library_encoder(
    model: str, device: str, batch_size: int, query_prompt: str | None, passage_prompt: str | None
) -> LibraryEncoder:
    """The model `model`, with its own prompts where none are given.

    Raises MissingExtra without sentence-transformers, BackendError for a model that is not here and cannot be had.
    """
    if importlib.util.find_spec("sentence_transformers") is None:
        raise MissingExtra("sentence-transformers", "models", f"encoder {model}")
    local = model_folder(model)  # asked before torch is imported, which takes seconds
    try:
        offline = local is not None or _is_cached(model)
    except Exception as error:  # the hub's client has a tree of errors, and its transport another
        reason = str(error).strip().partition("\n")[0]
        raise BackendError(
            f"encoder {model}: not on this machine, and it could not be downloaded ({reason}); "
            "check the name and the network, or give the path of a folder that holds the model"
        ) from error
    from sentence_transformers import SentenceTransformer
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()  # type: ignore[no-untyped-call]  # loading from disk takes a second
    try:
        loaded = SentenceTransformer(
            model if local is None else str(local),
            device=None if device == "auto" else device,
            local_files_only=offline,
            trust_remote_code=False,
        )
    except Exception as error:  # torch, transformers and safetensors raise their own
        reason = " ".join(str(error).split())[:200]
        raise BackendError(
            f"encoder {model}: cannot be opened on the device {device} ({reason}); "
            "check the model's files and encoder.device, or name another model"
        ) from error
    own = loaded.prompts or {}
    if query_prompt is None:
        query_prompt = own.get("query") or ""
    if passage_prompt is None:
        passage_prompt = own.get("passage") or own.get("document") or ""
    chosen = {"query": query_prompt, "passage": passage_prompt}
    return LibraryEncoder(loaded, model, _fingerprint(local, loaded, chosen), batch_size, chosen)


def _is_cached(model: str) -> bool:
    """Whether the hub's cache on this machine holds the model; if not, whether the hub would give it.

    sentence-transformers asks a hub that is away for over a minute, file by file; this asks once, and
    raises what the hub's client raises.
    """
    from huggingface_hub import HfApi, constants, try_to_load_from_cache

    # The models of sentence-transformers itself may be named without their owner.
    name = model if "/" in model else f"sentence-transformers/{model}"
    for known in {name, model}:
        for file in ("modules.json", "config.json"):
            if isinstance(try_to_load_from_cache(known, file), str):
                return True
    if constants.HF_HUB_OFFLINE:
        raise ValueError("HF_HUB_OFFLINE is set")
    HfApi().model_info(name, timeout=10)
    return False


def _fingerprint(local: Path | None, model: SentenceTransformer, prompts: dict[str, str]) -> str:
    """Of the weights, the modules and the prompts: what vectors depend on."""
    digest = hashlib.sha256(json.dumps(prompts, sort_keys=True).encode())
    digest.update(str(model.max_seq_length).encode())
    if local is not None:
        for path in sorted(local.rglob("*")):
            if path.suffix in (".safetensors", ".json", ".bin", ".model", ".txt"):
                digest.update(path.relative_to(local).as_posix().encode())
                with path.open("rb") as file:
                    digest.update(hashlib.file_digest(file, "sha256").digest())
    else:
        for name, tensor in sorted(model.state_dict().items()):
            digest.update(name.encode())
            digest.update(tensor.detach().cpu().contiguous().float().numpy().tobytes())
    return digest.hexdigest()[:32]
