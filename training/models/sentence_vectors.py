"""A student's vectors, with a gradient for training and without one for looking."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer
from torch import Tensor

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer
    from transformers import PreTrainedTokenizerFast

__all__ = ["features_of", "full_precision", "held_out_vectors", "sentence_vectors", "token_counts"]

CHUNK = 16_384
"""Texts whose encodings are held at a time."""


def features_of(model: SentenceTransformer, texts: Sequence[str]) -> dict[str, Tensor]:
    """The tokens of `texts`, padded together, on the model's device."""
    features = model.preprocess(list(texts))
    return {
        name: value.to(model.device) if isinstance(value, Tensor) else value
        for name, value in features.items()
    }


def token_counts(model: SentenceTransformer, texts: Sequence[str]) -> NDArray[np.int64]:
    """Tokens of each text as the model reads it, at most its limit. A text that comes again is counted once."""
    once = {text: row for row, text in enumerate(dict.fromkeys(texts))}
    # a copy, for one that was saved after use pads every text to the model's limit
    own = cast("PreTrainedTokenizerFast", model.tokenizer).backend_tokenizer
    tokenizer = Tokenizer.from_str(own.to_str())
    tokenizer.no_padding()
    tokenizer.no_truncation()
    each = list(once)
    counts = np.empty(len(each), np.int64)
    for start in range(0, len(each), CHUNK):
        found = tokenizer.encode_batch_fast(each[start : start + CHUNK])
        counts[start : start + CHUNK] = [len(encoding) for encoding in found]
    rows = np.fromiter((once[text] for text in texts), np.int64, len(texts))
    return np.minimum(counts[rows], model.max_seq_length or np.iinfo(np.int64).max)


def sentence_vectors(model: SentenceTransformer, texts: Sequence[str]) -> Tensor:
    """(n, dim) float32 with a gradient, whatever the precision inside. As the model gives them."""
    vectors: Tensor = model(features_of(model, texts))["sentence_embedding"]
    return vectors.float()


def full_precision(device: torch.device) -> torch.autocast:
    """For losses: cosines divided by a small temperature do not bear bfloat16."""
    return torch.autocast(device.type, enabled=False)


def held_out_vectors(model: SentenceTransformer, texts: Sequence[str]) -> NDArray[np.float32]:
    """(n, dim) float32 without a gradient."""
    with torch.no_grad():
        vectors = model.encode(
            list(texts), batch_size=64, convert_to_tensor=True, show_progress_bar=False
        )
    rows: NDArray[np.float32] = vectors.float().cpu().numpy()
    return rows
