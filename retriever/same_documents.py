"""One document that stands in a list of hits several times: twice with the same text, or in several languages.

Languages are told by the ids: `guide/cs/fire.html` and `guide/de/fire.html` differ in their language alone, and so do
`fire.en.md` and `fire.cs.md`. Texts are compared by their letters and digits; two translations of one text with unlike ids are two documents.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Sequence

from indexer.schema import Document, Hit

__all__ = ["Merged", "merged"]

_PARTS = re.compile(r"[A-Za-z]+")
_WORDS = re.compile(r"[^\W_]+")

_NAMED = 4  # letters of an id beside its language, that name a document

Merged = list[tuple[Hit, list[Hit]]]
"""Each document once, best first, with the further hits that are the same document."""


def merged(hits: Sequence[Hit]) -> Merged:
    """The hits, each document once: its best hit, and the others behind it."""
    found: Merged = []
    places: dict[Hashable, int] = {}
    for hit in hits:
        keys = _keys(hit.document)
        place = next((places[key] for key in keys if key in places), None)
        if place is None:
            place = len(found)
            found.append((hit, []))
        else:
            found[place][1].append(hit)
        for key in keys:
            places.setdefault(key, place)
    return found


def _keys(document: Document) -> list[Hashable]:
    """What two hits of one document have in common."""
    keys: list[Hashable] = [("text", _letters(document.title), _letters(document.text))]
    if document.lang:
        pattern = _PARTS.sub(
            lambda part: "*" if part[0].lower() == document.lang else part[0], document.id
        )
        # numbers are often counted in each language by itself: cs-1 and de-1 are two documents
        letters = sum(map(str.isalpha, pattern))
        if pattern != document.id and letters >= _NAMED and not any(map(str.isdigit, pattern)):
            keys.append(("id", pattern))
    return keys


def _letters(text: str) -> str:
    """A text without what a new edition changes first: case, punctuation, and how lines are broken."""
    return " ".join(_WORDS.findall(text.casefold())) or text
