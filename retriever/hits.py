"""The hits of one query: a list that shows itself as text, and in a notebook as a table.

Every text is a stranger's: it is escaped in HTML, and has no control characters on a terminal.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any, overload
from urllib.parse import urlsplit

from indexer.schema import Hit, Mode, SignalName
from retriever.snippets import Mark, snippet
from retriever.word_answers import hit_answers

__all__ = ["LABELS", "Hits", "missing_signals", "printable", "record"]

LABELS: dict[SignalName, str] = {"dense": "meaning", "lexical": "words", "alignment": "aligned"}
"""What a person is told of each signal."""

_SHOWN = 200  # characters of a passage in a table
_TITLE = 100  # characters of a title there
_STYLE = "text-align:left;vertical-align:top"
_MARKED = {Mark.EXACT: "background:#fde9b4", Mark.NEAR: "background:#fdf5de"}


def missing_signals(hits: Sequence[Hit], mode: Mode) -> list[SignalName]:
    """The signals of a hybrid search that could not answer: none of the hits has a part of them.

    Only a collection on other machines loses one of its signals.
    """
    names: tuple[SignalName, ...] = ("dense", "lexical")
    if mode != "hybrid" or not hits:
        return []
    return [name for name in names if not any(name in hit.parts for hit in hits)]


class Hits(Sequence[Hit]):
    """The hits of `query`, best first. A slice of them is Hits too.

    `text` is the query without its `syntax`, the phrases, exclusions and fields that were read in it; `searched` is
    the text, or with a word that the index does not hold put right. Hits that score below `floor` are nothing close.
    """

    def __init__(
        self,
        query: str,
        hits: Sequence[Hit],
        searched: str = "",
        text: str = "",
        syntax: Sequence[str] = (),
        floor: float = 0.0,
    ) -> None:
        self.query = query
        self.text = text or query
        self.searched = searched or self.text
        self.syntax = tuple(syntax)
        self.floor = floor
        self._hits = tuple(hits)

    @property
    def corrected(self) -> bool:
        """Whether a word of the query was put right."""
        return self.searched != self.text

    def is_close(self, hit: Hit) -> bool:
        """Whether a hit is an answer, or merely the nearest there is."""
        return hit.score >= self.floor

    @overload
    def __getitem__(self, index: int) -> Hit: ...
    @overload
    def __getitem__(self, index: slice) -> Hits: ...
    def __getitem__(self, index: int | slice) -> Hit | Hits:
        if isinstance(index, slice):
            return Hits(
                self.query, self._hits[index], self.searched, self.text, self.syntax, self.floor
            )
        return self._hits[index]

    def __len__(self) -> int:
        return len(self._hits)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Hits):
            return NotImplemented
        return self.query == other.query and self._hits == other._hits

    def __hash__(self) -> int:
        return hash((self.query, tuple(hit.document.id for hit in self._hits)))

    def to_dicts(self) -> list[dict[str, Any]]:
        """A flat dictionary for each hit, for JSON or a data frame; the same as `tandem search --json`."""
        return [record(hit, self.query, close=self.is_close(hit)) for hit in self._hits]

    def __repr__(self) -> str:
        """A hit a line: rank, score, language, title or the beginning of the passage, id."""
        lines = [
            f"{hit.rank:>3}  {hit.score:.3f}  {hit.document.lang or '?':<3} {_heading(hit)}  ({hit.document.id})"
            for hit in self._hits
        ]
        count = "1 hit" if len(lines) == 1 else f"{len(lines)} hits"
        return "\n".join([f"{count} for {self.searched!r}", *lines])

    def _repr_html_(self) -> str:
        """A table, for notebooks."""
        head = "".join(
            f'<th style="{_STYLE}">{name}</th>' for name in ("", "Score", "Language", "Document")
        )
        rows = "".join(f"<tr>{_row(hit, self.searched)}</tr>" for hit in self._hits)
        return f"<table><caption>{escape(self.searched)}</caption><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"


def record(hit: Hit, query: str, explain: bool = False, close: bool = True) -> dict[str, Any]:
    """A hit for programs. `explain`: with the word of the hit that answers each word of the query; `close`: see `Hits`."""
    document = hit.document
    found: dict[str, Any] = {
        "query": query,
        "rank": hit.rank,
        "id": document.id,
        "score": round(hit.score, 6),
        "close": close,
        "lang": document.lang,
        "title": document.title,
        "url": document.url,
        "fields": dict(document.fields),
        "passage": hit.passage.text,
        "parts": {
            name: {"score": part.score, "rank": part.rank, "share": round(part.share, 6)}
            for name, part in hit.parts.items()
        },
    }
    if explain:
        found["answers"] = [
            {"word": a.word, "answer": a.answer, "similarity": round(a.similarity, 4)}
            for a in hit_answers(hit, query)
        ]
    return found


def printable(text: str) -> str:
    """A text for a terminal: control characters, escape sequences among them, are blanks."""
    return "".join(c if c >= " " and not "\x7f" <= c <= "\x9f" else " " for c in text)


def _heading(hit: Hit) -> str:
    text = printable(hit.document.title or hit.passage.text)
    return text if len(text) <= _TITLE else f"{text[: _TITLE - 1]}…"


def _row(hit: Hit, query: str) -> str:
    document = hit.document
    title = escape(_heading(hit))
    if urlsplit(document.url).scheme in ("http", "https"):
        title = f'<a href="{escape(document.url)}" rel="noreferrer">{title}</a>'
    passage = "".join(
        f'<mark style="{_MARKED[mark]}">{escape(text)}</mark>' if mark else escape(text)
        for text, mark in snippet(hit, query, _SHOWN)
    )
    cells = (
        str(hit.rank),
        f"{hit.score:.3f}",
        escape(document.lang),
        f'<div dir="auto"><b>{title}</b> <small>{escape(document.id)}</small><br>{passage}</div>',
    )
    return "".join(f'<td style="{_STYLE}">{cell}</td>' for cell in cells)
