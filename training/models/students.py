"""Students to train: a model to go on from, a body under a new vocabulary, or a new body of random weights."""

from __future__ import annotations

import tempfile
from typing import TYPE_CHECKING, Any

from configs.errors import ConfigError, TandemError
from configs.training import StudentSettings
from training.models.opening import open_model
from training.models.pooling import quiet, with_pooling
from training.models.tokenizers import tokenizer_file, wrap_tokenizer
from training.models.vocabulary_transplant import transplanted

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer
    from transformers import PreTrainedModel

__all__ = ["new_body", "open_student"]


def open_student(settings: StudentSettings, device: str, seed: int) -> SentenceTransformer:
    """The student that `settings` describe: opened, or newly made with weights from `seed`."""
    if settings.model:
        return open_model(settings.model, device=device, max_tokens=settings.max_tokens)
    if settings.body and settings.tokenizer:
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
