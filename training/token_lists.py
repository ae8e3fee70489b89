"""Many texts as one flat array of token ids, from which the batches of a static student are cut."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from tokenizers import Tokenizer

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
    tokenizer: Tokenizer, texts: Sequence[str], most: int, piece: int = 20_000
) -> Ragged:
    """The first `most` tokens of each text."""
    parts: list[NDArray[np.int32]] = [np.zeros(0, np.int32)]
    sizes = np.zeros(len(texts) + 1, np.int64)
    for start in range(0, len(texts), piece):
        found = tokenizer.encode_batch_fast(
            list(texts[start : start + piece]), add_special_tokens=False
        )
        lists = [encoding.ids[:most] for encoding in found]
        sizes[start + 1 : start + 1 + len(lists)] = [len(ids) for ids in lists]
        parts.append(np.array([number for ids in lists for number in ids], np.int32))
    return Ragged(np.concatenate(parts), np.cumsum(sizes))


def unaccented(text: str) -> str:
    """Latin text as it is typed without a national keyboard: marks and strokes left out."""
    plain = unicodedata.normalize("NFD", text)
    kept = "".join(c for c in plain if not 0x300 <= ord(c) <= 0x36F)
    return unicodedata.normalize("NFC", kept).translate(STROKES)


STROKES = str.maketrans("łđıøŁĐØ", "ldioLDO")
