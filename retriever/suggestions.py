"""What a query that is being typed may go on as: titles of the collection, and phrases that its passages hold.

Nothing is kept for it: the last word is completed from the words of the index, and what a search by words then finds is
looked through.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence

from indexer.schema import Collection, Completing
from indexer.text import fold
from indexer.text import tokens as written_words

__all__ = ["suggestions"]

SHORTEST = 2  # letters of a word that is completed
COMPLETIONS = 5  # of the last word
LOOKED_AT = 20  # passages for each of them
LONGEST = 80  # characters of a suggestion
LONGER = 2  # words that a phrase goes on for
REPEATED = 2  # documents that a phrase stands in which goes on for longer than what was typed


def suggestions(collection: Collection, text: str, most: int = 8) -> list[str]:
    """Up to `most` queries that begin as `text` does, the best first; empty for less than two letters.

    First titles that hold the words of `text`, the last of them as the beginning of a word; then phrases that begin so.
    """
    typed = written_words(text)
    if not typed or len(typed[-1][0]) < SHORTEST:
        return []
    words = [fold(word) for word, _, _ in typed]
    begun = text[: typed[-1][1]]
    queries = [text]
    if isinstance(collection, Completing):
        found = collection.beginning(words[-1])[:COMPLETIONS]
        queries = [begun + word for word, _ in found] or queries
    titles: dict[str, str] = {}
    holding: defaultdict[str, set[str]] = defaultdict(set)
    shown: dict[str, Counter[str]] = defaultdict(Counter)
    seen: set[int | str] = set()
    for pool in collection.pools(
        collection.queries(queries, literal=True), LOOKED_AT, ("lexical",)
    ):
        keys = pool.keys[:LOOKED_AT]
        new = [key not in seen for key in keys.tolist()]
        seen.update(keys.tolist())
        for document, passage in collection.fetch(keys[new]):
            title = " ".join(document.title.split())
            if 0 < len(title) <= LONGEST and _holds(title, words):
                titles.setdefault(title.casefold(), title)
            for phrase in _phrases(passage.text, words):
                holding[fold(phrase)].add(document.id)
                shown[fold(phrase)][phrase] += 1
    first = sorted(titles.values(), key=lambda title: not fold(title).startswith(fold(text)))
    frequent = sorted(holding, key=lambda phrase: (-len(holding[phrase]), len(phrase), phrase))
    phrases = [
        shown[phrase].most_common(1)[0][0]
        for phrase in frequent
        if not _goes_on(phrase, holding)
        and (len(holding[phrase]) >= REPEATED or phrase.count(" ") < len(words))
    ]
    unique: dict[str, str] = {}
    for one in (*first, *phrases):
        unique.setdefault(fold(one), one)
    unique.pop(fold(text.strip()), None)
    return list(unique.values())[:most]


def _holds(title: str, words: Sequence[str]) -> bool:
    """Whether a title holds these words, the last of them as the beginning of one."""
    held = [fold(word) for word, _, _ in written_words(title)]
    return all(word in held for word in words[:-1]) and any(
        word.startswith(words[-1]) for word in held
    )


def _phrases(text: str, words: Sequence[str]) -> list[str]:
    """Parts of a text that begin with these words, the last completed, and go on for up to LONGER words."""
    spans = written_words(text)
    folded = [fold(word) for word, _, _ in spans]
    count = len(words)
    found = []
    for start in range(len(spans) - count + 1):
        last = start + count - 1
        if folded[start:last] != list(words[:-1]) or not folded[last].startswith(words[-1]):
            continue
        for end in range(last, min(last + LONGER, len(spans) - 1) + 1):
            if end > last and text[spans[end - 1][2] : spans[end][1]] != " ":
                break  # a phrase does not go over a comma
            if spans[end][2] - spans[start][1] <= LONGEST:
                found.append(text[spans[start][1] : spans[end][2]])
    return found


def _goes_on(phrase: str, holding: dict[str, set[str]]) -> bool:
    """Whether a longer phrase stands wherever this one does."""
    return any(
        longer.startswith(phrase + " ") and len(ids) >= max(REPEATED, len(holding[phrase]))
        for longer, ids in holding.items()
    )
