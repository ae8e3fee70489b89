"""RetroMAE: pre-training on plain text, so that the sentence vector holds the sentence.

Xiao et al. 2022, "RetroMAE: Pre-Training Retrieval-oriented Language Models Via Masked Auto-Encoder"
(EMNLP). The encoder sees a sentence with 30% of its tokens masked and gives the sentence vector h.
A decoder of one layer must restore every token from h; half of the tokens, others for each place,
stay hidden from it, so that it has to lean on h (enhanced decoding, section 3.3):

    H1 = [h + p_0, ..., h + p_N]              queries (n, dim): h at every place
    H2 = [h, e_1 + p_1, ..., e_N + p_N]       context (n, dim): h first, then the true tokens
    A  = softmax(Q K' / sqrt(d) + M) V        M_ij = 0 where place i may see j, else -inf
    loss = cross entropy of the masked tokens at the encoder + of every token at the decoder

Place i never sees itself, and always sees h. Q comes of H1, K and V of H2. The decoder is thrown away.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, scaled_dot_product_attention

from configs.errors import ConfigError
from configs.training import RetromaeSettings
from training.data.batches import Rows, plan, shuffled, split_rows, steps_of
from training.data.plain_texts import read_texts
from training.models.sentence_vectors import features_of, held_out_vectors
from training.models.students import open_student
from training.recipes.outputs import Result, facts_of, save_result
from training.run.collapse_alarm import health
from training.run.device import pick_device
from training.run.loop import Evaluation, Task, train
from training.run.progress import QUIET, Talk

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer
    from transformers import PreTrainedModel

__all__ = ["Decoder", "RetroMae", "hide", "mask_id", "real_tokens", "retromae", "visible"]


class Decoder(nn.Module):
    """One transformer layer whose queries are the sentence vector at every place."""

    def __init__(self, width: int, heads: int, places: int, dropout: float = 0.1) -> None:
        super().__init__()
        self.heads = heads
        self.place = nn.Embedding(places, width)
        self.query = nn.Linear(width, width)
        self.key_value = nn.Linear(width, 2 * width)
        self.out = nn.Linear(width, width)
        self.norm = nn.LayerNorm(width)
        self.dropout = nn.Dropout(dropout)
        self.forward_layer = nn.Sequential(
            nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width), nn.Dropout(dropout)
        )
        self.norm_out = nn.LayerNorm(width)
        for layer in (self.place, self.query, self.key_value, self.out):
            nn.init.normal_(layer.weight, std=0.02)

    def forward(self, vector: Tensor, tokens: Tensor, seen: Tensor) -> Tensor:
        """`vector` (b, dim), the true tokens' embeddings (b, n, dim), `seen` (b, n, n + 1): (b, n, dim).

        Column 0 of `seen` is the sentence vector, column j + 1 token j.
        """
        batch, length, width = tokens.shape
        places = self.place(torch.arange(length, device=tokens.device))  # (n, dim)
        queries = vector[:, None, :] + places  # H1 (b, n, dim)
        context = torch.cat([vector[:, None, :], tokens + places], dim=1)  # H2 (b, n + 1, dim)
        key, value = self.key_value(context).chunk(2, dim=-1)
        query, key, value = (
            part.view(batch, -1, self.heads, width // self.heads).transpose(1, 2)
            for part in (self.query(queries), key, value)
        )  # (b, heads, n or n + 1, dim / heads)
        found = scaled_dot_product_attention(query, key, value, attn_mask=seen[:, None])
        found = found.transpose(1, 2).reshape(batch, length, width)
        hidden = self.norm(queries + self.dropout(self.out(found)))
        restored: Tensor = self.norm_out(hidden + self.forward_layer(hidden))
        return restored


class RetroMae(nn.Module):
    """The student, and the decoder and output layer that only the training needs."""

    def __init__(self, student: SentenceTransformer, places: int) -> None:
        super().__init__()
        self.student = student
        body = cast("PreTrainedModel", student[0].auto_model)
        self.tokens = cast("nn.Embedding", body.get_input_embeddings())
        width, narrow = int(body.config.hidden_size), self.tokens.embedding_dim
        # ELECTRA's token vectors may be narrower than its layers
        self.widen = getattr(body, "embeddings_project", None) or nn.Identity()
        self.decoder = Decoder(width, int(body.config.num_attention_heads), places)
        self.head = nn.Sequential(nn.Linear(width, narrow), nn.GELU(), nn.LayerNorm(narrow))
        self.bias = nn.Parameter(torch.zeros(self.tokens.num_embeddings))

    def encode(self, features: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        """(token vectors (b, n, dim), sentence vector (b, dim)); no layer after the pooling is used."""
        found = self.student[1](self.student[0](dict(features)))
        return found["token_embeddings"], found["sentence_embedding"]

    def scores(self, hidden: Tensor) -> Tensor:
        """(m, dim) -> (m, vocabulary): the output layer shares the input embeddings."""
        logits: Tensor = self.head(hidden) @ self.tokens.weight.T + self.bias
        return logits

    def parts(
        self, features: dict[str, Tensor], masked: Tensor, seen: Tensor, real: Tensor, mask_id: int
    ) -> tuple[Tensor, Tensor, Tensor]:
        """(encoder's loss, decoder's loss, share of the tokens the decoder restores).

        `masked` (b, n) are hidden from the encoder, `seen` (b, n, n + 1) is the decoder's view, `real`
        (b, n) marks tokens that are neither padding nor special.
        """
        ids = features["input_ids"]
        hidden, vector = self.encode(features | {"input_ids": ids.masked_fill(masked, mask_id)})
        of_encoder = cross_entropy(self.scores(hidden[masked]).float(), ids[masked])
        restored = self.decoder(vector, self.widen(self.tokens(ids)), seen)
        scores = self.scores(restored[real]).float()
        right = (scores.argmax(dim=1) == ids[real]).float().mean()
        return of_encoder, cross_entropy(scores, ids[real]), right


def hide(real: Tensor, share: float, generator: torch.Generator) -> Tensor:
    """Which tokens are masked, (b, n): `share` of each row's real ones, at least one where there is any.

    Rounded, not drawn one by one, so that a short sentence is neither bare nor whole.
    """
    order = torch.rand(real.shape, generator=generator).masked_fill(~real, 2.0)
    counts = real.sum(dim=1, keepdim=True)  # (b, 1)
    wanted = (counts * share).round().clamp(min=1)
    return (order.argsort(dim=1).argsort(dim=1) < wanted) & real


def visible(real: Tensor, share: float, generator: torch.Generator) -> Tensor:
    """What each place of the decoder sees, (b, n, n + 1): the vector, and 1 - `share` of other tokens."""
    batch, length = real.shape
    drawn = torch.rand((batch, length, length), generator=generator) >= share
    drawn &= real[:, None, :] & ~torch.eye(length, dtype=torch.bool)
    return torch.cat([torch.ones((batch, length, 1), dtype=torch.bool), drawn], dim=2)


def retromae(settings: RetromaeSettings, output: Path, talk: Talk = QUIET) -> Result:
    """Pre-train the student of `settings` into OUT/model.

    Raises ConfigError for a student without a mask token or a body, and DocumentError for bad texts.
    """
    run = settings.run
    device = pick_device(run.device)
    model = open_student(settings.student, str(device), run.seed)
    mask = mask_id(model, settings.student.model or settings.student.tokenizer, "RetroMAE")
    texts = read_texts(settings.texts)
    rows, aside = split_rows(len(texts), settings.aside, run.seed)
    kept = [texts[i] for i in rows]
    held_out = [texts[i] for i in aside]
    if not kept:
        raise ConfigError("texts: there is nothing to train on")
    talk.say(f"{len(kept)} texts to train on, {len(held_out)} kept aside")
    with torch.random.fork_rng():
        torch.manual_seed(run.seed)
        whole = RetroMae(model, int(model.max_seq_length or 512)).to(device)

    def parts(batch: list[str], generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
        features = features_of(model, batch)
        real = real_tokens(model, features["input_ids"])  # on the CPU, where the generator is
        masked = hide(real, settings.encoder_mask, generator)
        seen = visible(real, settings.decoder_mask, generator)
        return whole.parts(features, masked.to(device), seen.to(device), real.to(device), mask)

    def loss(rows: Rows) -> Tensor:
        # the loop has seeded torch for this step; the masks follow from it
        generator = torch.Generator().manual_seed(int(torch.randint(2**62, ()).item()))
        of_encoder, of_decoder, _ = parts([kept[i] for i in rows], generator)
        return of_encoder + of_decoder

    def evaluate() -> Evaluation:
        generator = torch.Generator().manual_seed(run.seed)  # the same masks each time
        figures = []
        for start in range(0, len(held_out), run.batch_size):
            batch = held_out[start : start + run.batch_size]
            figures.append([part.item() for part in parts(batch, generator)])
        of_encoder, of_decoder, right = np.mean(figures, axis=0)
        found = {"encoder_loss": float(of_encoder), "decoder_loss": float(of_decoder)}
        return Evaluation(float(right), found, health(held_out_vectors(model, held_out)))

    steps = steps_of(len(kept), run.batch_size, run.epochs, run.steps)
    lengths = np.array([len(text) for text in kept]) if run.bucket else None
    order = plan(shuffled(len(kept), run.seed), steps, run.batch_size, run.seed, lengths)
    facts = facts_of(settings, [*kept, *held_out])
    task = Task(whole, order, loss, evaluate if len(held_out) > 1 else None, facts)
    outcome = train(task, run, output, talk.tell)
    return save_result(output, "retromae", model, settings, outcome, "restored tokens", len(kept))


def mask_id(model: SentenceTransformer, name: str, recipe: str) -> int:
    """The number of the mask token. Raises ConfigError for a student without one, or without a body."""
    mask = getattr(model.tokenizer, "mask_token_id", None)
    if mask is None or not hasattr(model[0], "auto_model") or len(model) < 2:
        raise ConfigError(
            f"student {name}: {recipe} needs a transformer with a mask token and pooling"
        )
    return int(mask)


def real_tokens(model: SentenceTransformer, ids: Tensor) -> Tensor:
    """(b, n) bool on the CPU: neither padding nor a special token."""
    special = torch.tensor(sorted(model.tokenizer.all_special_ids))
    unknown = model.tokenizer.unk_token_id
    ids = ids.cpu()
    return ~torch.isin(ids, special[special != unknown] if unknown is not None else special)
