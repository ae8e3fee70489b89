"""Whether a text holds words that stand in a row, as `"great fire"` asks; case and accents do not count."""

from __future__ import annotations

from collections.abc import Sequence

from indexer.schema import Contains, Document
from indexer.text.analysis import parts, unspaced, word_matches, word_terms
from indexer.text.spelling import fold

__all__ = ["contains", "holds", "needed_terms", "words_of"]


def words_of(text: str) -> list[str]:
    """The words of a text, folded, in order; the parts of "wi-fi" are two."""
    found = []
    for match in word_matches(text):
        word = match[0]
        found += [fold(word[start:end]) for start, end in parts(word)]
    return [word for word in found if word]


def contains(text: str, phrase: Sequence[str]) -> bool:
    """Whether the words of `phrase` (see `words_of`) stand in the text, in a row.

    In a script without spaces between words a phrase may begin and end within a run of letters.
    """
    before = "" if unspaced(phrase[0]) else " "
    after = "" if unspaced(phrase[-1]) else " "
    wanted = f"{before}{' '.join(phrase)}{after}"
    return wanted in f" {' '.join(words_of(text))} "


def holds(document: Document, wording: Contains, phrase: Sequence[str]) -> bool:
    """Whether a document fulfils a wording; `phrase`: its words."""
    if document.title and contains(document.title, phrase):
        return True
    return not wording.title and contains(document.text, phrase)


def needed_terms(phrase: Sequence[str], langs: Sequence[str]) -> list[list[str]]:
    """Terms of the stream `words`, in groups: a passage that holds the phrase holds one term of each group.

    A word's term may depend on the language of the text, so that a group has those of all `langs`.
    """
    groups = []
    for word in phrase:
        written = word_terms(word, "")[0].split()
        if written and unspaced(written[0]):
            groups += [[term] for term in written]
        else:
            firsts = [word_terms(word, lang)[0].partition(" ")[0] for lang in ("", *langs)]
            groups.append(sorted({term for term in firsts if term}) or [word])
    return groups
