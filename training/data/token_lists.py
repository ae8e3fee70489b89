"""Many texts as one flat array of token ids, from which the batches of a static student are cut."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from tokenizers import Tokenizer

_Cut = Callable[[Sequence[str]], list[list[int]]]

__all__ = ["Ragged", "token_lists", "unaccented"]


@dataclass(frozen=True, slots=True)
class Ragged:
    """Lists of numbers end to end: list i is `ids[starts[i]:starts[i + 1]]`."""

    ids: NDArray[np.int32]  # (total,)
    starts: NDArray[np.int64]  # (lists + 1,)

    def __len__(self) -> int:
        return len(self.starts) - 1

    def gather(self, rows: NDArray[np.integer]) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
        """(ids, first): the lists of `rows` end to end, and where each begins (without the end)."""
        begins = self.starts[rows]
        sizes = self.starts[rows + 1] - begins
        first = np.zeros(len(rows), np.int64)
        np.cumsum(sizes[:-1], out=first[1:])
        places = np.arange(int(sizes.sum())) - np.repeat(first - begins, sizes)
        return self.ids[places], first


def token_lists(
    tokenizer: Tokenizer, texts: Sequence[str], most: int, batch: int = 20_000
) -> Ragged:
    """The first `most` tokens of each text.

    Most words of a corpus come again and again, so each is tokenized once, if a sample shows that the
    tokenizer takes a text for its words between spaces.
    """
    cut = _by_word(tokenizer) if _splits_at_spaces(tokenizer, texts) else None
    parts: list[NDArray[np.int32]] = [np.zeros(0, np.int32)]
    sizes = np.zeros(len(texts) + 1, np.int64)
    for start in range(0, len(texts), batch):
        some = texts[start : start + batch]
        lists = cut(some) if cut else _whole(tokenizer, some)
        lists = [ids[:most] for ids in lists]
        sizes[start + 1 : start + 1 + len(lists)] = [len(ids) for ids in lists]
        parts.append(np.array([number for ids in lists for number in ids], np.int32))
    return Ragged(np.concatenate(parts), np.cumsum(sizes))


def _whole(tokenizer: Tokenizer, texts: Sequence[str]) -> list[list[int]]:
    return [
        encoding.ids
        for encoding in tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)
    ]


def _by_word(tokenizer: Tokenizer, remembered: int = 3_000_000) -> _Cut:
    known: dict[str, list[int]] = {}

    def cut(texts: Sequence[str]) -> list[list[int]]:
        if len(known) > remembered:
            known.clear()
        split = [text.split() for text in texts]
        missing = list({word: None for words in split for word in words if word not in known})
        known.update(zip(missing, _whole(tokenizer, missing), strict=True))
        return [[number for word in words for number in known[word]] for words in split]

    return cut


def _splits_at_spaces(tokenizer: Tokenizer, texts: Sequence[str]) -> bool:
    sample = texts[:: max(1, len(texts) // 200)]
    return _by_word(tokenizer)(sample) == _whole(tokenizer, sample)


def unaccented(text: str) -> str:
    """Latin text as it is typed without a national keyboard: marks and strokes left out."""
    plain = unicodedata.normalize("NFD", text)
    kept = "".join(c for c in plain if not 0x300 <= ord(c) <= 0x36F)
    return unicodedata.normalize("NFC", kept).translate(STROKES)


STROKES = str.maketrans("łđıøŁĐØ", "ldioLDO")
