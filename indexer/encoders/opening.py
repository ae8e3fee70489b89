"""Which encoder a name or a folder means: those in the package, exported students, sentence-transformers models, a hash."""

from __future__ import annotations

import dataclasses
import difflib
import itertools
import json
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from configs.errors import ConfigError
from configs.settings import AUTO, EncoderSettings
from indexer.encoders import tokenizer_files
from indexer.encoders.hash_encoder import HashEncoder
from indexer.encoders.library_encoder import open_library_encoder
from indexer.encoders.local_models import ACCURATE, FAST, model_folder
from indexer.encoders.neutral_encoder import neutralised
from indexer.encoders.transformer_encoder import CompactEncoder, is_compact
from indexer.schema import Document, Encoder

if TYPE_CHECKING:
    pass

__all__ = [
    "ACCURATE_UP_TO",
    "PACKAGED",
    "RENAMED",
    "choose_encoder",
    "named_encoder",
    "open_encoder",
]

# The encoders in the package, by the names that open them.
PACKAGED = {"fast": FAST, "accurate": ACCURATE}
RENAMED = {"default": "fast"}
ACCURATE_UP_TO = 10_000
"""Passages up to which `auto` takes `accurate`: some minutes on two cores."""


def open_encoder(
    model: str = "fast",
    *,
    device: str = "auto",
    batch_size: int = 64,
    query_prompt: str | None = None,
    passage_prompt: str | None = None,
    neutral: bool = False,
) -> Encoder:
    """The encoder that `model` names.

    `fast` is the static encoder in the package, `accurate` the transformer (also where `auto` stands and no
    collection is known: see `choose_encoder`), `hash` or `hash:DIM` the HashEncoder; a folder holds a static encoder, a
    compact transformer or a sentence-transformers model; anything else is a sentence-transformers name. `neutral`: a
    multilingual sentence-transformers model in its language-neutral space, which the others hold already.
    Raises ConfigError for a folder that holds no model or a name that was mistyped, BackendError when a hub cannot be reached,
    MissingExtra when sentence-transformers is not installed.
    """
    if model == "hash" or model.startswith("hash:"):
        dim = model.partition(":")[2] or "256"
        if not dim.isdigit():
            raise ConfigError(f"encoder {model}: write hash:DIM, for example hash:256")
        return HashEncoder(int(dim))
    if model in RENAMED:
        warnings.warn(
            f"the encoder {model} is called {RENAMED[model]} now", FutureWarning, stacklevel=2
        )
        model = RENAMED[model]
    if model == AUTO:
        model = "accurate"
    if device == "all":  # of FAISS; a transformer takes the first card
        device = "cuda"
    path = PACKAGED.get(model, Path(model))
    if path.is_dir():
        if is_compact(path):
            given = {"query": query_prompt, "passage": passage_prompt}
            return CompactEncoder.load(
                path,
                model if model in PACKAGED else "",
                device=device,
                prompts={kind: text for kind, text in given.items() if text is not None},
            )
        if _is_static(path):
            from indexer.encoders.static_encoder import StaticEncoder

            return StaticEncoder.load(path, model if model in PACKAGED else "")
        if not (path / "modules.json").is_file() and not (path / "config.json").is_file():
            raise ConfigError(
                f"encoder {model}: the folder holds no model (no tokenizer.json, no modules.json)"
            )
    elif model in PACKAGED:
        raise ConfigError(
            f"encoder {model}: this installation carries no such encoder; name another model"
        )
    near = difflib.get_close_matches(model, [*PACKAGED, "hash"], n=1, cutoff=0.75)
    if near and "/" not in model and model_folder(model) is None:
        raise ConfigError(f"encoder {model}: there is no such model; did you mean {near[0]}?")
    opened = open_library_encoder(model, device, batch_size, query_prompt, passage_prompt)
    return neutralised(opened) if neutral else opened


def choose_encoder(documents: Iterable[Document], size: int) -> tuple[str, Iterator[Document]]:
    """What `auto` means for these documents, split into passages of `size` characters; and the documents again.

    At most ACCURATE_UP_TO passages' worth of documents is read ahead.
    """
    stream = iter(documents)
    ahead: list[Document] = []
    passages = 0
    for document in stream:
        ahead.append(document)
        passages += max(1, -(-len(document.text) // size))
        if passages > ACCURATE_UP_TO:
            return "fast", itertools.chain(ahead, stream)
    return "accurate", iter(ahead)


def _is_static(folder: Path) -> bool:
    """Whether a folder holds a static student, whole or not; a transformer's config.json has no format."""
    if (folder / "modules.json").is_file():
        return False
    try:
        return "format" in json.loads((folder / "config.json").read_text("utf-8"))
    except (OSError, ValueError):
        return tokenizer_files.find(folder).is_file()


def named_encoder(settings: EncoderSettings) -> Encoder | None:
    """The encoder that settings name; None where they name none, and an index opens its own."""
    if settings.model == EncoderSettings().model:
        return None
    return open_encoder(**dataclasses.asdict(settings))
