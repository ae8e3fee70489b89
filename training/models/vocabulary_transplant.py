"""A teacher's body under a new multilingual vocabulary, with a flying start.

After WECHSEL (Minixhofer et al. 2022, "Effective initialization of subword embeddings for
cross-lingual transfer of monolingual language models", NAACL): a new token's input embedding is the
mean of the old model's embeddings of the words nearest to it in a space that both languages share,
weighted by a softmax of their cosines (temperature 0.05, 8 neighbours). The shared space is a static
student's. Tokens that the old vocabulary has too keep their embedding.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, cast

import numpy as np
from numpy.typing import NDArray

from configs.errors import ConfigError, TandemError
from configs.training import StudentSettings
from indexer.encoders.opening import open_encoder
from indexer.schema import Matrix
from training.models.opening import open_model
from training.models.tokenizers import SPECIAL, tokenizer_file, wrap_tokenizer

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer
    from torch.nn import Embedding
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

__all__ = ["new_embeddings", "transplanted", "word_means"]

NEIGHBOURS = 8
TEMPERATURE = 0.05
DROPOUT = {"hidden_dropout_prob", "attention_probs_dropout_prob", "dropout", "attention_dropout"}
MARKS = ("▁", "Ġ")  # how vocabularies mark the start of a word


def transplanted(settings: StudentSettings, device: str) -> SentenceTransformer:
    """`settings.body` with the tokenizer of `settings.tokenizer`, and embeddings by `settings.bridge`.

    Raises ConfigError for a body that is no transformer and BackendError for one that is not to be had.
    """
    from safetensors import SafetensorError
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Transformer

    donor = open_model(settings.body)
    if not hasattr(donor[0], "auto_model"):
        raise ConfigError(
            f"student.body {settings.body}: it is no transformer, it has no embeddings"
        )
    body = cast("PreTrainedModel", donor[0].auto_model)
    old_tokenizer = cast("PreTrainedTokenizerFast", donor.tokenizer)
    tokenizer = wrap_tokenizer(tokenizer_file(settings.tokenizer), settings.max_tokens)
    embedding = cast("Embedding", body.get_input_embeddings())
    old = np.asarray(embedding.weight.detach().float().numpy())
    vocabulary = tokenizer.get_vocab()
    new = new_embeddings(
        old,
        {token.casefold(): i for token, i in old_tokenizer.get_vocab().items()},
        vocabulary,
        {getattr(tokenizer, role): getattr(old_tokenizer, f"{role}_id") for role in SPECIAL},
        open_encoder(settings.bridge).encode,
    )
    _replace(body, new, int(tokenizer.pad_token_id))
    for name in DROPOUT & set(body.config.to_dict()):
        setattr(body.config, name, settings.dropout)
    with tempfile.TemporaryDirectory() as folder:
        try:
            body.save_pretrained(folder)
            tokenizer.save_pretrained(folder)
        except (OSError, SafetensorError) as error:
            raise TandemError(
                f"{folder}: the new student cannot be written there ({error}); make room, or set TMPDIR"
            ) from error
        first = Transformer(folder, max_seq_length=settings.max_tokens)
    # what follows the body (pooling, unit length) is the teacher's
    return SentenceTransformer(modules=[first, *list(donor)[1:]], device=device)


def new_embeddings(
    old: NDArray[np.float32],
    old_vocabulary: Mapping[str, int],
    vocabulary: Mapping[str, int],
    special: Mapping[str, int],
    encode: Callable[[Sequence[str]], Matrix],
) -> NDArray[np.float32]:
    """Input embeddings (new tokens, dim) of `vocabulary` made of `old` (old tokens, dim).

    `special` tells which old token a special one takes over; `encode` gives the shared space's vectors.
    A token that has no vector there, and is not known, gets the mean of the old words.
    """
    words = [word for word in old_vocabulary if word.isalpha() and word.isascii()]
    of_words = old[[old_vocabulary[word] for word in words]]  # (words, dim)
    new = np.tile(of_words.mean(axis=0), (max(vocabulary.values()) + 1, 1))
    marked = any(token.startswith(MARKS) for token in vocabulary)
    unknown: list[tuple[str, int]] = []
    for token, number in vocabulary.items():
        text = token.lstrip("".join(MARKS)).casefold()
        starts = token.startswith(MARKS) or not marked or not text.isalpha()
        if token in special:
            new[number] = old[special[token]]
        elif starts and text in old_vocabulary:
            new[number] = old[old_vocabulary[text]]
        elif text:
            unknown.append((text, number))
    if unknown:
        texts, numbers = zip(*unknown, strict=True)
        vectors = encode(texts)
        means = word_means(vectors, encode(words), of_words)
        known = vectors.any(axis=1)
        new[np.array(numbers)[known]] = means[known]
    return new.astype(np.float32)


def word_means(
    vectors: Matrix,
    of_words: Matrix,
    embeddings: NDArray[np.float32],
    neighbours: int = NEIGHBOURS,
    temperature: float = TEMPERATURE,
    block: int = 2048,
) -> NDArray[np.float32]:
    """(n, dim): for each of `vectors` (n, shared) the mean of the `embeddings` (words, dim) of its
    `neighbours` nearest words by `of_words` (words, shared), weighted by softmax(cosine / temperature).
    """
    neighbours = min(neighbours, len(of_words))
    means = np.empty((len(vectors), embeddings.shape[1]), np.float32)
    for start in range(0, len(vectors), block):
        cosines = vectors[start : start + block] @ of_words.T  # (block, words)
        nearest = np.argpartition(-cosines, neighbours - 1, axis=1)[:, :neighbours]
        found = np.take_along_axis(cosines, nearest, axis=1) / temperature
        weights = np.exp(found - found.max(axis=1, keepdims=True))
        weights /= weights.sum(axis=1, keepdims=True)  # (block, neighbours)
        means[start : start + block] = np.einsum("bn,bnd->bd", weights, embeddings[nearest])
    return means


def _replace(body: PreTrainedModel, new: NDArray[np.float32], pad: int) -> None:
    """Give `body` the input embeddings `new` (tokens, dim)."""
    import torch

    table = torch.nn.Embedding(new.shape[0], new.shape[1], padding_idx=pad)
    with torch.no_grad():
        table.weight.copy_(torch.from_numpy(new))
    body.set_input_embeddings(table)
    body.config.vocab_size = len(new)
    body.config.pad_token_id = pad
