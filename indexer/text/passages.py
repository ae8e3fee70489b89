"""Long texts to passages: whole sentences, up to a size, overlapping by whole sentences.

A passage is a slice of the text (start, end), so that nothing of a document is lost or changed.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Sequence

__all__ = ["passage_texts", "sentences", "split"]

# After a full stop of any script and what closes it; after a blank line.
_BORDER = re.compile(r"(?<=[.!?…।॥؟])[\"'”’»)\]]*\s+|(?<=[。！？])[」』”）]*\s*|\n\s*\n\s*")
_SPACE = re.compile(r"\s+")


def sentences(text: str) -> list[tuple[int, int]]:
    """(start, end) of each sentence, in order, together covering the text."""
    # Chinese and Japanese sentences follow each other without a space: such a border is empty.
    borders = [match.end() for match in _BORDER.finditer(text)]
    edges = [0, *borders, len(text)]
    return [(a, b) for a, b in itertools.pairwise(edges) if b > a]


def _pieces(text: str, start: int, end: int, size: int) -> list[tuple[int, int]]:
    """A sentence longer than `size`, cut at spaces where it has any."""
    pieces = []
    while end - start > size:
        cut = start + size
        spaces = [match.end() for match in _SPACE.finditer(text, start + size // 2, cut)]
        cut = spaces[-1] if spaces else cut
        pieces.append((start, cut))
        start = cut
    return [*pieces, (start, end)]


def split(
    text: str,
    size: int,
    overlap: int,
    max_tokens: int | None = None,
    count_tokens: Callable[[Sequence[str]], list[int]] | None = None,
) -> list[tuple[int, int]]:
    """(start, end) of each passage of `text`, at most `size` characters and `max_tokens` tokens long.

    Each passage but the first repeats up to `overlap` characters of the one before (half of `size` at
    most), in whole sentences. A text that fits is one passage.
    """
    overlap = min(overlap, size // 2)
    if len(text) <= size and (max_tokens is None or len(text) <= max_tokens):
        return [(0, len(text))]
    if max_tokens is not None and count_tokens is not None:
        total = count_tokens([text])[0]
        if total <= max_tokens and len(text) <= size:
            return [(0, len(text))]
        # Characters a token, from this very text, with a margin: the last check is the encoder's own.
        size = max(16, min(size, int(0.8 * max_tokens * len(text) / max(total, 1))))
        overlap = min(overlap, size // 4)
    parts: list[tuple[int, int]] = []
    for start, end in sentences(text):
        parts += _pieces(text, start, end, size)
    if max_tokens is not None and count_tokens is not None:
        parts = _fitting(text, parts, max_tokens, count_tokens)
    filled = _joined(parts, size, overlap)
    # As many passages, of about one length: a last one of a few words would say nothing of its document.
    even = _joined(parts, min(size, int(1.1 * len(text) / len(filled)) + overlap), overlap)
    return even if len(even) == len(filled) else filled


def _fitting(
    text: str,
    parts: list[tuple[int, int]],
    max_tokens: int,
    count_tokens: Callable[[Sequence[str]], list[int]],
) -> list[tuple[int, int]]:
    """Parts that hold more than their share of tokens, halved until they fit."""
    fitting: list[tuple[int, int]] = []
    waiting = parts
    while waiting:
        counts = count_tokens([text[start:end] for start, end in waiting])
        halves: list[tuple[int, int]] = []
        for (start, end), count in zip(waiting, counts, strict=True):
            if count <= max_tokens or end - start < 2:
                fitting.append((start, end))
            else:
                halves += _pieces(text, start, end, (end - start + 1) // 2)
        waiting = halves
    return sorted(fitting)


def _joined(parts: list[tuple[int, int]], size: int, overlap: int) -> list[tuple[int, int]]:
    """Neighbouring parts put together up to `size`, going back up to `overlap` between passages."""
    passages = []
    first = 0
    while first < len(parts):
        last = first
        start = parts[first][0]
        while last + 1 < len(parts) and parts[last + 1][1] - start <= size:
            last += 1
        end = parts[last][1]
        passages.append((start, end))
        if last + 1 == len(parts):
            break
        following = last + 1
        goal = parts[following][1]  # the next passage must reach it, or it would only repeat
        while (
            following - 1 > first
            and end - parts[following - 1][0] <= overlap
            and goal - parts[following - 1][0] <= size
        ):
            following -= 1
        first = following
    return passages


def passage_texts(title: str, text: str, spans: Sequence[tuple[int, int]]) -> list[str]:
    """What is encoded and analysed for each passage: the title, a line break, the slice of the text."""
    if title:
        return [f"{title}\n{text[start:end]}" for start, end in spans]
    return [text[start:end] for start, end in spans]
