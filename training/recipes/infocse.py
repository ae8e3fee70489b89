"""InfoCSE: SimCSE whose sentence vector must also help to restore the sentence.

Wu et al. 2022, "InfoCSE: Information-aggregated Contrastive Learning of Sentence Embeddings" (EMNLP Findings). Beside the
contrastive loss an auxiliary network of two layers restores masked tokens from the sentence vector h of the whole sentence
and the middle layer's states of the masked one:

    G    = Transformer_2([h, M_1, ..., M_N])        M: states of layer L/2 of the masked sentence, (N, dim)
    loss = SimCSE(h, h') + weight x cross entropy of the masked tokens at G

As in the authors' script (caskcsg/sentemb, infocse-bert-base.sh): 40% of the tokens masked, two layers, states of layer 6 of
12, weight 0.00001. The middle states have no gradient here, so that the loss reaches the body through h alone. The
authors start from a Condenser, whose head is the auxiliary network; here its weights are new. It is thrown away.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from configs.errors import ConfigError
from training.models.opening import width_of
from training.models.sentence_vectors import features_of
from training.recipes.retromae import hide, mask_id, real_tokens

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer
    from transformers import PreTrainedModel

__all__ = ["Restorer"]

LAYERS = 2


class Restorer(nn.Module):
    """The auxiliary network, and the output layer on the token vectors. `student` is trained elsewhere.

    Raises ConfigError for a student without a mask token, or whose vectors are not as wide as its layers.
    """

    def __init__(self, student: SentenceTransformer, name: str) -> None:
        super().__init__()
        self._student = [student]  # no submodule: its weights are the recipe's already
        self._mask_id = mask_id(student, name, "InfoCSE")
        body = cast("PreTrainedModel", student[0].auto_model)
        width, heads = int(body.config.hidden_size), int(body.config.num_attention_heads)
        if width_of(student) != width:
            raise ConfigError(
                f"student {name}: InfoCSE restores tokens from the vector of the transformer, {width} wide; "
                f"this one's are {width_of(student)}: take the model before its last layer"
            )
        self._middle = int(body.config.num_hidden_layers) // 2
        self._tokens = [cast("nn.Embedding", body.get_input_embeddings())]
        narrow, size = self._tokens[0].embedding_dim, self._tokens[0].num_embeddings
        layer = nn.TransformerEncoderLayer(
            width, heads, 4 * width, dropout=0.1, activation="gelu", batch_first=True
        )
        self.layers = nn.TransformerEncoder(layer, LAYERS, enable_nested_tensor=False)
        self.head = nn.Sequential(nn.Linear(width, narrow), nn.GELU(), nn.LayerNorm(narrow))
        self.bias = nn.Parameter(torch.zeros(size))

    def forward(
        self, texts: list[str], vectors: Tensor, share: float, generator: torch.Generator
    ) -> Tensor:
        """The loss of restoring `share` of the tokens of the texts, whose sentence vectors are `vectors` (n, dim)."""
        (student,), (tokens,) = self._student, self._tokens
        features = features_of(student, texts)
        ids = features["input_ids"]
        masked = hide(real_tokens(student, ids), share, generator).to(ids.device)  # (n, length)
        if not masked.any():
            return vectors.new_zeros(())
        middle = self._states(features | {"input_ids": ids.masked_fill(masked, self._mask_id)})
        padding = torch.cat(
            [torch.zeros_like(ids[:, :1]), 1 - features["attention_mask"]], dim=1
        ).bool()
        found = self.layers(
            torch.cat([vectors[:, None, :], middle], dim=1), src_key_padding_mask=padding
        )
        scores = self.head(found[:, 1:][masked]) @ tokens.weight.T + self.bias
        return cross_entropy(scores.float(), ids[masked])

    def _states(self, features: dict[str, Tensor]) -> Tensor:
        """The states of the middle layer, (n, length, dim), without a gradient."""
        body = cast("PreTrainedModel", self._student[0][0].auto_model)
        names = ("input_ids", "attention_mask", "token_type_ids")
        known = {name: features[name] for name in names if name in features}
        with torch.no_grad():
            states: Tensor = body(**known, output_hidden_states=True).hidden_states[self._middle]
        return states
