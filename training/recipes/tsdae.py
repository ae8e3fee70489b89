"""TSDAE: a sentence is restored, word by word, from the vector of what is left of it.

Wang, Reimers and Gurevych 2021, "TSDAE: Using Transformer-based Sequential Denoising Auto-Encoder for Unsupervised Sentence
Embedding Learning" (EMNLP Findings). Words are taken out of a sentence (60% there); a decoder, whose weights are the
student's but for its attention to the vector, must say the whole sentence from the vector alone. The loss is that of
sentence-transformers.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor, nn

from configs.errors import ConfigError
from training.models.sentence_vectors import features_of

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer
    from transformers import PreTrainedModel

__all__ = ["Denoiser", "without_words"]


class Denoiser(nn.Module):
    """The decoder. Raises ConfigError for a student whose kind has none, or that lies in no folder to read it from."""

    def __init__(self, student: SentenceTransformer, name: str) -> None:
        from sentence_transformers.sentence_transformer.losses import DenoisingAutoEncoderLoss

        super().__init__()
        self._student = [student]  # no submodule of its own: the loss holds it
        body = cast("PreTrainedModel", student[0].auto_model)
        if not Path(body.config._name_or_path).is_dir():
            raise ConfigError(
                f"student {name}: TSDAE reads its decoder from the student's folder; give one in student.model, "
                "for example what tandem train retromae wrote"
            )
        try:
            self.loss = DenoisingAutoEncoderLoss(student, tie_encoder_decoder=True)
        except (ValueError, AssertionError) as error:
            raise ConfigError(
                f"student {name}: {body.config.model_type} cannot be a decoder ({str(error)[:200]}); take a BERT"
            ) from error

    def forward(self, texts: Sequence[str], share: float, generator: torch.Generator) -> Tensor:
        """The cross-entropy of `texts`, from the vectors of what is left of them, in nats a token."""
        noisy = [without_words(text, share, generator) for text in texts]
        features = [features_of(self._student[0], side) for side in (noisy, texts)]
        found: Tensor = self.loss(features, torch.empty(0))
        return found


def without_words(text: str, share: float, generator: torch.Generator) -> str:
    """`text` without about `share` of its words; one is always left."""
    words = text.split()
    drawn = torch.rand(len(words), generator=generator)
    kept = [word for word, chance in zip(words, drawn.tolist(), strict=True) if chance >= share]
    return " ".join(kept or words[:1])
