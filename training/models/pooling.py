"""A body with pooling, as a sentence-transformers model."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

__all__ = ["quiet", "with_pooling"]


def with_pooling(folder: str, pooling: str, max_tokens: int, device: str) -> SentenceTransformer:
    """The body in `folder` as a sentence-transformers model."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer

    body = Transformer(folder, max_seq_length=max_tokens)
    width = int(body.get_embedding_dimension())
    return SentenceTransformer(modules=[body, Pooling(width, pooling)], device=device)


def quiet() -> None:
    """No bars of transformers for reading and writing a few files: a recipe has its own."""
    from transformers.utils import logging

    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    logging.set_verbosity_error()  # type: ignore[no-untyped-call]  # BERT's own pooler is never used
